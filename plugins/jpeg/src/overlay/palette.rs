//! Colours that tell tracks apart.

/// The colour of a track, the same in every picture and every run.
///
/// Hues are a golden angle apart (137.5°), so that numbers that follow each other differ most;
/// all are bright enough to be seen on dark and dark enough to be seen on light ground.
pub fn track_colour(track_id: u64) -> [u8; 3] {
    let hue = (track_id.wrapping_mul(GOLDEN_SHARE) >> 32) as f32 / 2f32.powi(32) * 6.0;
    // Saturation and value alternate a little, for numbers whose hues have come close again.
    let (saturation, value) = match track_id % 3 {
        0 => (0.85, 1.0),
        1 => (0.65, 1.0),
        _ => (0.9, 0.85),
    };
    // Foley, van Dam: HSV to RGB, with the hue in 0..6.
    [5.0, 3.0, 1.0].map(|offset: f32| {
        let ramp = (offset + hue) % 6.0;
        let share = ramp.min(4.0 - ramp).clamp(0.0, 1.0);
        (255.0 * (value - value * saturation * share)).round() as u8
    })
}

/// The golden ratio's fractional part, times 2⁶⁴.
const GOLDEN_SHARE: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_differ_clearly_and_all_are_visible() {
        for id in 0..200u64 {
            let colour = track_colour(id);
            assert!(colour.iter().any(|&channel| channel > 200), "{id}: {colour:?} is dark");
            for other in id + 1..id + 5 {
                let distance: i32 = colour
                    .iter()
                    .zip(track_colour(other))
                    .map(|(&a, b)| (i32::from(a) - i32::from(b)).abs())
                    .sum();
                assert!(distance > 60, "{id} and {other}: {colour:?}, {:?}", track_colour(other));
            }
        }
    }
}
