use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use keepsight::loader::Clock;
use keepsight_contract::testing::FakeClock;

/// A clock that moves when a test says so, and whose wall time jumps when it says so.
#[derive(Clone)]
pub(crate) struct ManualClock {
    steady: FakeClock,
    wall: Arc<Mutex<SystemTime>>,
}

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self { steady: FakeClock::new(), wall: Arc::new(Mutex::new(SystemTime::now())) }
    }

    /// Time passes, on both of its faces.
    pub(crate) fn advance(&self, by: Duration) {
        *self.wall.lock().unwrap() += by;
        self.steady.advance(by);
    }

    /// Somebody sets the wall clock.
    pub(crate) fn set_wall(&self, to: SystemTime) {
        *self.wall.lock().unwrap() = to;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.steady.now()
    }

    fn wall(&self) -> SystemTime {
        *self.wall.lock().unwrap()
    }

    fn patience(&self, left: Duration) -> Duration {
        left.min(Duration::from_millis(1))
    }
}
