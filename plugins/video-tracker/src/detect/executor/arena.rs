//! Pieces of memory that are needed at different times lie at the same place.

use std::ops::RangeInclusive;

/// A piece of memory: how much, and from which step to which one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) len: usize,
    pub(super) steps: RangeInclusive<usize>,
}

/// Where each piece begins, and the length of it all. Pieces begin at multiples of `align`; those
/// whose steps overlap don't.
///
/// The largest first, each at the first place where it fits: Pisarchyk and Lee, "Efficient Memory
/// Management for Deep Neural Net Inference", 2020, "Greedy by size".
pub(super) fn pack(pieces: &[Piece], align: usize) -> (Vec<usize>, usize) {
    let mut order: Vec<_> = (0..pieces.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(pieces[*i].len));
    let mut starts = vec![0; pieces.len()];
    let mut total = 0;
    // By start.
    let mut placed: Vec<usize> = Vec::with_capacity(pieces.len());
    for i in order {
        let piece = &pieces[i];
        let mut start = 0;
        for other in &placed {
            let (from, there) = (starts[*other], &pieces[*other]);
            let meets = piece.steps.start() <= there.steps.end()
                && there.steps.start() <= piece.steps.end();
            if !meets {
                continue;
            }
            if start + piece.len <= from {
                break;
            }
            start = start.max((from + there.len).next_multiple_of(align));
        }
        starts[i] = start;
        total = total.max(start + piece.len);
        let at = placed.partition_point(|other| starts[*other] <= start);
        placed.insert(at, i);
    }
    (starts, total.next_multiple_of(align))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pieces: &[(usize, RangeInclusive<usize>)], expected: usize) {
        let pieces: Vec<_> =
            pieces.iter().map(|(len, steps)| Piece { len: *len, steps: steps.clone() }).collect();
        let (starts, total) = pack(&pieces, 4);
        assert_eq!(total, expected, "{starts:?}");
        for (i, piece) in pieces.iter().enumerate() {
            assert!(starts[i].is_multiple_of(4) && starts[i] + piece.len <= total);
            for (j, other) in pieces.iter().enumerate().skip(i + 1) {
                let at_once = piece.steps.clone().any(|step| other.steps.contains(&step));
                let apart =
                    starts[i] + piece.len <= starts[j] || starts[j] + other.len <= starts[i];
                assert!(!at_once || apart, "{piece:?} {other:?} {starts:?}");
            }
        }
    }

    #[test]
    fn what_is_not_needed_at_once_shares_its_place() {
        check(&[], 0);
        check(&[(10, 0..=1), (10, 2..=3)], 12);
        check(&[(10, 0..=2), (10, 2..=3)], 24);
        // A chain takes its two largest neighbours.
        check(&[(8, 0..=1), (16, 1..=2), (8, 2..=3), (4, 3..=4)], 24);
        // A gap is filled.
        check(&[(16, 0..=9), (8, 0..=1), (8, 2..=9), (8, 0..=9)], 32);
    }
}
