//! The watchdog: one thread that knows when the earliest deadline is due.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// Sleeps until the earliest deadline of those it watches, and tells them that it is due.
///
/// Arming is cheap because it is not an event: who is watched stores its deadline where the
/// watchdog will read it, and wakes the watchdog only if that is earlier than it meant to wake by
/// itself. A worker that makes a call a millisecond, each with 5 s, costs one wake-up every 5 s.
///
/// No wake-up is lost: the watched publishes its deadline *before* it reads the planned time of
/// waking, the watchdog publishes that time *before* it reads the deadlines once more, all of it
/// sequentially consistent; so at least one of them sees the other.
#[derive(Debug)]
pub struct Watchdog {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// Something with a deadline.
pub trait Watched: Send + Sync {
    /// When to be told, in [`nanoseconds`](Watchdog::nanos) of the watchdog; [`NEVER`](Watchdog::NEVER) if not.
    fn due(&self) -> u64;

    /// The time `due` has come. Must return quickly, and `due` must name another time after it.
    fn expire(&self, now: u64);
}

struct Shared {
    epoch: Instant,
    /// When the watchdog will look again by itself, in nanoseconds of its epoch.
    next_wake: AtomicU64,
    watched: Mutex<Vec<Arc<dyn Watched>>>,
    stopping: AtomicBool,
}

impl Watchdog {
    /// A deadline that never comes.
    pub const NEVER: u64 = u64::MAX;

    /// Starts the thread `keepsight-watchdog`. It ends when the watchdog is dropped.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start() -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            epoch: Instant::now(),
            next_wake: AtomicU64::new(Self::NEVER),
            watched: Mutex::new(Vec::new()),
            stopping: AtomicBool::new(false),
        });
        let thread = thread::Builder::new().name("keepsight-watchdog".into()).spawn({
            let shared = shared.clone();
            move || shared.watch()
        })?;
        Ok(Arc::new(Self { shared, thread }))
    }

    /// Nanoseconds since this watchdog started; it lasts for five centuries.
    #[must_use]
    pub fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.shared.epoch).as_nanos())
            .unwrap_or(Self::NEVER - 1)
    }

    /// The moment that is `nanos` after this watchdog's start.
    #[must_use]
    pub fn instant(&self, nanos: u64) -> Instant {
        self.shared.epoch + Duration::from_nanos(nanos)
    }

    /// Its thread: to be unparked when something watched has become due by itself.
    #[must_use]
    pub(super) fn thread(&self) -> Thread {
        self.thread.thread().clone()
    }

    /// Watches from now on, until [`release`](Self::release).
    pub fn watch(&self, watched: Arc<dyn Watched>) {
        self.shared.watched().push(watched);
    }

    /// Watches no longer.
    pub fn release(&self, watched: &Arc<impl Watched>) {
        let address = Arc::as_ptr(watched).cast::<()>();
        self.shared.watched().retain(|other| Arc::as_ptr(other).cast::<()>() != address);
    }

    /// Says that somebody watched is due at `due` from now on. It must have published that, by a
    /// sequentially consistent write, before it calls this.
    pub fn arm(&self, due: u64) {
        let next_wake = &self.shared.next_wake;
        if due < next_wake.load(Ordering::SeqCst)
            && due < next_wake.fetch_min(due, Ordering::SeqCst)
        {
            self.thread.thread().unpark();
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.thread.thread().unpark();
    }
}

impl Shared {
    fn watch(&self) {
        let mut due_now: Vec<Arc<dyn Watched>> = Vec::new();
        while !self.stopping.load(Ordering::SeqCst) {
            let now = self.now();
            let mut next = Watchdog::NEVER;
            for watched in self.watched().iter() {
                match watched.due() {
                    due if due <= now => due_now.push(watched.clone()),
                    due => next = next.min(due),
                }
            }
            if !due_now.is_empty() {
                for watched in due_now.drain(..) {
                    // Nothing here is foreign code, but this thread is the last that may die.
                    if catch_unwind(AssertUnwindSafe(|| watched.expire(now))).is_err() {
                        tracing::error!("a deadline's handler panicked");
                    }
                }
                continue;
            }

            self.next_wake.store(next, Ordering::SeqCst);
            if self.watched().iter().any(|watched| watched.due() < next) {
                continue;
            }
            match next {
                Watchdog::NEVER => thread::park(),
                next => thread::park_timeout(Duration::from_nanos(next - now)),
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(Watchdog::NEVER - 1)
    }

    fn watched(&self) -> MutexGuard<'_, Vec<Arc<dyn Watched>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("watched", &self.watched().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    const BOUND: Duration = Duration::from_secs(30);

    /// Reports once when it is due.
    struct Bell {
        due: AtomicU64,
        rung: Sender<(u64, Option<String>)>,
    }

    impl Watched for Bell {
        fn due(&self) -> u64 {
            self.due.load(Ordering::SeqCst)
        }

        fn expire(&self, now: u64) {
            self.due.store(Watchdog::NEVER, Ordering::SeqCst);
            let thread = thread::current().name().map(str::to_owned);
            self.rung.send((now, thread)).expect("the test listens");
        }
    }

    fn bell(watchdog: &Watchdog) -> (Arc<Bell>, Receiver<(u64, Option<String>)>) {
        let (rung, rings) = mpsc::channel();
        let bell = Arc::new(Bell { due: AtomicU64::new(Watchdog::NEVER), rung });
        watchdog.watch(bell.clone());
        (bell, rings)
    }

    fn set(watchdog: &Watchdog, bell: &Bell, due: u64) {
        bell.due.store(due, Ordering::SeqCst);
        watchdog.arm(due);
    }

    #[test]
    fn a_deadline_rings_on_the_watchdogs_thread_and_not_early() {
        let watchdog = Watchdog::start().unwrap();
        let (bell, rings) = bell(&watchdog);
        for _ in 0..20 {
            let due = watchdog.nanos(Instant::now() + Duration::from_micros(300));
            set(&watchdog, &bell, due);
            let (at, thread) = rings.recv_timeout(BOUND).expect("it rings");
            assert!(at >= due);
            assert_eq!(thread.as_deref(), Some("keepsight-watchdog"));
        }
    }

    #[test]
    fn an_earlier_deadline_is_not_held_up_by_a_later_one() {
        let watchdog = Watchdog::start().unwrap();
        let (late, late_rings) = bell(&watchdog);
        let (early, early_rings) = bell(&watchdog);
        set(&watchdog, &late, watchdog.nanos(Instant::now() + Duration::from_secs(3600)));
        set(&watchdog, &early, watchdog.nanos(Instant::now() + Duration::from_micros(100)));
        early_rings.recv_timeout(BOUND).expect("an hour early");
        assert!(late_rings.try_recv().is_err());

        // And the later one, brought forward, is heard too.
        set(&watchdog, &late, watchdog.nanos(Instant::now()));
        late_rings.recv_timeout(BOUND).expect("brought forward");
    }

    #[test]
    fn no_deadline_is_lost_among_many_that_come_and_go() {
        let watchdog = Watchdog::start().unwrap();
        thread::scope(|scope| {
            for worker in 1..=4_u64 {
                let watchdog = &watchdog;
                scope.spawn(move || {
                    let (bell, rings) = bell(watchdog);
                    for round in 0..500_u64 {
                        let wait = Duration::from_nanos((round * worker * 7919) % 50_000);
                        set(watchdog, &bell, watchdog.nanos(Instant::now() + wait));
                        rings.recv_timeout(BOUND).expect("it rings");
                    }
                    watchdog.release(&bell);
                });
            }
        });
        assert!(watchdog.shared.watched().is_empty());
    }

    #[test]
    fn a_handler_that_panics_does_not_end_the_watchdog() {
        struct Faulty(AtomicU64);
        impl Watched for Faulty {
            fn due(&self) -> u64 {
                self.0.load(Ordering::SeqCst)
            }
            fn expire(&self, _now: u64) {
                self.0.store(Watchdog::NEVER, Ordering::SeqCst);
                std::panic::resume_unwind(Box::new("no hook, no noise"));
            }
        }
        let watchdog = Watchdog::start().unwrap();
        let (bell, rings) = bell(&watchdog);
        watchdog.watch(Arc::new(Faulty(AtomicU64::new(0))));
        watchdog.arm(0);
        set(&watchdog, &bell, watchdog.nanos(Instant::now()));
        rings.recv_timeout(BOUND).expect("it still rings");
    }

    #[test]
    fn the_thread_ends_with_the_watchdog() {
        let watchdog = Watchdog::start().unwrap();
        let shared = Arc::downgrade(&watchdog.shared);
        drop(watchdog);
        let start = Instant::now();
        while shared.strong_count() > 0 {
            assert!(start.elapsed() < BOUND, "the thread lets go of what it shares");
            thread::yield_now();
        }
    }

    #[test]
    fn moments_and_nanoseconds_are_each_others_inverse() {
        let watchdog = Watchdog::start().unwrap();
        let moment = Instant::now() + Duration::new(77, 123);
        assert_eq!(watchdog.instant(watchdog.nanos(moment)), moment);
    }
}
