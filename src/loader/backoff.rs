use std::time::Duration;

/// How long to wait before trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffPolicy {
    /// Before the first attempt.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

/// Waiting times that double from attempt to attempt, each moved by up to a fifth so that what
/// failed together isn't tried again together.
#[derive(Clone, Debug)]
pub struct Backoff {
    policy: BackoffPolicy,
    attempt: u32,
    jitter: u64,
}

impl Backoff {
    /// Begins at the policy's first time; `seed` (anything that differs between waiters) decides
    /// the jitter.
    pub fn new(policy: BackoffPolicy, seed: &str) -> Self {
        // FNV-1a spreads names well enough, and xorshift needs a state that isn't 0.
        let jitter = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { policy, attempt: 0, jitter: jitter | 1 }
    }

    /// Goes by another policy, from its first time on.
    pub fn set_policy(&mut self, policy: BackoffPolicy) {
        (self.policy, self.attempt) = (policy, 0);
    }

    /// The time to wait before the next attempt; each call doubles it.
    pub fn next_wait(&mut self) -> Duration {
        let doubled = self.policy.first.saturating_mul(1 << self.attempt.min(20));
        self.attempt = self.attempt.saturating_add(1);
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        let share = 0.8 + 0.4 * (self.jitter >> 11) as f64 / (1u64 << 53) as f64;
        doubled.min(self.policy.longest).mul_f64(share)
    }

    /// Attempts since the last success.
    pub fn attempts(&self) -> u32 {
        self.attempt
    }

    /// An attempt succeeded: the next wait is the first again.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: BackoffPolicy =
        BackoffPolicy { first: Duration::from_secs(1), longest: Duration::from_secs(120) };

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(POLICY, "door");
        let waits: Vec<f64> = (0..12).map(|_| backoff.next_wait().as_secs_f64()).collect();
        for (index, wait) in waits.iter().enumerate() {
            let middle = f64::from(1 << index.min(20)).min(120.0);
            assert!((middle * 0.8..=middle * 1.2).contains(wait), "{index}: {wait}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(1200));
    }

    #[test]
    fn two_waiters_do_not_march_in_step() {
        let (mut door, mut drive) = (Backoff::new(POLICY, "door"), Backoff::new(POLICY, "drive"));
        let waits = |backoff: &mut Backoff| (0..4).map(|_| backoff.next_wait()).collect::<Vec<_>>();
        assert_ne!(waits(&mut door), waits(&mut drive));
    }

    #[test]
    fn no_number_of_attempts_overflows() {
        let mut backoff = Backoff::new(POLICY, "x");
        backoff.attempt = u32::MAX - 1;
        for _ in 0..3 {
            assert!(backoff.next_wait() <= Duration::from_secs(144));
        }
    }
}
