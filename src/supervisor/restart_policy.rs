use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::loader::{Backoff, BackoffPolicy};

/// When and how often a faulty instance is started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Restarts within the window before it is quarantined.
    pub budget: u32,
    /// Over which restarts and faults are counted.
    pub window: Duration,
    /// Pauses before a restart.
    pub backoff: BackoffPolicy,
}

/// What an instance's faults have led to so far. Pure: time is passed in.
#[derive(Debug)]
pub struct RestartLedger {
    policy: RestartPolicy,
    backoff: Backoff,
    restarts: VecDeque<Instant>,
    session_faults: VecDeque<Instant>,
    /// Since when it is available.
    up_since: Option<Instant>,
    total: u64,
}

/// What to do about a FAILED instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Start it again after this time.
    RestartAfter(Duration),
    /// Leave it alone: the budget is spent.
    Quarantine,
}

impl RestartLedger {
    /// A clean ledger; `name` spreads the jitter.
    pub fn new(policy: RestartPolicy, name: &str) -> Self {
        Self {
            backoff: Backoff::new(policy.backoff, name),
            policy,
            restarts: VecDeque::new(),
            session_faults: VecDeque::new(),
            up_since: None,
            total: 0,
        }
    }

    /// A session ended by a fault; says whether that is one too many, so that the instance is to
    /// be built anew.
    pub fn session_faulted(&mut self, now: Instant) -> bool {
        forget(&mut self.session_faults, self.policy.window, now);
        self.session_faults.push_back(now);
        if self.session_faults.len() < SESSION_FAULTS_MAX {
            return false;
        }
        self.session_faults.clear();
        true
    }

    /// The instance is INITIALIZED.
    pub fn came_up(&mut self, now: Instant) {
        self.up_since = Some(now);
    }

    /// The instance is FAILED. Changes nothing but the next pause.
    pub fn failed(&mut self, now: Instant) -> Verdict {
        forget(&mut self.restarts, self.policy.window, now);
        let up_for = self.up_since.take().map(|since| now.saturating_duration_since(since));
        if up_for.is_some_and(|up_for| up_for >= self.policy.window) {
            // It went well for a whole window: back-off begins anew.
            self.backoff.reset();
        }
        if self.restarts.len() >= self.policy.budget as usize {
            return Verdict::Quarantine;
        }
        Verdict::RestartAfter(self.backoff.next_wait())
    }

    /// The instance is started again.
    pub fn restarted(&mut self, now: Instant) {
        self.restarts.push_back(now);
        self.total += 1;
    }

    /// A person asked for a reload: what was before is forgiven.
    pub fn forgive(&mut self) {
        self.restarts.clear();
        self.session_faults.clear();
        self.backoff.reset();
    }

    /// Goes by another policy from now on. What was before still counts; the pauses begin anew.
    pub fn set_policy(&mut self, policy: RestartPolicy) {
        self.backoff.set_policy(policy.backoff);
        self.policy = policy;
    }

    /// Restarts since the process began.
    pub fn restarts_total(&self) -> u64 {
        self.total
    }

    /// The policy.
    pub fn policy(&self) -> &RestartPolicy {
        &self.policy
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            budget: 5,
            window: Duration::from_secs(600),
            backoff: BackoffPolicy {
                first: Duration::from_secs(1),
                longest: Duration::from_secs(120),
            },
        }
    }
}

fn forget(times: &mut VecDeque<Instant>, window: Duration, now: Instant) {
    while times.front().is_some_and(|time| now.saturating_duration_since(*time) > window) {
        times.pop_front();
    }
}

/// Session faults within the window that build the instance anew.
const SESSION_FAULTS_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(budget: u32) -> (RestartLedger, Instant) {
        let policy = RestartPolicy { budget, ..RestartPolicy::default() };
        (RestartLedger::new(policy, "tracker"), Instant::now())
    }

    #[test]
    fn the_second_fault_of_a_session_within_the_window_is_the_instances() {
        let (mut ledger, now) = ledger(5);
        assert!(!ledger.session_faulted(now));
        assert!(ledger.session_faulted(now + Duration::from_secs(599)));
        // Counted anew from there on, and forgotten after the window.
        assert!(!ledger.session_faulted(now + Duration::from_secs(600)));
        assert!(!ledger.session_faulted(now + Duration::from_secs(1300)));
    }

    #[test]
    fn a_spent_budget_quarantines_until_forgiven() {
        let (mut ledger, now) = ledger(2);
        for restarts in 0..2 {
            assert!(matches!(ledger.failed(now), Verdict::RestartAfter(_)));
            assert_eq!(ledger.restarts_total(), restarts, "planned is not done");
            ledger.restarted(now);
        }
        assert_eq!(ledger.failed(now), Verdict::Quarantine);
        assert_eq!(ledger.restarts_total(), 2);
        ledger.forgive();
        assert!(matches!(ledger.failed(now), Verdict::RestartAfter(_)));
    }

    #[test]
    fn a_week_of_failing_now_and_then_is_within_the_budget() {
        let (mut ledger, start) = ledger(2);
        // Twice an hour; three within ten minutes would be one too many.
        for half_hour in 1..=7 * 48 {
            let now = start + Duration::from_secs(half_hour * 1800);
            assert!(matches!(ledger.failed(now), Verdict::RestartAfter(_)), "{half_hour}");
            ledger.restarted(now);
        }
        assert_eq!(ledger.restarts_total(), 7 * 48);
    }

    #[test]
    fn waits_grow_until_it_is_up_for_a_whole_window() {
        let (mut ledger, now) = ledger(9);
        let wait = |verdict| match verdict {
            Verdict::RestartAfter(wait) => wait,
            Verdict::Quarantine => panic!("within the budget"),
        };
        let first = wait(ledger.failed(now));
        let fourth = (0..3).map(|_| wait(ledger.failed(now))).last().unwrap();
        assert!(fourth > first * 4, "{first:?} {fourth:?}");
        // Time alone mends nothing.
        let day = Duration::from_secs(86_400);
        let later = wait(ledger.failed(now + day));
        assert!(later > fourth, "{fourth:?} {later:?}");
        ledger.came_up(now + day);
        let soon = wait(ledger.failed(now + day + Duration::from_secs(599)));
        assert!(soon > later, "{later:?} {soon:?}");
        ledger.came_up(now + 2 * day);
        let anew = wait(ledger.failed(now + 2 * day + Duration::from_secs(600)));
        assert!(anew <= Duration::from_millis(1200), "{anew:?}");
    }
}
