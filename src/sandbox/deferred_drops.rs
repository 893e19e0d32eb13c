//! What has to be dropped on a worker whose instance may have none at the moment.

use std::{
    collections::VecDeque,
    mem::ManuallyDrop,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::AcqRel},
    },
    time::{Duration, Instant},
};

use super::{Phase, RunFault, Sandbox, SandboxScope, Worker};

/// What is being dropped, and what waits until one of the abandoned threads in the way has
/// returned. Bounded: what finds no room is leaked, as all of it is when the process ends before.
#[derive(Default)]
pub(super) struct DeferredDrops {
    drops: Mutex<Drops>,
    one_ended: Condvar,
}

#[derive(Default)]
struct Drops {
    waiting: VecDeque<DeferredDrop>,
    under_way: usize,
}

/// A drop that is under way until it is [over](Self::over), or nobody knows of it any more.
struct UnderWay {
    sandbox: Arc<Sandbox>,
    is_over: AtomicBool,
}

/// One thing to drop, and where. Unless [run](Self::run), the thing is leaked.
struct DeferredDrop {
    scope: SandboxScope,
    limit: Duration,
    foreign: ManuallyDrop<Box<dyn Foreign>>,
    ended_badly: EndedBadly,
}

type EndedBadly = Arc<dyn Fn(&RunFault) + Send + Sync>;

/// Anything that foreign code made.
trait Foreign: Send {}
impl<T: Send> Foreign for T {}

impl Sandbox {
    /// Drops something that foreign code made, on a worker of its own and within `limit`; waits
    /// for nothing. While the instance has as many abandoned threads as it may have, the drop
    /// waits for one of them to return. `ended_badly` is told of a panic and of a time-out.
    pub fn drop_foreign<T: Send + 'static>(
        self: &Arc<Self>,
        scope: SandboxScope,
        limit: Duration,
        foreign: T,
        ended_badly: impl Fn(&RunFault) + Send + Sync + 'static,
    ) {
        let foreign: Box<dyn Foreign> = Box::new(foreign);
        let foreign = ManuallyDrop::new(foreign);
        let ended_badly: EndedBadly = Arc::new(ended_badly);
        self.drop_or_defer(DeferredDrop { scope, limit, foreign, ended_badly });
    }

    /// Waits until what is being dropped has been, but not beyond `end`; says how many drops are
    /// still to come then. What was given up is not waited for, nor counted.
    pub fn join_drops(&self, end: Instant) -> usize {
        let deferred = self.deferred();
        let mut drops = deferred.lock();
        while drops.under_way > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = deferred.one_ended.wait_timeout(drops, left);
            (drops, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        drops.under_way + drops.waiting.len()
    }

    /// An abandoned thread has returned: what waited for that goes on.
    pub(super) fn drop_deferred(self: &Arc<Self>) {
        let waiting = std::mem::take(&mut self.deferred().lock().waiting);
        for drop in waiting {
            self.drop_or_defer(drop);
        }
    }

    fn drop_or_defer(self: &Arc<Self>, drop: DeferredDrop) {
        let instance = drop.scope.instance().clone();
        {
            // Under the lock, so that no thread returns unnoticed between the two.
            let mut drops = self.deferred().lock();
            if let Err(fault) = self.abandoned().admit(&instance, self.limits()) {
                if drops.waiting.len() < WAITING_MAX {
                    tracing::debug!(%instance, %fault, "a plugin instance is dropped later");
                    drops.waiting.push_back(drop);
                } else {
                    tracing::warn!(%instance, %fault, "a plugin instance is leaked");
                }
                return;
            }
            drops.under_way += 1;
        }
        let under_way = UnderWay { sandbox: self.clone(), is_over: AtomicBool::new(false) };
        let under_way = Arc::new(under_way);
        let DeferredDrop { scope, limit, foreign, ended_badly } = drop;
        let name = format!("{instance}-drop");
        let given_up = (ended_badly.clone(), under_way.clone());
        // Admitted above. Should the system have no thread, the closure goes unrun, and what it
        // holds is leaked.
        let worker = Worker::spawn(
            self.clone(),
            &name,
            scope,
            Box::new(move |fault| {
                let (ended_badly, under_way) = given_up;
                ended_badly(&fault);
                under_way.over();
            }),
            move |seat| {
                let foreign = move |_: &_| std::mem::drop(ManuallyDrop::into_inner(foreign));
                // Whoever owns one that was given up was told.
                if let Err(fault) = seat.run(Phase::Close, limit, foreign)
                    && !seat.is_abandoned()
                {
                    ended_badly(&fault);
                }
                under_way.over();
            },
        );
        if let Err(fault) = worker {
            tracing::warn!(%fault, "no thread to drop a plugin instance on; it is leaked");
        }
    }
}

impl std::fmt::Debug for DeferredDrops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Drops { waiting, under_way } = &*self.lock();
        write!(f, "DeferredDrops({under_way} under way, {} waiting)", waiting.len())
    }
}

impl DeferredDrops {
    fn lock(&self) -> MutexGuard<'_, Drops> {
        self.drops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    fn over(&self) {
        if !self.is_over.swap(true, AcqRel) {
            let deferred = self.sandbox.deferred();
            deferred.lock().under_way -= 1;
            deferred.one_ended.notify_all();
        }
    }
}

/// For the thread that the system didn't have.
impl Drop for UnderWay {
    fn drop(&mut self) {
        self.over();
    }
}

const WAITING_MAX: usize = 64;
