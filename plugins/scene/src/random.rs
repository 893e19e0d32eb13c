//! Numbers that follow from the seed alone.

/// A sequence of random numbers: SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom
/// Number Generators", OOPSLA 2014).
pub(crate) struct Random(u64);

impl Random {
    /// The sequence that belongs to `keys`; sequences of different keys have nothing in common.
    pub(crate) fn of(keys: &[u64]) -> Self {
        let mut random = Self(0x6b65_6570_7369_6768);
        for key in keys {
            random.0 ^= *key;
            random.0 = random.next();
        }
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly spread over `low..high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Evenly spread over `0..bound`; `bound` is small beside 2⁶⁴ and not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Sine of a number of turns: `sine(0.25)` is 1. Within 1e-9, and the same on every machine,
/// which the system's sine is not.
///
/// Taylor's polynomial to the thirteenth power over a quarter turn.
pub(crate) fn sine(turns: f64) -> f64 {
    let turn = turns - turns.floor();
    let (sign, half) = if turn < 0.5 { (1.0, turn) } else { (-1.0, turn - 0.5) };
    let x = half.min(0.5 - half) * std::f64::consts::TAU;
    let square = x * x;
    // 1 - x²/3! + x⁴/5! …, from its last term inwards.
    let series = [156.0, 110.0, 72.0, 42.0, 20.0, 6.0]
        .iter()
        .fold(1.0, |inner, divisor| 1.0 - square / divisor * inner);
    sign * x * series
}

/// Cosine of a number of turns; see [`sine`].
pub(crate) fn cosine(turns: f64) -> f64 {
    sine(turns + 0.25)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_is_sine() {
        for step in -4000..4000 {
            let turns = f64::from(step) / 999.0;
            let expected = (turns * std::f64::consts::TAU).sin();
            assert!((sine(turns) - expected).abs() < 1e-9, "{turns}");
        }
    }

    #[test]
    fn numbers_spread_evenly_and_follow_from_their_keys() {
        let mut random = Random::of(&[7, 1]);
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            tenths[(random.between(0.0, 1.0) * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (900..1100).contains(count)), "{tenths:?}");
        assert_eq!(Random::of(&[1, 2]).next(), Random::of(&[1, 2]).next());
        assert_ne!(Random::of(&[1, 2]).next(), Random::of(&[2, 1]).next());
    }
}
