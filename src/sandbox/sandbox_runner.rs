//! The entry: limits, counts, and threads to run foreign code on.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use keepsight_contract::CallContext;

use super::abandoned_threads::AbandonedThreads;
use super::deferred_drops::DeferredDrops;
use super::{
    AbandonedCount, CrashSlots, MemoryAccount, Phase, RunFault, SandboxScope, Watchdog, Worker,
    WorkerSeat, install_panic_hook,
};

/// What all sandboxed threads of a process share: the watchdog, the limits, the abandoned ones.
///
/// Lives until the last of its workers is over.
#[derive(Debug)]
pub struct Sandbox {
    limits: SandboxLimits,
    watchdog: Arc<Watchdog>,
    abandoned: AbandonedThreads,
    deferred: DeferredDrops,
    crash_slots: Arc<CrashSlots>,
}

/// How much a sandbox puts up with.
#[derive(Debug, Clone)]
pub struct SandboxLimits {
    /// Abandoned threads that one instance may have; at that number it gets no new one.
    pub abandoned_per_instance: usize,
    /// Abandoned threads that all instances together may have.
    pub abandoned_per_process: usize,
    /// How long after its deadline a call may still return, after it was told that it is
    /// cancelled. A call that heeds that in time is no fault.
    pub grace: Duration,
    /// The same after it took too much memory; longer, since giving memory back takes a while.
    pub memory_grace: Duration,
    /// Stack of a worker thread, in bytes; `None` takes the standard library's 2 MiB.
    pub stack_bytes: Option<usize>,
}

impl Sandbox {
    /// A sandbox with its watchdog running and the panic hook installed.
    ///
    /// # Panics
    /// When the operating system gives no thread for the watchdog. Nothing could be contained
    /// without one.
    #[must_use]
    pub fn new(limits: SandboxLimits) -> Arc<Self> {
        install_panic_hook();
        let watchdog = Watchdog::start().expect("a process that starts can have a second thread");
        let (abandoned, crash_slots) = (AbandonedThreads::default(), CrashSlots::in_memory());
        let deferred = DeferredDrops::default();
        Arc::new(Self { limits, watchdog, abandoned, deferred, crash_slots })
    }

    /// Starts one named thread, which owns whatever `body` makes, and hands it its
    /// [seat](WorkerSeat).
    ///
    /// `body` does all that touches foreign code by [`WorkerSeat::run`], and returns when the seat
    /// says that it is [stopped](WorkerSeat::stop_requested) or abandoned. A panic of `body`
    /// outside such a call is caught as well.
    ///
    /// `on_abandon` is called at most once, with the fault, when the worker is given up during a
    /// call or between two, or when `body` itself panics; from the thread on which that comes to
    /// light, often the watchdog's. It must be quick, and must not wait for anything. When the
    /// worker ends in order, it is dropped.
    ///
    /// # Errors
    /// [`RunFault::InstanceCapReached`] and [`RunFault::ProcessCapReached`] when too many threads
    /// were given up already, and [`RunFault::WorkerUnavailable`].
    pub fn spawn_worker(
        self: &Arc<Self>,
        name: &str,
        scope: SandboxScope,
        on_abandon: impl FnOnce(RunFault) + Send + 'static,
        body: impl FnOnce(&WorkerSeat) + Send + 'static,
    ) -> Result<Worker, RunFault> {
        self.abandoned.admit(scope.instance(), &self.limits)?;
        Worker::spawn(self.clone(), name, scope, Box::new(on_abandon), body)
    }

    /// Runs `f` once on a fresh worker and waits for its result, at most `limit` and the grace.
    ///
    /// # Errors
    /// The fault of the call, or of starting the worker as in [`spawn_worker`](Self::spawn_worker).
    pub fn run_once<R: Send + 'static>(
        self: &Arc<Self>,
        name: &str,
        scope: SandboxScope,
        phase: Phase,
        limit: Duration,
        f: impl FnOnce(&CallContext) -> R + Send + 'static,
    ) -> Result<R, RunFault> {
        // One result or one fault: the slot decides which, so no sender ever waits.
        let (answer, answers) = mpsc::sync_channel(1);
        let on_abandon = {
            let answer = answer.clone();
            move |fault| drop(answer.try_send(Err(fault)))
        };
        let worker = self.spawn_worker(name, scope, on_abandon, move |seat| {
            match seat.run(phase, limit, f) {
                // Only by being abandoned, and then `on_abandon` says it.
                Err(RunFault::TimedOut { .. } | RunFault::Cancelled { .. }) => {}
                result => drop(answer.try_send(result)),
            }
        })?;

        // The watchdog answers for a call that hangs. The second wait is for a thread that the
        // scheduler has not let begin, which has no deadline yet.
        let own_limit = limit.saturating_add(self.limits.grace.saturating_mul(2));
        let result = answers.recv_timeout(own_limit).or_else(|_| {
            worker.abandon_unanswered(phase, limit);
            // Either that has sent the fault, or another answer is on its way.
            answers.recv()
        });
        result.unwrap_or(Err(RunFault::TimedOut { phase, limit }))
    }

    /// An account for an instance and its sessions, which together may have `limit` bytes. `None`
    /// where this binary's allocator measures nothing.
    #[must_use]
    pub fn open_account(&self, limit: Option<u64>) -> Option<MemoryAccount> {
        MemoryAccount::open(limit, self.watchdog.thread())
    }

    /// Where workers note what they run; in memory until a file is opened.
    #[must_use]
    pub fn crash_slots(&self) -> &Arc<CrashSlots> {
        &self.crash_slots
    }

    /// Abandoned threads of the process.
    #[must_use]
    pub fn abandoned_total(&self) -> AbandonedCount {
        self.abandoned.total()
    }

    /// Threads of the instance that are abandoned and have not returned.
    #[must_use]
    pub fn abandoned_of(&self, instance: &str) -> usize {
        self.abandoned.of(instance)
    }

    /// Whether so many threads are abandoned that nothing new is started.
    #[must_use]
    pub fn containment_lost(&self) -> bool {
        self.abandoned.total().now >= self.limits.abandoned_per_process
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &SandboxLimits {
        &self.limits
    }

    pub(super) fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    pub(super) fn abandoned(&self) -> &AbandonedThreads {
        &self.abandoned
    }

    pub(super) fn deferred(&self) -> &DeferredDrops {
        &self.deferred
    }
}

impl Default for SandboxLimits {
    fn default() -> Self {
        Self {
            abandoned_per_instance: 3,
            abandoned_per_process: 128,
            grace: Duration::from_millis(2),
            memory_grace: Duration::from_millis(20),
            stack_bytes: None,
        }
    }
}
