use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::inspector::Liveness;

/// Tells systemd, where that started the process, how it does: ready once the server answers,
/// alive as long as the supervisor makes progress, stopping.
pub(super) struct ServiceManager {
    /// How often systemd wants to hear from us, with time to spare.
    feed_every: Option<Duration>,
    fed_at: Option<Instant>,
}

impl ServiceManager {
    pub(super) fn new() -> Self {
        // systemd.service(5) advises half of the time after which it kills.
        let feed_every = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Self { feed_every, fed_at: None }
    }

    pub(super) fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Feeds the watchdog if that is due and the process is alive. One that isn't is left to it.
    pub(super) fn feed(&mut self, now: Instant, liveness: &Liveness) {
        let Some(every) = self.feed_every else { return };
        let due = self.fed_at.is_none_or(|at| now.saturating_duration_since(at) >= every);
        if due && *liveness == Liveness::Alive {
            self.fed_at = Some(now);
            tell(&[NotifyState::Watchdog]);
        }
    }

    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// How often [`feed`](Self::feed) has to be called, at least.
    pub(super) fn round(&self) -> Duration {
        let longest = Duration::from_millis(500);
        self.feed_every.map_or(longest, |every| (every / 2).clamp(SHORTEST_ROUND, longest))
    }
}

fn tell(state: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell, which is no failure.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager did not listen");
    }
}

const SHORTEST_ROUND: Duration = Duration::from_millis(10);
