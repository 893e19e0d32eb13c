//! The order in which people number files.

use std::cmp::Ordering;

/// Compares names so that runs of digits count as numbers: `frame2` comes before `frame10`.
/// Names that differ in leading zeros alone are told apart as text.
pub(crate) fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while let (Some(first), Some(second)) = (left.chars().next(), right.chars().next()) {
        let order = if first.is_ascii_digit() && second.is_ascii_digit() {
            let (number, rest) = digits(left);
            let (other, other_rest) = digits(right);
            (left, right) = (rest, other_rest);
            // Without leading zeros, the longer number is the larger one, however long.
            number.len().cmp(&other.len()).then(number.cmp(other))
        } else {
            left = &left[first.len_utf8()..];
            right = &right[second.len_utf8()..];
            first.cmp(&second)
        };
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len()).then(a.cmp(b))
}

/// The digits in front, without leading zeros, and what follows.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    (number.trim_start_matches('0'), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let sorted = [
            "",
            "0.jpg",
            "1.jpg",
            "01.jpg",
            "2.jpg",
            "10.jpg",
            "99999999999999999999998.jpg",
            "99999999999999999999999.jpg",
            "a",
            "a1b2",
            "a1b10",
            "a02b1",
            "é1",
            "é2",
        ];
        for (nth, a) in sorted.iter().enumerate() {
            for (other, b) in sorted.iter().enumerate() {
                // 01.jpg and 1.jpg are the same number; as text, the zero comes first.
                let expected = match (*a, *b) {
                    ("1.jpg", "01.jpg") => Ordering::Greater,
                    ("01.jpg", "1.jpg") => Ordering::Less,
                    _ => nth.cmp(&other),
                };
                assert_eq!(natural_order(a, b), expected, "{a:?} and {b:?}");
            }
        }
    }
}
