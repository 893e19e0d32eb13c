use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Hands items from one thread to another, by one of two rules.
pub struct Mailbox<T> {
    mode: MailboxMode,
    parts: Mutex<Parts<T>>,
    changed: Condvar,
}

struct Parts<T> {
    queue: VecDeque<T>,
    dropped: u64,
    open: bool,
    ended: bool,
}

/// What happens to an item for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailboxMode {
    /// It replaces the one that waits: never latency.
    Newest,
    /// Whoever brings it waits: nothing is lost.
    Every,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It waits for its reader.
    Kept,
    /// It replaced an older one, which is lost.
    Replaced,
    /// The reader takes nothing at present; the item is lost.
    Refused,
}

/// What came of waiting for an item.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// An item.
    Item(T),
    /// Nothing came within the time.
    Nothing,
    /// Nothing will come any more.
    Ended,
}

impl<T> Mailbox<T> {
    /// An empty mailbox.
    pub fn new(mode: MailboxMode) -> Self {
        let parts = Parts { queue: VecDeque::new(), dropped: 0, open: true, ended: false };
        Self { mode, parts: Mutex::new(parts), changed: Condvar::new() }
    }

    /// Puts an item in; in mode Every it may wait for room until `is_stopped` says that it need
    /// not, which is asked now and then and after each [`wake`](Self::wake).
    pub fn put(&self, item: T, is_stopped: impl Fn() -> bool) -> Put {
        let mut parts = self.parts();
        loop {
            if !parts.open || parts.ended {
                parts.dropped += 1;
                return Put::Refused;
            }
            if parts.queue.len() < self.mode.depth() {
                parts.queue.push_back(item);
                drop(parts);
                self.changed.notify_all();
                return Put::Kept;
            }
            if self.mode == MailboxMode::Newest {
                parts.dropped += 1;
                let _lost = std::mem::replace(&mut parts.queue[0], item);
                // The reader was told of the one replaced; the lost frame is dropped unlocked.
                drop(parts);
                return Put::Replaced;
            }
            if is_stopped() {
                parts.dropped += 1;
                return Put::Refused;
            }
            parts = self.wait(parts, ASK_EVERY);
        }
    }

    /// Takes the next item, waiting for it at most `limit`.
    pub fn take(&self, limit: Duration) -> Taken<T> {
        let end = Instant::now() + limit;
        let mut parts = self.parts();
        loop {
            if let Some(item) = parts.queue.pop_front() {
                drop(parts);
                self.changed.notify_all();
                return Taken::Item(item);
            }
            if parts.ended {
                return Taken::Ended;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Taken::Nothing;
            }
            parts = self.wait(parts, left);
        }
    }

    /// Says whether items are taken at present; those that wait are lost when it closes.
    pub fn set_open(&self, open: bool) {
        let mut parts = self.parts();
        parts.open = open;
        let lost = if open { VecDeque::new() } else { std::mem::take(&mut parts.queue) };
        parts.dropped += lost.len() as u64;
        drop(parts);
        self.changed.notify_all();
        // Unlocked, since a frame's pixels and decoder are a source's.
        drop(lost);
    }

    /// No more items will come; those that wait are still taken.
    pub fn end(&self) {
        self.parts().ended = true;
        self.changed.notify_all();
    }

    /// Whether [`end`](Self::end) was called.
    pub fn has_ended(&self) -> bool {
        self.parts().ended
    }

    /// Ends waits, so that whoever waits looks round.
    pub fn wake(&self) {
        self.changed.notify_all();
    }

    /// Items lost so far.
    pub fn dropped(&self) -> u64 {
        self.parts().dropped
    }

    fn parts(&self) -> MutexGuard<'_, Parts<T>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        parts: MutexGuard<'a, Parts<T>>,
        limit: Duration,
    ) -> MutexGuard<'a, Parts<T>> {
        self.changed.wait_timeout(parts, limit).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl MailboxMode {
    /// Items that may wait.
    fn depth(self) -> usize {
        match self {
            Self::Newest => 1,
            // Enough that decoding the next picture and working on this one overlap.
            Self::Every => 4,
        }
    }
}

/// How often a waiting source asks whether it should stop.
const ASK_EVERY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, mpsc},
        thread,
    };

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn newest_replaces_and_counts() {
        let mailbox = Mailbox::new(MailboxMode::Newest);
        assert_eq!(mailbox.put(1, || false), Put::Kept);
        assert_eq!(mailbox.put(2, || false), Put::Replaced);
        assert_eq!(mailbox.put(3, || false), Put::Replaced);
        assert_eq!(mailbox.take(LONG), Taken::Item(3));
        assert_eq!(mailbox.take(Duration::ZERO), Taken::Nothing);
        assert_eq!(mailbox.dropped(), 2);
    }

    #[test]
    fn every_waits_and_loses_nothing() {
        let mailbox = Mailbox::new(MailboxMode::Every);
        thread::scope(|scope| {
            scope.spawn(|| {
                for item in 0..1000 {
                    assert_eq!(mailbox.put(item, || false), Put::Kept);
                }
                mailbox.end();
            });
            for expected in 0..1000 {
                assert_eq!(mailbox.take(LONG), Taken::Item(expected));
            }
            assert_eq!(mailbox.take(LONG), Taken::Ended);
        });
        assert_eq!(mailbox.dropped(), 0);
    }

    #[test]
    fn a_source_that_waits_can_be_stopped() {
        let mailbox = Mailbox::new(MailboxMode::Every);
        for item in 0..4 {
            mailbox.put(item, || false);
        }
        assert_eq!(mailbox.put(4, || true), Put::Refused);
    }

    #[test]
    fn what_is_lost_is_dropped_while_nothing_is_locked() {
        struct Looks(std::sync::Weak<Mailbox<Looks>>, mpsc::Sender<bool>);
        impl Drop for Looks {
            fn drop(&mut self) {
                let free = self.0.upgrade().is_some_and(|mailbox| mailbox.parts.try_lock().is_ok());
                self.1.send(free).unwrap();
            }
        }
        let (say, heard) = mpsc::channel();
        for mode in [MailboxMode::Newest, MailboxMode::Every] {
            let mailbox = Arc::new(Mailbox::new(mode));
            let put = || mailbox.put(Looks(Arc::downgrade(&mailbox), say.clone()), || true);
            // As many as fit, one beyond that; then all that wait are lost, and one more.
            for _ in 0..=mode.depth() {
                put();
            }
            mailbox.set_open(false);
            put();
        }
        let free: Vec<bool> = heard.try_iter().collect();
        assert_eq!(free, [true; 3 + 6]);
    }

    #[test]
    fn a_closed_mailbox_refuses_and_opens_again() {
        let mailbox = Mailbox::new(MailboxMode::Every);
        mailbox.put(1, || false);
        mailbox.set_open(false);
        assert_eq!(mailbox.put(2, || false), Put::Refused);
        assert_eq!(mailbox.dropped(), 2);
        mailbox.set_open(true);
        assert_eq!(mailbox.put(3, || false), Put::Kept);
        assert_eq!(mailbox.take(LONG), Taken::Item(3));
    }
}
