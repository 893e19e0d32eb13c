//! A sensor's noise.

use crate::random::Random;

/// Noise to add to pictures, made once.
///
/// A table of normally distributed numbers; each row of a picture reads it from another place, so
/// that no pattern stands still.
pub(crate) struct Noise {
    seed: u64,
    table: Vec<i8>,
}

impl Noise {
    /// Noise of standard deviation `sigma`, in steps of 255; `None` where it is 0.
    pub(crate) fn new(seed: u64, sigma: f64) -> Option<Self> {
        if sigma == 0.0 {
            return None;
        }
        let mut random = Random::of(&[seed, 0x006e_6f69_7365]);
        // The sum of twelve even numbers of variance 1/12 each is nearly normal, of variance 1.
        let mut normal = || (0..12).map(|_| random.between(-0.5, 0.5)).sum::<f64>();
        let mut table: Vec<i8> =
            (0..TABLE).map(|_| (normal() * sigma).round().clamp(-127.0, 127.0) as i8).collect();
        // A row may start anywhere and go on past the end.
        table.extend_from_within(..);
        Some(Self { seed, table })
    }

    /// Adds the noise of frame `sequence` to rows of `row_bytes` bytes.
    pub(crate) fn add(&self, pixels: &mut [u8], row_bytes: usize, sequence: u64) {
        let mut random = Random::of(&[self.seed, 0x726f_7773, sequence]);
        for row in pixels.chunks_mut(row_bytes) {
            for part in row.chunks_mut(TABLE) {
                let start = random.below(TABLE as u64) as usize;
                for (value, noise) in part.iter_mut().zip(&self.table[start..]) {
                    *value = value.saturating_add_signed(*noise);
                }
            }
        }
    }
}

const TABLE: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_deviation_asked_for_and_differs_from_frame_to_frame() {
        for sigma in [0.8, 2.0, 12.0] {
            let noise = Noise::new(1, sigma).unwrap();
            let noisy = |sequence| {
                let mut pixels = vec![128; 40_000];
                noise.add(&mut pixels, 300, sequence);
                pixels
            };
            let first = noisy(1);
            let squares: f64 = first.iter().map(|value| (f64::from(*value) - 128.0).powi(2)).sum();
            let deviation = (squares / first.len() as f64).sqrt();
            assert!((deviation / sigma - 1.0).abs() < 0.1, "{deviation} instead of {sigma}");
            assert_eq!(first, noisy(1));
            assert_ne!(first, noisy(2));
            assert_ne!(first[..300], first[300..600]);
        }
        assert!(Noise::new(1, 0.0).is_none());
    }
}
