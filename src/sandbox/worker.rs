//! One thread that runs foreign code, seen from inside and from outside.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use keepsight_contract::{CallContext, CancelToken};

use super::crash_slots::CrashSlot;
use super::idle_class::NativeThread;
use super::memory_guard::{Crossing, MemoryWatch, charge};
use super::{
    AbandonReason, CallSlot, NotBegun, PanicReport, Phase, RunFault, Sandbox, SandboxScope,
    ScopeGuard, SlotState, Ticket, Watchdog, Watched, contained,
};

/// The worker as its own thread sees it. It cannot leave that thread.
#[derive(Debug)]
pub struct WorkerSeat {
    seat: Arc<Seat>,
    /// In which foreign code runs; the worker's own, or that of the session it has open.
    scope: RefCell<Entered>,
    crash_slot: RefCell<CrashSlot>,
    _stays_on_its_thread: PhantomData<*const ()>,
}

/// While it lives, the worker works for another scope than its own.
#[must_use = "the worker goes back to its own scope when this is dropped"]
#[derive(Debug)]
pub struct Engagement<'a> {
    seat: &'a WorkerSeat,
}

#[derive(Debug)]
struct Entered {
    /// Left before another one is entered.
    guard: Option<ScopeGuard>,
    scope: SandboxScope,
}

/// While it lives, the worker's crash slot says what runs.
struct Noted<'a> {
    slot: &'a RefCell<CrashSlot>,
    before: u64,
}

/// The worker as its owner sees it. Dropping it asks the worker to stop, and waits for nothing.
#[derive(Debug)]
pub struct Worker {
    seat: Arc<Seat>,
}

/// What a worker does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activity {
    /// Between two calls.
    Idle,
    /// In a call.
    Running {
        /// Which kind.
        phase: Phase,
        /// Since when.
        since: Instant,
    },
    /// Given up, and not returned.
    Abandoned,
    /// Over.
    Ended,
}

struct Seat {
    sandbox: Arc<Sandbox>,
    scope: SandboxScope,
    slot: CallSlot,
    /// Of the running call, in the watchdog's nanoseconds; published by `slot.begin`.
    started: AtomicU64,
    limit: AtomicU64,
    /// When the watchdog is to look at the running call: its deadline, then the end of its grace.
    due: AtomicU64,
    memory: MemoryWatch,
    cancel: Mutex<Cancel>,
    on_abandon: Mutex<Option<OnAbandon>>,
    end: Mutex<End>,
    ended: Condvar,
}

/// Told the fault for which a worker was given up.
type OnAbandon = Box<dyn FnOnce(RunFault) + Send>;

/// The token of the running call, and which call was told that its deadline has passed.
#[derive(Debug, Default)]
struct Cancel {
    token: CancelToken,
    told: Option<Ticket>,
}

#[derive(Debug, Default)]
struct End {
    /// While the thread runs `body`; taken back, under the lock, before it ends.
    native: Option<NativeThread>,
    counted_abandoned: bool,
    ended: bool,
}

impl WorkerSeat {
    /// Runs `f` under panic capture and with a deadline `limit` from now. All use of foreign code
    /// goes through here, the drop of its state included ([`Phase::Close`]).
    ///
    /// At the deadline `f` is told by its [`CallContext`]; if it has not returned a short grace
    /// later, the worker is abandoned: `on_abandon` is called at once, from the watchdog, and
    /// this returns [`RunFault::TimedOut`] when `f` does, after dropping what `f` returned. `body`
    /// should return then, and need tell nobody: `on_abandon` does, though perhaps a moment later.
    ///
    /// What `f` allocates is charged to the account of the worker's scope. A call that takes its
    /// instance beyond its limit is told as well, and is given up after a grace of its own.
    ///
    /// A call inside a call is part of the outer one: it is contained by itself, but has at most
    /// the outer one's time, and only the outer one is abandoned.
    ///
    /// # Errors
    /// [`RunFault::Panicked`], [`RunFault::TimedOut`], [`RunFault::MemoryExceeded`] even where `f`
    /// heeded that it was cancelled, and [`RunFault::Cancelled`] when the worker
    /// was asked to stop and `f` was therefore not called; phases that close are called even then.
    pub fn run<R>(
        &self,
        phase: Phase,
        limit: Duration,
        f: impl FnOnce(&CallContext) -> R,
    ) -> Result<R, RunFault> {
        let seat = &*self.seat;
        let scope = &self.scope();
        let _noted = Noted::in_slot(&self.crash_slot, phase);
        let now = Instant::now();
        let (ticket, token) = match seat.begin(phase, limit, now) {
            Ok(begun) => begun,
            Err(NotBegun::Running) => return seat.run_nested(scope, phase, limit, now, f),
            Err(NotBegun::Stopped(reason)) => {
                discard(scope, phase, f);
                return Err(RunFault::Cancelled { reason });
            }
            Err(NotBegun::Ended) => unreachable!("only this thread ends the slot, after body"),
        };
        let mut call = CallContext::new(now.checked_add(limit).unwrap_or(now + FOREVER), token);
        if let Some(account) = scope.account() {
            call = call.with_memory(account.meter());
        }
        let result = match seat.memory.hopeless() {
            Some(crossing) if !phase.is_closing() => {
                discard(scope, phase, f);
                Err(crossing.fault(phase, now.elapsed()))
            }
            _ => {
                let _charged = charge(seat.memory.tag());
                contained(scope, phase, || f(&call))
                    .map_err(|report| RunFault::Panicked { phase, report })
            }
        };
        match seat.slot.finish(ticket) {
            Ok(()) => match seat.memory.crossing() {
                Some(crossing) if !phase.is_closing() => {
                    discard(scope, phase, result);
                    Err(crossing.fault(phase, now.elapsed()))
                }
                _ => result,
            },
            Err(reason) => {
                discard(scope, phase, result);
                Err(seat.fault_of(reason, phase, limit))
            }
        }
    }

    /// Runs foreign code in `scope`, that of a session for example, until the guard is dropped.
    ///
    /// # Panics
    /// During a call: what runs can't change sides.
    pub fn work_for(&self, scope: SandboxScope) -> Engagement<'_> {
        assert!(
            !matches!(self.seat.slot.state(), SlotState::Running { .. }),
            "the scope changes between calls"
        );
        self.enter(scope);
        Engagement { seat: self }
    }

    fn enter(&self, scope: SandboxScope) {
        let mut entered = self.scope.borrow_mut();
        entered.guard = None;
        entered.guard = Some(scope.attribute());
        self.seat.memory.set(scope.account());
        self.crash_slot.borrow_mut().describe(scope.clone());
        entered.scope = scope;
    }

    fn scope(&self) -> SandboxScope {
        self.scope.borrow().scope.clone()
    }

    /// Whether the worker should end: it was asked to stop, or given up.
    #[must_use]
    pub fn stop_requested(&self) -> bool {
        self.stop_reason().is_some()
    }

    /// Why the worker should end. It tells what a call's `Cancelled` means; `None` there says that
    /// the call's deadline cancelled it.
    #[must_use]
    pub fn stop_reason(&self) -> Option<AbandonReason> {
        self.seat.slot.stop_reason()
    }

    /// Whether nobody waits for this worker any more.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        matches!(self.seat.slot.state(), SlotState::Abandoned { .. })
    }
}

impl Drop for Engagement<'_> {
    fn drop(&mut self) {
        self.seat.enter(self.seat.seat.scope.clone());
    }
}

impl<'a> Noted<'a> {
    fn in_slot(slot: &'a RefCell<CrashSlot>, phase: Phase) -> Self {
        let before = slot.borrow_mut().enter(phase);
        Self { slot, before }
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.slot.borrow_mut().leave(self.before);
    }
}

impl Worker {
    pub(super) fn spawn(
        sandbox: Arc<Sandbox>,
        name: &str,
        scope: SandboxScope,
        on_abandon: OnAbandon,
        body: impl FnOnce(&WorkerSeat) + Send + 'static,
    ) -> Result<Self, RunFault> {
        // The standard library panics on a name with a NUL.
        let mut builder = thread::Builder::new().name(name.replace('\0', "?"));
        if let Some(bytes) = sandbox.limits().stack_bytes {
            builder = builder.stack_size(bytes);
        }
        let seat = Arc::new(Seat {
            sandbox,
            scope,
            slot: CallSlot::new(),
            started: AtomicU64::new(0),
            limit: AtomicU64::new(0),
            due: AtomicU64::new(Watchdog::NEVER),
            memory: MemoryWatch::default(),
            cancel: Mutex::default(),
            on_abandon: Mutex::new(Some(on_abandon)),
            end: Mutex::default(),
            ended: Condvar::new(),
        });
        seat.sandbox.watchdog().watch(seat.clone());

        let thread = builder.spawn({
            let seat = seat.clone();
            move || seat.occupy(body)
        });
        match thread {
            // Not joined but waited for by `ended`: a foreign thread-local's destructor could
            // hang in between.
            Ok(_thread) => Ok(Self { seat }),
            Err(source) => {
                seat.sandbox.watchdog().release(&seat);
                Err(RunFault::WorkerUnavailable { source })
            }
        }
    }

    /// Asks the worker to stop: the running call is cancelled (it may return or not), and nothing
    /// but clean-up is begun any more. Whatever `body` waits for is its owner's to close.
    pub fn stop(&self) {
        self.stop_for(AbandonReason::Shutdown);
    }

    /// As [`stop`](Self::stop), for another reason; the first one given stays.
    pub fn stop_for(&self, reason: AbandonReason) {
        self.seat.cancel(reason);
    }

    /// Whether `body` has returned.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        lock(&self.seat.end).ended
    }

    /// Waits until `body` has returned, but not longer than `limit`; after that the worker is
    /// abandoned, for the reason it was asked to stop or else for shutdown, and the answer is
    /// `false`.
    pub fn join_within(&self, limit: Duration) -> bool {
        let end = lock(&self.seat.end);
        let (end, _) = self
            .seat
            .ended
            .wait_timeout_while(end, limit, |end| !end.ended)
            .unwrap_or_else(PoisonError::into_inner);
        if end.ended {
            return true;
        }
        drop(end);
        let reason = self.seat.slot.stop_reason().unwrap_or(AbandonReason::Shutdown);
        if self.seat.slot.abandon(reason).is_some() {
            self.seat.given_up(RunFault::Cancelled { reason });
        }
        self.is_finished()
    }

    /// What the worker does at the moment.
    #[must_use]
    pub fn activity(&self) -> Activity {
        let seat = &self.seat;
        loop {
            let state = seat.slot.state();
            let started = seat.started.load(Ordering::Acquire);
            return match state {
                SlotState::Idle => Activity::Idle,
                SlotState::Running { phase, .. } => {
                    if seat.slot.state() != state {
                        continue; // `started` may be a later call's
                    }
                    let since = seat.sandbox.watchdog().instant(started);
                    Activity::Running { phase, since }
                }
                SlotState::Abandoned { .. } => Activity::Abandoned,
                SlotState::Ended => Activity::Ended,
            };
        }
    }

    /// Gives up a worker that is there for one call, unless that call has finished.
    pub(super) fn abandon_unanswered(&self, phase: Phase, limit: Duration) {
        if self.seat.slot.abandon_unanswered(AbandonReason::Deadline).is_some() {
            self.seat.given_up(RunFault::TimedOut { phase, limit });
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Seat {
    /// The thread's main function.
    fn occupy(self: &Arc<Self>, body: impl FnOnce(&WorkerSeat)) {
        lock(&self.end).native = Some(NativeThread::current());
        self.memory.set(self.scope.account());
        let scope = self.scope.clone();
        let crash_slot = self.sandbox.crash_slots().claim(&scope);
        let entered = Entered { guard: Some(scope.attribute()), scope };
        let seat = WorkerSeat {
            seat: self.clone(),
            scope: RefCell::new(entered),
            crash_slot: RefCell::new(crash_slot),
            _stays_on_its_thread: PhantomData,
        };
        let outcome = contained(&self.scope, Phase::Thread, || body(&seat));
        self.leave(outcome);
        drop(seat);
    }

    fn leave(self: &Arc<Self>, outcome: Result<(), PanicReport>) {
        let abandoned = matches!(self.slot.end(), SlotState::Abandoned { .. });
        {
            // Nobody makes it idle any more, and whoever has, was right until here.
            let mut end = lock(&self.end);
            if let Some(native) = end.native.take().filter(|_| end.counted_abandoned) {
                native.make_ordinary();
            }
        }
        match outcome {
            // Whoever abandoned the worker tells it, or has told it.
            Ok(()) if abandoned => {}
            Ok(()) => {
                let untold = lock(&self.on_abandon).take();
                discard(&self.scope, Phase::Thread, untold);
            }
            Err(report) if abandoned => {
                tracing::warn!(message = %report.message, "an abandoned worker panicked");
            }
            Err(report) => self.tell(RunFault::Panicked { phase: Phase::Thread, report }),
        }
        self.sandbox.watchdog().release(self);

        let mut end = lock(&self.end);
        end.ended = true;
        let returned = end.counted_abandoned;
        if returned {
            self.sandbox.abandoned().reclaim(self.scope.instance());
            tracing::info!("an abandoned thread returned");
        }
        self.ended.notify_all();
        drop(end);
        if returned {
            self.sandbox.drop_deferred();
        }
    }

    /// Begins a call, with the token that cancels this call and no other.
    fn begin(
        &self,
        phase: Phase,
        limit: Duration,
        now: Instant,
    ) -> Result<(Ticket, CancelToken), NotBegun> {
        if matches!(self.slot.state(), SlotState::Running { .. }) {
            return Err(NotBegun::Running);
        }
        let watchdog = self.sandbox.watchdog();
        let started = watchdog.nanos(now);
        let limit = nanos(limit);
        let due = started.saturating_add(limit);
        self.started.store(started, Ordering::Relaxed);
        self.limit.store(limit, Ordering::Relaxed);
        self.due.store(due, Ordering::Relaxed);
        // A used token belongs to an earlier call. Others cancel under this lock, and only the
        // call that they see running, so what is taken here is this call's alone.
        let token = {
            let mut cancel = lock(&self.cancel);
            self.memory.begin();
            if cancel.token.is_cancelled() {
                cancel.token = CancelToken::default();
            }
            cancel.token.clone()
        };
        let ticket = self.slot.begin(phase)?;
        watchdog.arm(due);
        Ok((ticket, token))
    }

    fn run_nested<R>(
        &self,
        scope: &SandboxScope,
        phase: Phase,
        limit: Duration,
        now: Instant,
        f: impl FnOnce(&CallContext) -> R,
    ) -> Result<R, RunFault> {
        let outer_nanos =
            self.started.load(Ordering::Relaxed).saturating_add(self.limit.load(Ordering::Relaxed));
        let outer = self.sandbox.watchdog().instant(outer_nanos);
        let deadline = now.checked_add(limit).map_or(outer, |own| own.min(outer));
        let token = lock(&self.cancel).token.clone();
        let mut call = CallContext::new(deadline, token);
        if let Some(account) = scope.account() {
            call = call.with_memory(account.meter());
        }
        contained(scope, phase, || f(&call)).map_err(|report| RunFault::Panicked { phase, report })
    }

    fn cancel(&self, reason: AbandonReason) {
        self.slot.cancel(reason);
        let cancel = lock(&self.cancel);
        if let SlotState::Running { phase, .. } = self.slot.state()
            && !phase.is_closing()
        {
            cancel.token.cancel();
        }
    }

    /// After the slot has decided that this worker is abandoned. Whoever decided it calls this.
    fn given_up(&self, fault: RunFault) {
        {
            let mut end = lock(&self.end);
            self.sandbox.abandoned().add(self.scope.instance());
            if end.ended {
                // It returned between the slot's decision and here.
                self.sandbox.abandoned().reclaim(self.scope.instance());
                drop(end);
                self.sandbox.drop_deferred();
            } else {
                end.counted_abandoned = true;
                if let Some(native) = end.native {
                    native.make_idle();
                }
            }
        }
        lock(&self.cancel).token.cancel();
        self.tell(fault);
    }

    fn tell(&self, fault: RunFault) {
        let Some(on_abandon) = lock(&self.on_abandon).take() else { return };
        if let Err(report) = contained(&self.scope, Phase::Thread, || on_abandon(fault)) {
            tracing::error!(message = %report.message, "the owner of a worker panicked");
        }
    }
}

impl Watched for Seat {
    fn due(&self) -> u64 {
        match self.slot.state() {
            SlotState::Running { phase, .. } if self.is_alarming(phase) => 0,
            SlotState::Running { .. } => self.due.load(Ordering::Relaxed),
            _ => Watchdog::NEVER,
        }
    }

    fn expire(&self, now: u64) {
        let SlotState::Running { ticket, phase } = self.slot.state() else { return };
        let due = self.due.load(Ordering::Relaxed);
        let limit = Duration::from_nanos(self.limit.load(Ordering::Relaxed));
        let outgrown = self.is_alarming(phase);
        if due > now && !outgrown {
            return; // another call has begun since
        }
        {
            let mut cancel = lock(&self.cancel);
            // Under the lock the slot is asked once more: see `begin`.
            let same = self.slot.state() == SlotState::Running { ticket, phase };
            if same && (outgrown || cancel.told != Some(ticket)) {
                cancel.told = Some(ticket);
                cancel.token.cancel();
                let limits = self.sandbox.limits();
                let given_up = if outgrown {
                    self.memory.tell();
                    due.min(now.saturating_add(nanos(limits.memory_grace)))
                } else {
                    due.saturating_add(nanos(limits.grace))
                };
                // Fails only when the next call has stored its own.
                let _ =
                    self.due.compare_exchange(due, given_up, Ordering::Relaxed, Ordering::Relaxed);
                return;
            }
        }
        let told = self.memory.was_told();
        let reason = if told { AbandonReason::Memory } else { AbandonReason::Deadline };
        if self.slot.abandon_call(ticket, reason) {
            self.given_up(self.fault_of(reason, phase, limit));
        }
    }
}

impl Seat {
    /// Whether the running call is to be told that it took too much memory.
    fn is_alarming(&self, phase: Phase) -> bool {
        !phase.is_closing() && self.memory.is_alarming()
    }

    fn fault_of(&self, reason: AbandonReason, phase: Phase, limit: Duration) -> RunFault {
        match (reason, self.memory.crossing()) {
            (AbandonReason::Deadline, _) => RunFault::TimedOut { phase, limit },
            (AbandonReason::Memory, Some(crossing)) => {
                let watchdog = self.sandbox.watchdog();
                let started = watchdog.instant(self.started.load(Ordering::Relaxed));
                crossing.fault(phase, started.elapsed())
            }
            (reason, _) => RunFault::Cancelled { reason },
        }
    }
}

impl Crossing {
    fn fault(self, phase: Phase, after: Duration) -> RunFault {
        let Self { limit, used } = self;
        RunFault::MemoryExceeded { phase, limit, used, after }
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat")
            .field("scope", &self.scope)
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

/// Drops something foreign; a panic of that is caught and forgotten.
fn discard<T>(scope: &SandboxScope, phase: Phase, foreign: T) {
    if std::mem::needs_drop::<T>() {
        let _ = contained(scope, phase, || drop(foreign));
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(Watchdog::NEVER)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a limit too long for the clock becomes.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
