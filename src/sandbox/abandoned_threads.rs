//! The count of threads that were given up and have not returned.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{RunFault, SandboxLimits};

/// Who has how many abandoned threads; an instance without any is not listed.
#[derive(Debug, Default)]
pub(super) struct AbandonedThreads {
    counts: Mutex<Counts>,
}

/// Abandoned threads now, and since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AbandonedCount {
    /// Given up and still not back.
    pub now: usize,
    /// Given up since the start, those that came back included.
    pub ever: u64,
}

#[derive(Debug, Default)]
struct Counts {
    total: AbandonedCount,
    now_by_instance: HashMap<Arc<str>, usize>,
}

impl AbandonedThreads {
    pub(super) fn total(&self) -> AbandonedCount {
        self.lock().total
    }

    pub(super) fn of(&self, instance: &str) -> usize {
        self.lock().now_by_instance.get(instance).copied().unwrap_or(0)
    }

    /// Whether the instance may have another thread.
    pub(super) fn admit(
        &self,
        instance: &Arc<str>,
        limits: &SandboxLimits,
    ) -> Result<(), RunFault> {
        let counts = self.lock();
        let total = counts.total.now;
        let own = counts.now_by_instance.get(instance).copied().unwrap_or(0);
        if total >= limits.abandoned_per_process {
            Err(RunFault::ProcessCapReached { abandoned: total })
        } else if own >= limits.abandoned_per_instance {
            Err(RunFault::InstanceCapReached { instance: instance.clone(), abandoned: own })
        } else {
            Ok(())
        }
    }

    pub(super) fn add(&self, instance: &Arc<str>) {
        let mut counts = self.lock();
        counts.total.now += 1;
        counts.total.ever += 1;
        *counts.now_by_instance.entry(instance.clone()).or_default() += 1;
    }

    pub(super) fn reclaim(&self, instance: &Arc<str>) {
        let mut counts = self.lock();
        counts.total.now -= 1;
        let own = counts.now_by_instance.get_mut(instance).expect("added before it is reclaimed");
        *own -= 1;
        if *own == 0 {
            counts.now_by_instance.remove(instance);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> SandboxLimits {
        SandboxLimits {
            abandoned_per_instance: 2,
            abandoned_per_process: 3,
            ..SandboxLimits::default()
        }
    }

    #[test]
    fn an_instance_at_its_cap_gets_no_thread_until_one_returns() {
        let threads = AbandonedThreads::default();
        let tracker: Arc<str> = "tracker".into();
        threads.add(&tracker);
        assert!(threads.admit(&tracker, &limits()).is_ok());
        threads.add(&tracker);
        let refused = threads.admit(&tracker, &limits()).unwrap_err();
        assert!(matches!(refused, RunFault::InstanceCapReached { abandoned: 2, .. }));
        assert_eq!(refused.code(), "sandbox.instance_cap_reached");
        assert!(threads.admit(&"stats".into(), &limits()).is_ok(), "others may");

        threads.reclaim(&tracker);
        assert!(threads.admit(&tracker, &limits()).is_ok());
        assert_eq!(threads.of("tracker"), 1);
        assert_eq!(threads.total(), AbandonedCount { now: 1, ever: 2 });
    }

    #[test]
    fn a_process_at_its_cap_gives_nobody_a_thread() {
        let threads = AbandonedThreads::default();
        for instance in ["a", "b", "c"] {
            threads.add(&instance.into());
        }
        let refused = threads.admit(&"d".into(), &limits()).unwrap_err();
        assert!(matches!(refused, RunFault::ProcessCapReached { abandoned: 3 }));
        assert_eq!(refused.code(), "sandbox.process_cap_reached");
    }

    #[test]
    fn an_instance_without_abandoned_threads_takes_no_room() {
        let threads = AbandonedThreads::default();
        for number in 0..100 {
            let instance: Arc<str> = format!("plugin-{number}").into();
            threads.add(&instance);
            threads.reclaim(&instance);
        }
        assert!(threads.lock().now_by_instance.is_empty());
    }
}
