use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A monotonic clock that moves only when told. Cloning shares it.
#[derive(Clone, Debug)]
pub struct FakeClock(Arc<Mutex<Instant>>);

impl FakeClock {
    /// A clock that stands at the present.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// What it shows.
    pub fn now(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves it forwards.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Default for FakeClock {
    fn default() -> Self {
        Self::new()
    }
}
