use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
        mpsc,
    },
    time::{Duration, Instant},
};

use keepsight_contract::{Finding, Host, Manifest, PluginFunctions};

use super::{
    CatalogEntry, Clock, DependencyChecker, Fault, Generation, HostEvent, InstanceEvent,
    InstanceHost, InstanceReport, InstanceSpec, LastCrash, RunStatistics, tool_calls::ToolPool,
};
use crate::{
    lifecycle::{Cause, LifecycleEvent, LifecycleManager, LifecycleState, Transition},
    sandbox::{MemoryAccount, Phase, RunFault, Sandbox, SandboxScope},
};

/// One configured instance of a plugin: its life, its present generation, its counts.
///
/// Everything here answers at once. Plugin code runs in [`PluginInstance::load`] and
/// [`PluginInstance::call_tool`], on workers of the sandbox, and in the sessions that streams
/// keep; no lock of this type is held meanwhile.
pub struct PluginInstance {
    name: String,
    spec: RwLock<Arc<InstanceSpec>>,
    pub(super) entry: Option<CatalogEntry>,
    pub(super) known_plugins: String,
    sandbox: Arc<Sandbox>,
    pub(super) checker: Arc<DependencyChecker>,
    pub(super) host: Arc<InstanceHost>,
    statistics: RunStatistics,
    pub(super) pool: Arc<ToolPool>,
    /// Pools of clients that have one of their own.
    pub(super) clients: Mutex<Vec<Weak<ToolPool>>>,
    life: Mutex<Life>,
    changed: Condvar,
    changes: AtomicU64,
    /// Set under the lock of `life`, and never again unset.
    retired: AtomicBool,
    events: mpsc::Sender<InstanceEvent>,
}

pub(super) struct Life {
    pub(super) manager: LifecycleManager,
    scope: SandboxScope,
    current: Option<Arc<Generation>>,
    quarantined: bool,
    findings: Vec<Finding>,
    faults: VecDeque<(Instant, Fault)>,
    last_crash: Option<LastCrash>,
}

/// Holds an instance RUNNING while a call runs or a stream is attached.
pub struct Attachment {
    instance: Arc<PluginInstance>,
    generation: Arc<Generation>,
}

/// Whether sessions can be opened.
#[derive(Clone)]
pub enum Readiness {
    /// Now.
    Ready(Arc<Generation>),
    /// Soon: it loads, or waits for a restart.
    Coming,
    /// Not before something changes: UNAVAILABLE or quarantined.
    Absent,
}

impl PluginInstance {
    /// An instance in the state LOADED; `entry` is `None` where this binary lacks the plugin, and
    /// `known_plugins` then says what it has.
    pub fn new(
        spec: InstanceSpec,
        entry: Option<CatalogEntry>,
        known_plugins: String,
        sandbox: Arc<Sandbox>,
        checker: Arc<DependencyChecker>,
        host: Arc<InstanceHost>,
        events: mpsc::Sender<InstanceEvent>,
    ) -> Arc<Self> {
        let scope = scope(&spec, 1, &sandbox, &events);
        host.set_scope(scope.clone());
        host.set_checker(checker.clone());
        let life = Life {
            manager: LifecycleManager::new(checker.clock().now()),
            scope,
            current: None,
            quarantined: false,
            findings: Vec::new(),
            faults: VecDeque::new(),
            last_crash: None,
        };
        let instance = Arc::new(Self {
            name: spec.name.clone(),
            spec: RwLock::new(Arc::new(spec)),
            entry,
            known_plugins,
            sandbox,
            checker,
            host,
            statistics: RunStatistics::default(),
            pool: ToolPool::shared(),
            clients: Mutex::default(),
            life: Mutex::new(life),
            changed: Condvar::new(),
            changes: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            events,
        });
        let owner = Arc::downgrade(&instance);
        instance.host.on_thread_fault(move |fault, generation| {
            if let Some(instance) = owner.upgrade() {
                instance.thread_faulted(fault, generation);
            }
        });
        instance
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is configured to be now.
    pub fn spec(&self) -> Arc<InstanceSpec> {
        self.spec.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Configures it anew, under the same name and of the same plugin. Limits hold from the next
    /// thing that it does, the one for memory from now on; its own configuration is for the next
    /// generation.
    pub fn respecify(&self, spec: InstanceSpec) {
        let memory = spec.limits.memory;
        let before = std::mem::replace(
            &mut *self.spec.write().unwrap_or_else(PoisonError::into_inner),
            Arc::new(spec),
        );
        drop(before);
        if let Some(account) = self.life().scope.account() {
            account.set_limit(memory);
        }
    }

    /// What the plugin is and does, if it is in this binary.
    pub fn manifest(&self) -> Option<&Arc<Manifest>> {
        self.entry.as_ref().map(|entry| &entry.manifest)
    }

    /// The plugin's functions, if it is in this binary. Call them inside the sandbox only.
    pub(crate) fn plugin_functions(&self) -> Option<PluginFunctions> {
        self.entry.as_ref().map(|entry| entry.registration.functions)
    }

    /// Where it is run.
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// What its plugin is given.
    pub fn host(&self) -> Host {
        self.host.host()
    }

    /// Its metrics and degradations.
    pub fn services(&self) -> &Arc<InstanceHost> {
        &self.host
    }

    /// By which its waits are and its times are noted: its checker's.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.checker.clock()
    }

    /// Whose work its threads do now.
    pub fn scope(&self) -> SandboxScope {
        self.life().scope.clone()
    }

    /// The present generation's number.
    pub fn generation(&self) -> u64 {
        self.life().manager.generation()
    }

    /// Where it stands.
    pub fn state(&self) -> LifecycleState {
        self.life().manager.state()
    }

    /// How often its state, or the reason for it, has changed.
    pub fn changes(&self) -> u64 {
        self.changes.load(Acquire)
    }

    /// Everything about it now.
    pub fn report(&self) -> InstanceReport {
        let statistics = self.statistics.snapshot();
        let degraded = self.host.degraded();
        let spec = self.spec();
        let life = self.life();
        let manager = &life.manager;
        InstanceReport {
            name: self.name.clone(),
            plugin: spec.plugin.clone(),
            manifest: self.manifest().cloned(),
            state: manager.state(),
            cause: manager.cause().clone(),
            since: manager.since(),
            initialized_at: manager.initialized_at(),
            generation: manager.generation(),
            history: manager.history().cloned().collect(),
            refused: manager.refused(),
            quarantined: life.quarantined,
            statistics,
            degraded,
            findings: life.findings.clone(),
            faults: life.faults.iter().cloned().collect(),
            critical: spec.critical,
            grace: spec.grace,
            memory: life.scope.account().map(MemoryAccount::instance_use),
            last_crash: life.last_crash.clone(),
        }
    }

    /// Whether sessions can be opened now.
    pub fn readiness(&self) -> Readiness {
        readiness(&self.life())
    }

    /// Waits until [`readiness`](Self::readiness) is another than `Coming`, `wake` was called, or
    /// `limit` is over, and says what it is then.
    pub fn wait_ready(&self, limit: Duration) -> Readiness {
        let life = self.life();
        match readiness(&life) {
            Readiness::Ready(generation) => Readiness::Ready(generation),
            _ => readiness(&self.wait_changed(life, limit)),
        }
    }

    /// Waits until the instance is no longer LOADED, at most for `limit`; says whether that is so.
    pub fn wait_outcome(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut life = self.life();
        while life.manager.state() == LifecycleState::Loaded {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            life = self.wait_changed(life, left);
        }
        true
    }

    /// Waits while generation `number` is the present one, until `wake` was called and `is_over`
    /// says so, or `limit` is over.
    pub fn wait_while_present(&self, number: u64, limit: Duration, is_over: impl Fn() -> bool) {
        let end = self.clock().now() + limit;
        let mut life = self.life();
        while life.current.as_ref().is_some_and(|current| current.number == number) && !is_over() {
            let left = end.saturating_duration_since(self.clock().now());
            if left.is_zero() {
                return;
            }
            life = self.wait_changed(life, self.clock().patience(left));
        }
    }

    /// Ends every [`wait_ready`](Self::wait_ready) that is under way.
    pub fn wake(&self) {
        // Under the lock, so that nobody is between looking and waiting.
        let _life = self.life();
        self.changed.notify_all();
    }

    /// Holds the instance RUNNING until the attachment is dropped; `None` if `generation` is no
    /// longer the present one.
    pub fn attach(self: &Arc<Self>, generation: &Arc<Generation>) -> Option<Attachment> {
        let mut life = self.life();
        if !life.has(generation) {
            return None;
        }
        if generation.users.fetch_add(1, Relaxed) == 0 {
            self.step(&mut life, LifecycleEvent::Engaged, LifecycleEvent::Engaged);
        }
        Some(Attachment { instance: self.clone(), generation: generation.clone() })
    }

    /// Counts a run, by the code of its `error` where it gave none; says how many have failed in
    /// a row.
    pub fn record_run(&self, error: Option<&'static str>, took: Duration) -> u32 {
        self.statistics.record(error, took, self.clock().now())
    }

    /// A session of `generation` ended by a fault.
    pub fn session_faulted(&self, fault: Fault, generation: u64) {
        let stream = fault.stream.as_deref();
        tracing::warn!(
            plugin = %self.name, stream, code = %fault.code, reason = %fault.reason,
            location = fault.location.as_deref(), "a session ended by a fault"
        );
        self.note_fault(fault.clone(), generation);
        let name = self.name.clone();
        self.tell(InstanceEvent::SessionFaulted { name, generation, fault });
    }

    /// A thread that `generation` owns ended by a fault. What it did is no longer done: the plugin
    /// is degraded, and that counts as a session's fault does.
    fn thread_faulted(&self, fault: Fault, generation: u64) {
        if let Some(fault) = self.note_thread_fault(fault, generation) {
            let name = self.name.clone();
            self.tell(InstanceEvent::SessionFaulted { name, generation, fault });
        }
    }

    /// Notes the panic that waits in `scope`, where one does: of a thread pool's thread, for
    /// example. The plugin is degraded; whether a session fails by it is the pool's to say.
    pub fn take_stray_panic(&self, scope: &SandboxScope) {
        if let Some(report) = scope.take_stray_panic() {
            let thread = report.thread.clone();
            let fault = Fault::caught(&RunFault::Panicked { phase: Phase::Thread, report }, None);
            let fault = Fault { reason: format!("thread {thread:?}: {}", fault.reason), ..fault };
            self.note_thread_fault(fault, scope.generation());
        }
    }

    /// The fault, where it is the present generation's.
    fn note_thread_fault(&self, fault: Fault, generation: u64) -> Option<Fault> {
        tracing::error!(
            plugin = %self.name, code = %fault.code, reason = %fault.reason,
            location = fault.location.as_deref(), "a thread of the plugin ended by a fault"
        );
        self.note_fault(fault.clone(), generation);
        if self.generation() != generation {
            return None;
        }
        let hint = "the plugin goes on without that thread until it is built anew: reload it; the \
                    inspector shows where it happened";
        self.host.host().degraded(fault.code.clone(), fault.reason.clone(), hint);
        Some(fault)
    }

    /// Nothing that `generation` does would succeed any more: FAILED.
    pub fn broke(&self, fault: Fault, generation: u64) {
        let cause = fault.cause();
        self.note_fault(fault, generation);
        let (ended, step) = {
            let mut life = self.life();
            let broken = LifecycleEvent::Broken;
            let step = life.manager.apply_stamped(generation, broken, cause, self.clock().now());
            let Ok(step) = step else { return };
            self.note_change();
            (life.current.take(), step)
        };
        self.publish(step);
        self.let_go(ended);
        self.host.end_generation();
        tracing::error!(plugin = %self.name, reason = %self.life().manager.cause().reason,
            "the instance is FAILED");
        self.tell(InstanceEvent::Broke { name: self.name.clone() });
    }

    /// Back to LOADED, because a restart or a probe is due, or a reload was asked for. Queued
    /// calls are refused; running ones are waited for up to their deadline, at most.
    ///
    /// Says whether the lifecycle allowed it; [`load`](Self::load) comes next then.
    pub fn begin_again(&self, event: LifecycleEvent) -> bool {
        let (ended, step) = {
            let mut life = self.life();
            if self.is_retired() {
                return false;
            }
            let now = self.clock().now();
            let Ok(step) = life.manager.apply(event, event, now) else { return false };
            self.note_change();
            life.quarantined = false;
            (life.current.take(), step)
        };
        let number = step.generation;
        self.publish(step);
        let leaving = ended.as_ref().map(Arc::downgrade);
        self.let_go(ended);
        if let Some(leaving) = leaving {
            self.drain(&leaving, self.spec().limits.call);
        }
        // Only now: what was drained may have needed its threads, and was the old one's work.
        self.host.end_generation();
        let scope = scope(&self.spec(), number, &self.sandbox, &self.events);
        self.host.set_scope(scope.clone());
        self.life().scope = scope;
        true
    }

    /// Waits until nothing uses the generation that ended any more, at most for `limit`.
    fn drain(&self, leaving: &Weak<Generation>, limit: Duration) {
        let end = Instant::now() + limit;
        let mut life = self.life();
        let in_use = |generation: Arc<Generation>| generation.users.load(Relaxed) > 0;
        while leaving.upgrade().is_some_and(in_use)
            || self.pools().iter().any(|pool| pool.sessions_end())
        {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            life = self.wait_changed(life, left);
        }
    }

    /// Says that the instance is left alone: FAILED, until somebody asks for a reload or its
    /// supervisor has a reason to try again. One that is available ends; one that loads, or is
    /// UNAVAILABLE, stays as it is.
    pub fn quarantine(&self, cause: Cause) {
        let (from, ended, generation) = {
            let mut life = self.life();
            let from = life.manager.state();
            if from == LifecycleState::Failed {
                life.manager.explain(cause.clone());
            } else {
                let now = self.clock().now();
                let step = life.manager.apply(LifecycleEvent::Broken, cause.clone(), now);
                if step.is_err() {
                    return;
                }
            }
            life.quarantined = true;
            self.note_change();
            (from, life.current.take(), life.manager.generation())
        };
        tracing::error!(plugin = %self.name, reason = %cause.reason, "quarantined");
        if from != LifecycleState::Failed {
            self.let_go(ended);
            self.host.end_generation();
        }
        self.changed.notify_all();
        let (instance, to) = (Arc::from(self.name()), LifecycleState::Failed);
        self.host.tell(HostEvent::Turned { instance, from: Some(from), to, cause, generation });
    }

    /// Whether it is left alone.
    pub fn is_quarantined(&self) -> bool {
        self.life().quarantined
    }

    /// Whether it has as many abandoned threads as it may: it gets no other one until one returns.
    pub fn is_at_thread_cap(&self) -> bool {
        self.sandbox.abandoned_of(&self.name) >= self.sandbox.limits().abandoned_per_instance
    }

    /// Notes what an UNAVAILABLE instance lacks now.
    pub(super) fn still_lacks(&self, findings: Vec<Finding>, cause: Cause) {
        let mut life = self.life();
        if life.manager.state() != LifecycleState::Unavailable {
            return;
        }
        life.findings = findings;
        if *life.manager.cause() == cause {
            return;
        }
        life.manager.explain(cause.clone());
        self.note_change();
        let (state, generation) = (life.manager.state(), life.manager.generation());
        drop(life);
        tracing::info!(plugin = %self.name, reason = %cause.reason, "still UNAVAILABLE");
        let (instance, from) = (Arc::from(self.name()), Some(state));
        self.host.tell(HostEvent::Turned { instance, from, to: state, cause, generation });
    }

    /// Notes that the process before died while the instance ran. With a cause it is not loaded:
    /// it is FAILED from the start, and stays so until somebody asks for a reload.
    pub fn crashed_process(&self, crash: LastCrash, quarantine: Option<Cause>) {
        let mut life = self.life();
        life.last_crash = Some(crash);
        if let Some(cause) = quarantine
            && life.manager.state() == LifecycleState::Loaded
        {
            tracing::error!(plugin = %self.name, reason = %cause.reason, "quarantined");
            self.step(&mut life, LifecycleEvent::InitFailed, cause);
            life.quarantined = true;
            drop(life);
            self.changed.notify_all();
        }
    }

    /// Asks everything of this instance to end; returns at once.
    pub fn ask_to_end(&self) {
        let ended = self.life().current.take();
        if let Some(generation) = &ended {
            generation.end();
        }
        self.refuse_waiting();
        self.host.end_generation();
        self.pools().iter().for_each(|pool| pool.stop());
    }

    /// Ends everything of this instance, waiting at most `limit` for all of it.
    pub fn shut_down(&self, limit: Duration) {
        self.ask_to_end();
        let end = Instant::now() + limit;
        self.pools().iter().for_each(|pool| pool.join(end));
        let left = end.saturating_duration_since(Instant::now());
        self.join_threads(self.generation(), left);
    }

    /// Waits at most `limit` for the threads that generation `number` left; one that hasn't ended
    /// by then is given up, which is a fault.
    pub(super) fn join_threads(&self, number: u64, limit: Duration) {
        for thread in self.host.join_ended(limit) {
            let fault = Fault::left_behind(&thread, limit);
            tracing::warn!(plugin = %self.name, thread, "a thread did not end in time");
            self.note_fault(fault, number);
        }
    }

    /// Ends everything of this instance for good, since it is no longer configured: what waits is
    /// refused, what runs is waited for up to the calls' limit, then each part has `limit`.
    /// Nothing revives it, and it tells its supervisor nothing more.
    pub fn retire(&self, limit: Duration) {
        let ended = {
            let mut life = self.life();
            self.retired.store(true, Release);
            life.current.take()
        };
        let leaving = ended.as_ref().map(Arc::downgrade);
        if let Some(generation) = &ended {
            generation.end();
        }
        drop(ended);
        self.changed.notify_all();
        self.refuse_waiting();
        if let Some(leaving) = leaving {
            self.drain(&leaving, self.spec().limits.call);
        }
        self.shut_down(limit);
    }

    /// Whether it is no longer configured.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Acquire)
    }

    /// Has whoever waits for the instances' events look round.
    pub(crate) fn have_look_round(&self) {
        self.tell(InstanceEvent::LookRound);
    }

    /// Notes what came of loading generation `number`.
    pub(super) fn loaded(
        &self,
        number: u64,
        findings: Vec<Finding>,
        outcome: Result<Arc<Generation>, (LifecycleEvent, Cause)>,
    ) {
        let step = {
            let mut life = self.life();
            if self.is_retired() {
                drop(life);
                drop(outcome);
                self.shut_down(self.spec().limits.close);
                return;
            }
            let (event, cause, generation) = match outcome {
                Ok(generation) => {
                    let event = LifecycleEvent::Initialized;
                    (event, Cause::from(event), Some(generation))
                }
                Err((event, cause)) => (event, cause, None),
            };
            let now = self.clock().now();
            let step = life.manager.apply_stamped(number, event, cause, now);
            if step.is_ok() {
                self.note_change();
                life.current = generation;
                life.findings = findings;
                let manager = &life.manager;
                tracing::info!(plugin = %self.name, state = %manager.state(),
                    reason = %manager.cause().reason, "loading ended");
            }
            step
        };
        self.changed.notify_all();
        if let Ok(step) = step {
            self.publish(step);
        }
        self.tell(InstanceEvent::LoadEnded { name: self.name.clone() });
    }

    /// The number of the generation to load, if the instance is LOADED.
    pub(super) fn generation_to_load(&self) -> Result<u64, LifecycleState> {
        let life = self.life();
        match life.manager.state() {
            LifecycleState::Loaded => Ok(life.manager.generation()),
            state => Err(state),
        }
    }

    /// Keeps a fault for the report, and publishes it.
    pub(super) fn note_fault(&self, fault: Fault, generation: u64) {
        {
            let mut life = self.life();
            if life.faults.len() == FAULTS_KEPT {
                life.faults.pop_front();
            }
            life.faults.push_back((self.clock().now(), fault.clone()));
        }
        self.host.tell(HostEvent::Faulted { instance: Arc::from(self.name()), generation, fault });
    }

    /// Called under the lock under which the state has changed.
    fn note_change(&self) {
        self.changes.fetch_add(1, Release);
    }

    fn publish(&self, step: Transition) {
        let Transition { from, to, cause, generation, .. } = step;
        let instance = Arc::from(self.name());
        self.host.tell(HostEvent::Turned { instance, from, to, cause, generation });
    }

    fn step(&self, life: &mut Life, event: LifecycleEvent, cause: impl Into<Cause>) {
        // A step that has no place is counted by the manager, and changes nothing.
        if life.manager.apply(event, cause, self.clock().now()).is_ok() {
            self.note_change();
        }
    }

    /// What follows once a generation ended, without the lock: its drop is plugin code's business.
    /// Its threads are its host's, which [`InstanceHost::end_generation`] asks to end; the next
    /// load waits for them, for here would wait who noticed the end, such as the supervisor.
    fn let_go(&self, ended: Option<Arc<Generation>>) {
        if let Some(generation) = ended {
            generation.end();
        }
        self.changed.notify_all();
        self.refuse_waiting();
    }

    fn tell(&self, event: InstanceEvent) {
        // Of the same name there may be another by now. And without a supervisor, at shutdown and
        // in some tests, nobody listens.
        if !self.is_retired() {
            let _ = self.events.send(event);
        }
    }

    pub(super) fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_changed<'a>(
        &self,
        life: MutexGuard<'a, Life>,
        limit: Duration,
    ) -> MutexGuard<'a, Life> {
        self.changed.wait_timeout(life, limit).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let mut life = self.instance.life();
        let last = self.generation.users.fetch_sub(1, Relaxed) == 1;
        // A generation that ended has no say in the state any more.
        if last && life.has(&self.generation) {
            let event = LifecycleEvent::Disengaged;
            self.instance.step(&mut life, event, event);
        }
        drop(life);
        self.instance.changed.notify_all();
    }
}

impl Life {
    /// Whether `generation` is the present one, and none is to come.
    fn has(&self, generation: &Arc<Generation>) -> bool {
        self.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, generation))
    }
}

/// In which a generation's code runs, with an account for what it allocates.
fn scope(
    spec: &InstanceSpec,
    generation: u64,
    sandbox: &Sandbox,
    events: &mpsc::Sender<InstanceEvent>,
) -> SandboxScope {
    let account = sandbox.open_account(spec.limits.memory);
    let scope = SandboxScope::new(spec.name.as_str(), None, generation).charging(account);
    let events = events.clone();
    scope.on_stray_panic(move |scope| {
        // This is the panic hook: whoever listens takes it from here.
        let _ = events.send(InstanceEvent::StrayPanic { scope: scope.clone() });
    });
    scope
}

fn readiness(life: &Life) -> Readiness {
    match (&life.current, life.manager.state()) {
        (Some(generation), _) => Readiness::Ready(generation.clone()),
        (None, LifecycleState::Unavailable) => Readiness::Absent,
        (None, LifecycleState::Failed) if life.quarantined => Readiness::Absent,
        _ => Readiness::Coming,
    }
}

/// Faults that an instance's report shows.
const FAULTS_KEPT: usize = 16;
