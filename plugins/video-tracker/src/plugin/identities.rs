use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// The next track id of each stream, so that a stream whose session was opened anew, after a
/// fault or a reconnect, uses no id twice.
#[derive(Debug, Default)]
pub(super) struct Identities(Mutex<Known>);

#[derive(Debug)]
struct Known {
    next: BTreeMap<String, Arc<AtomicU64>>,
    /// Where streams begin that are not known; above all ids of those forgotten.
    first: u64,
}

impl Identities {
    /// The counter of a stream.
    pub(super) fn of(&self, stream: &str) -> Arc<AtomicU64> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = known.next.get(stream) {
            return next.clone();
        }
        if known.next.len() >= STREAMS_MAX {
            known.forget_idle();
        }
        let next = Arc::new(AtomicU64::new(known.first));
        known.next.insert(stream.to_owned(), next.clone());
        next
    }
}

impl Known {
    /// Forgets streams without a session. The number of sessions is the host's to bound.
    fn forget_idle(&mut self) {
        let Self { next, first } = self;
        next.retain(|_, next| {
            let in_use = Arc::strong_count(next) > 1;
            if !in_use {
                *first = (*first).max(next.load(Relaxed));
            }
            in_use
        });
    }
}

impl Default for Known {
    fn default() -> Self {
        Self { next: BTreeMap::new(), first: 1 }
    }
}

const STREAMS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_goes_on_where_it_was() {
        let identities = Identities::default();
        identities.of("door").store(17, Relaxed);
        assert_eq!(identities.of("door").load(Relaxed), 17);
        assert_eq!(identities.of("yard").load(Relaxed), 1);
    }

    #[test]
    fn forgotten_streams_leave_their_ids_behind() {
        let identities = Identities::default();
        let door = identities.of("door");
        door.store(5, Relaxed);
        for call in 1..=STREAMS_MAX {
            identities.of(&format!("call {call}")).store(900, Relaxed);
        }
        assert_eq!(identities.of("yet another").load(Relaxed), 900);
        assert!(Arc::ptr_eq(&door, &identities.of("door")));
    }
}
