use std::time::{Duration, Instant, SystemTime};

/// What time it is, for whatever waits for a time to come: restarts, probes, sessions and sources
/// that are opened again. The machine's is [`SystemClock`]; a test has one that moves when told.
///
/// Time limits of plugin code are not by this clock, since that code really runs.
pub trait Clock: Send + Sync + 'static {
    /// Monotonic time. Everything that is decided goes by it.
    fn now(&self) -> Instant;

    /// Wall time, which people set and which jumps. Nothing is decided by it.
    fn wall(&self) -> SystemTime;

    /// How long somebody who waits for `left` to pass on this clock really waits, at most, before
    /// looking at it again.
    fn patience(&self, left: Duration) -> Duration;

    /// The wall clock's label for a monotonic moment, as things are now; for output.
    fn label(&self, at: Instant) -> SystemTime {
        let (now, wall) = (self.now(), self.wall());
        wall.checked_sub(now.saturating_duration_since(at)).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn patience(&self, left: Duration) -> Duration {
        left
    }
}
