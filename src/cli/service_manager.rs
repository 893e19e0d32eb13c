use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::inspector::Liveness;

/// Tells systemd, where that started the process, how it does: ready once the server answers,
/// alive as long as the supervisor makes progress, reading its configuration again, stopping.
pub(super) struct ServiceManager {
    /// How often systemd wants to hear from us, with time to spare.
    feed_every: Option<Duration>,
    fed_at: Option<Instant>,
    /// What it does, in a line.
    status: String,
}

impl ServiceManager {
    pub(super) fn new(status: String) -> Self {
        // systemd.service(5) advises half of the time after which it kills.
        let feed_every = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Self { feed_every, fed_at: None, status }
    }

    pub(super) fn ready(&self) {
        tell(&[NotifyState::Ready, NotifyState::Status(&self.status)]);
    }

    /// The configuration is being read again. The time tells the answer to an older request from
    /// that to a newer one.
    pub(super) fn rereading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!(%error, "the clock has no time for the service manager"),
        }
    }

    /// That is over, and was refused for this reason if there is one.
    pub(super) fn reread(&self, refused: Option<&str>) {
        let status = match refused {
            None => self.status.clone(),
            // A line of its own would be a word of its own to the service manager.
            Some(reason) => {
                format!("{}; nothing changed: {}", self.status, reason.replace('\n', " "))
            }
        };
        tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds at each of `seconds`, as the process is then; says when that reached systemd.
    fn fed_at(feed_every: Option<u64>, seconds: &[(u64, bool)]) -> Vec<u64> {
        let start = Instant::now();
        let feed_every = feed_every.map(Duration::from_secs);
        let mut manager = ServiceManager { feed_every, fed_at: None, status: String::new() };
        let mut fed = Vec::new();
        for (second, alive) in seconds {
            let lost = || Liveness::ContainmentLost { reason: "stuck".to_owned() };
            let liveness = if *alive { Liveness::Alive } else { lost() };
            let now = start + Duration::from_secs(*second);
            manager.feed(now, &liveness);
            if manager.fed_at == Some(now) {
                fed.push(*second);
            }
        }
        fed
    }

    #[test]
    fn the_watchdog_is_fed_when_that_is_due_and_the_process_alive() {
        let healthy = [(0, true), (1, true), (2, true), (3, true), (5, true)];
        assert_eq!(fed_at(Some(2), &healthy), [0, 2, 5]);
        assert!(fed_at(None, &healthy).is_empty(), "nobody asked for it");
        let lost = [(0, true), (2, false), (4, false), (60, false)];
        assert_eq!(fed_at(Some(2), &lost), [0]);
        let back = [(0, true), (2, false), (3, true), (5, true)];
        assert_eq!(fed_at(Some(2), &back), [0, 3, 5]);
    }
}
