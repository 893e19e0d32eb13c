use super::{CELLS, GRID};

/// The highest place of a response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Peak {
    /// About 1 for a perfect fit.
    pub(super) value: f32,
    /// Right and down from no shift, in cells, between them too.
    pub(super) shift: [f32; 2],
    /// How far the peak stands out of the rest, in the rest's standard deviations (Bolme et al.
    /// 2010, 3.5: the peak-to-sidelobe ratio).
    pub(super) sidelobe_ratio: f32,
}

impl Peak {
    /// Finds it; of equal ones the first.
    pub(super) fn of(response: &[f32; CELLS]) -> Self {
        let (mut best, mut value) = (0, response[0]);
        for (at, candidate) in response.iter().enumerate() {
            if *candidate > value {
                (best, value) = (at, *candidate);
            }
        }
        let (x, y) = (best % GRID, best / GRID);
        let at = |x: usize, y: usize| response[y % GRID * GRID + x % GRID];
        let across = vertex(at(x + GRID - 1, y), value, at(x + 1, y));
        let down = vertex(at(x, y + GRID - 1), value, at(x, y + 1));
        Self {
            value,
            shift: [signed(x) + across, signed(y) + down],
            sidelobe_ratio: sidelobe_ratio(response, x, y, value),
        }
    }
}

fn sidelobe_ratio(response: &[f32; CELLS], x: usize, y: usize, value: f32) -> f32 {
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for (row, line) in response.as_chunks::<GRID>().0.iter().enumerate() {
        for (column, value) in line.iter().enumerate() {
            if apart(row, y) > LOBE || apart(column, x) > LOBE {
                sum += value;
                squares += value * value;
                count += 1.0;
            }
        }
    }
    let mean = sum / count;
    let variance = (squares / count - mean * mean).max(0.0);
    (value - mean) / (variance.sqrt() + 1e-6)
}

/// Where a parabola through three equidistant values has its top, from the middle one, which is
/// the highest.
pub(super) fn vertex(before: f32, middle: f32, after: f32) -> f32 {
    let curvature = before - 2.0 * middle + after;
    if curvature < -1e-9 { (0.5 * (before - after) / curvature).clamp(-0.5, 0.5) } else { 0.0 }
}

/// Cyclic distance of two cells along an axis.
fn apart(a: usize, b: usize) -> usize {
    let distance = a.abs_diff(b);
    distance.min(GRID - distance)
}

/// A cyclic place as a shift to either side.
fn signed(at: usize) -> f32 {
    if at < GRID / 2 { at as f32 } else { at as f32 - GRID as f32 }
}

/// Cells around the peak, to each side, that are not its surroundings.
const LOBE: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn bell(x: f32, y: f32) -> [f32; CELLS] {
        std::array::from_fn(|at| {
            let cyclic = |a: f32, b: f32| {
                let distance = (a - b).rem_euclid(GRID as f32);
                distance.min(GRID as f32 - distance)
            };
            let (dx, dy) = (cyclic((at % GRID) as f32, x), cyclic((at / GRID) as f32, y));
            (-0.5 * (dx * dx + dy * dy)).exp()
        })
    }

    #[track_caller]
    fn check(x: f32, y: f32) {
        let Peak { shift: [right, down], .. } = Peak::of(&bell(x, y));
        assert!((right - x).abs() < 0.1 && (down - y).abs() < 0.1, "{x} {y}: {right} {down}");
    }

    #[test]
    fn a_place_between_cells_is_found_to_either_side() {
        check(0.0, 0.0);
        check(0.3, -0.4);
        check(-0.45, 5.2);
        check(-7.1, 6.8);
    }

    #[test]
    fn a_plain_bell_stands_out_and_noise_does_not() {
        let mut noisy = bell(2.0, 3.0);
        let sure = Peak::of(&noisy);
        for (at, value) in noisy.iter_mut().enumerate() {
            *value += (at * 37 % 64) as f32 / 64.0;
        }
        let unsure = Peak::of(&noisy);
        assert!(sure.sidelobe_ratio > 20.0, "{sure:?}");
        assert!(unsure.sidelobe_ratio < 6.0, "{unsure:?}");
        let flat = Peak::of(&[0.5; CELLS]);
        assert_eq!((flat.shift, flat.sidelobe_ratio), ([0.0; 2], 0.0));
    }
}
