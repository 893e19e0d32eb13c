use std::time::{Duration, Instant, SystemTime};

/// The same moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) wall: SystemTime,
    pub(super) steady: Instant,
}

/// When a file's first line was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub(super) label: SystemTime,
    /// Its age at a moment of the steady clock.
    age: (Duration, Instant),
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { wall: SystemTime::now(), steady: Instant::now() }
    }
}

impl Begun {
    pub(super) fn now(now: Moment) -> Self {
        Self { label: now.wall, age: (Duration::ZERO, now.steady) }
    }

    /// At `label` by the wall clock; what lies ahead of it, is as young as can be.
    pub(super) fn before(label: SystemTime, now: Moment) -> Self {
        let age = now.wall.duration_since(label).unwrap_or_default();
        Self { label, age: (age, now.steady) }
    }

    pub(super) fn age(self, now: Moment) -> Duration {
        let (age, at) = self.age;
        age + now.steady.saturating_duration_since(at)
    }
}
