use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::health::{HealthRoute, HealthSource, Reply};

/// The answer to `/v1/plugins`, which dashboards ask for again and again: made anew when any
/// plugin's state has changed, and when its counts are older than [`COUNTS_AGE_MAX`].
#[derive(Default)]
pub(super) struct PluginsList(Mutex<Option<Made>>);

struct Made {
    /// How many were made before and kept.
    number: u64,
    /// Of the states, read before the rest was: it is never newer than they are.
    version: u64,
    at: Instant,
    reply: Reply,
}

impl PluginsList {
    pub(super) fn reply(&self, source: &dyn HealthSource, now: Instant) -> Reply {
        loop {
            let version = source.states_version();
            let number = {
                let made = self.made();
                match &*made {
                    Some(made)
                        if made.version == version
                            && now.saturating_duration_since(made.at) < COUNTS_AGE_MAX =>
                    {
                        return made.reply.clone();
                    }
                    Some(made) => made.number + 1,
                    None => 0,
                }
            };
            // Without the lock, so that nobody waits.
            let reply = HealthRoute::Plugins.answer(source);
            let mut made = self.made();
            if made.as_ref().map_or(0, |made| made.number + 1) == number {
                *made = Some(Made { number, version, at: now, reply: reply.clone() });
                return reply;
            }
            // Somebody else kept one meanwhile, which may count more than this one: who got that
            // would see counts go back. It will do for this request, too, unless a state has
            // changed since.
        }
    }

    fn made(&self) -> MutexGuard<'_, Option<Made>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How old counts and times in the list may be; states never are.
const COUNTS_AGE_MAX: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;
    use crate::inspector::{Liveness, PluginReport, Readiness};

    #[derive(Default)]
    struct Counting {
        version: AtomicU64,
        asked: AtomicU64,
        /// Asks as well, while it is asked for the first time.
        list: Option<PluginsList>,
    }

    impl HealthSource for Counting {
        fn states_version(&self) -> u64 {
            self.version.load(Relaxed)
        }

        fn plugins(&self) -> Vec<PluginReport> {
            let before = self.asked.fetch_add(1, Relaxed);
            if let Some(list) = &self.list
                && before == 0
            {
                list.reply(self, Instant::now());
            }
            Vec::new()
        }

        fn liveness(&self) -> Liveness {
            Liveness::Alive
        }

        fn readiness(&self) -> Readiness {
            Readiness::default()
        }
    }

    #[test]
    fn counts_may_be_a_little_old_and_states_never() {
        let (list, source) = (PluginsList::default(), Counting::default());
        let start = Instant::now();
        let asked = |after| {
            let reply = list.reply(&source, start + Duration::from_millis(after));
            assert_eq!(reply.body, "[]");
            source.asked.load(Relaxed)
        };
        assert_eq!([asked(0), asked(0), asked(99)], [1, 1, 1]);
        assert_eq!([asked(100), asked(150)], [2, 2]);
        source.version.store(7, Relaxed);
        assert_eq!([asked(150), asked(151)], [3, 3]);
    }

    #[test]
    fn nobody_sees_an_older_list_after_a_newer_one() {
        let source = Counting { list: Some(PluginsList::default()), ..Counting::default() };
        let list = source.list.as_ref().unwrap();
        list.reply(&source, Instant::now());
        // The first was overtaken by the second, so the second is what there is.
        assert_eq!(source.asked.load(Relaxed), 2);
        let numbers = |list: &PluginsList| list.made().as_ref().map(|made| made.number);
        assert_eq!(numbers(list), Some(0));
    }
}
