use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{
    RestartPolicy, Verdict,
    case::{self, Case, Work},
};
use crate::{
    lifecycle::{LifecycleEvent, LifecycleState},
    loader::{Clock, Fault, InstanceEvent, LoadError, PluginInstance, PluginRegistry, because},
};

/// Watches over the instances of a registry from a thread of its own.
pub struct Supervisor {
    shared: Arc<Shared>,
    thread: Mutex<Option<SupervisorThread>>,
    stop: mpsc::Sender<()>,
}

struct SupervisorThread {
    handle: thread::JoinHandle<()>,
    /// Closed when the thread ends, however it does.
    ended: mpsc::Receiver<()>,
}

struct Shared {
    registry: PluginRegistry,
    cases: Mutex<BTreeMap<String, Case>>,
    clock: Arc<dyn Clock>,
    /// By the machine's clock, whatever the other one says.
    progress: Mutex<Instant>,
}

/// What a report says of an instance's supervision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Supervision {
    /// Restarts since the process began.
    pub restarts: u64,
    /// When it is tried again, if that is due.
    pub next_attempt_in: Option<Duration>,
}

/// Why an instance was not built anew.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// No instance has that name.
    #[error("no plugin is called '{plugin}'")]
    UnknownPlugin {
        /// The name.
        plugin: String,
    },
    /// Another reload of it runs.
    #[error("another reload of it is under way")]
    UnderWay,
    /// It was tried and is not initialised.
    #[error("plugin is {state}{}", because(reason.as_deref(), hint.as_deref()))]
    NotInitialized {
        /// Where it stands now.
        state: LifecycleState,
        /// Why.
        reason: Option<String>,
        /// What a person can do about it.
        hint: Option<String>,
        /// Until it is tried again, where that is planned.
        retry_after: Option<Duration>,
    },
    /// The process ends.
    #[error("the process is shutting down")]
    ShuttingDown,
}

impl Supervisor {
    /// Begins to supervise `registry`, whose instances report on `events`; `policies` are by
    /// instance, the default policy serves the others. What is due when goes by `clock`.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(
        registry: PluginRegistry,
        mut policies: BTreeMap<String, RestartPolicy>,
        events: mpsc::Receiver<InstanceEvent>,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let case = |instance: Arc<PluginInstance>| {
            let name = instance.name().to_owned();
            let policy = policies.remove(&name).unwrap_or_default();
            let case = Case::new(policy, &name);
            (name, case)
        };
        let cases = Mutex::new(registry.instances().map(case).collect());
        let progress = Mutex::new(Instant::now());
        let shared = Arc::new(Shared { registry, cases, clock, progress });
        let (stop, stopped) = mpsc::channel();
        let (alive, ended) = mpsc::channel();
        let handle = {
            let shared = shared.clone();
            thread::Builder::new().name("keepsight-supervisor".to_owned()).spawn(move || {
                let _alive: mpsc::Sender<()> = alive;
                shared.watch(&events, &stopped);
            })?
        };
        let thread = Mutex::new(Some(SupervisorThread { handle, ended }));
        Ok(Self { shared, thread, stop })
    }

    /// Loads every instance for the first time, each on a thread of its own; returns at once.
    pub fn load_all(&self) {
        for instance in self.shared.registry.instances() {
            // One that is left alone from the start is FAILED already.
            if instance.state() == LifecycleState::Loaded {
                self.shared.load_in_background(&instance);
            }
        }
    }

    /// Loads the instance anew and waits for the outcome; a quarantine is lifted.
    ///
    /// # Errors
    /// [`ReloadError`] says why it isn't available now.
    pub fn reload(&self, name: &str) -> Result<(), ReloadError> {
        let unknown = || ReloadError::UnknownPlugin { plugin: name.to_owned() };
        let instance = self.shared.registry.find(name).ok_or_else(unknown)?;
        if !self.shared.claim(&instance) {
            return Err(ReloadError::UnderWay);
        }
        tracing::info!(plugin = %name, "reload asked for");
        let loaded = instance.begin_again(LifecycleEvent::ReloadAsked) && instance.load().is_ok();
        if let Some(case) = self.shared.cases().get_mut(name) {
            case.reload = false;
        }
        if loaded {
            return Ok(());
        }
        let report = instance.report();
        Err(ReloadError::NotInitialized {
            state: report.state,
            reason: Some(report.cause.reason),
            hint: report.cause.hint,
            retry_after: self.supervision(name).next_attempt_in,
        })
    }

    /// Supervises an instance that came into the registry, from now on, and loads it in the
    /// background.
    pub fn take_on(&self, instance: &Arc<PluginInstance>, policy: RestartPolicy) {
        let name = instance.name().to_owned();
        let case = Case::new(policy, &name);
        self.shared.cases().insert(name, case);
        self.shared.load_in_background(instance);
    }

    /// Supervises the instance `name` no longer.
    pub fn let_go(&self, name: &str) {
        self.shared.cases().remove(name);
    }

    /// Restarts the instance `name` by another policy from now on; what was before still counts.
    pub fn set_policy(&self, name: &str, policy: RestartPolicy) {
        if let Some(case) = self.shared.cases().get_mut(name) {
            case.ledger.set_policy(policy);
        }
    }

    /// Loads the instance `name` anew in the background, once no other load of it is under way,
    /// since it is configured otherwise now; a quarantine is lifted.
    pub fn rebuild(&self, name: &str) {
        let Some(instance) = self.shared.registry.find(name) else { return };
        let shared = self.shared.clone();
        let rebuild = move || shared.rebuild(&instance);
        if let Err(error) = thread::Builder::new().name(format!("{name}-rebuild")).spawn(rebuild) {
            tracing::error!(plugin = %name, %error, "no thread to rebuild a plugin on");
        }
    }

    /// What a report says of the instance `name`.
    pub fn supervision(&self, name: &str) -> Supervision {
        let cases = self.shared.cases();
        let Some(case) = cases.get(name) else { return Supervision::default() };
        let next_attempt_in = case.time_left(self.shared.clock.now());
        Supervision { restarts: case.ledger.restarts_total(), next_attempt_in }
    }

    /// How often and after what pauses the instance `name` is started again.
    pub fn policy(&self, name: &str) -> RestartPolicy {
        let cases = self.shared.cases();
        cases.get(name).map(|case| case.ledger.policy().clone()).unwrap_or_default()
    }

    /// How long ago the supervisor last went round; far more than a second says that it is stuck.
    pub fn idle_for(&self) -> Duration {
        self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Ends the supervision: nothing is started again. Waits at most `limit` for what it is at; says
    /// whether it has ended.
    pub fn stop(&self, limit: Duration) -> bool {
        let _ = self.stop.send(());
        if let Some(instance) = self.shared.registry.instances().next() {
            instance.have_look_round();
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(SupervisorThread { handle, ended }) = thread else { return true };
        if ended.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::error!("the supervisor is stuck and is left behind");
            return false;
        }
        if handle.join().is_err() {
            tracing::error!("the supervisor panicked");
        }
        true
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop(STOP_MAX);
    }
}

impl Shared {
    fn watch(
        self: &Arc<Self>,
        events: &mpsc::Receiver<InstanceEvent>,
        stopped: &mpsc::Receiver<()>,
    ) {
        loop {
            *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            match stopped.try_recv() {
                Err(mpsc::TryRecvError::Empty) => {}
                _ => return,
            }
            self.mind_who_hangs();
            let left = if self.containment_lost() {
                // Nothing is started again; what is due stays so.
                ROUND_MAX
            } else {
                self.start_what_is_due();
                self.time_to_next().min(ROUND_MAX)
            };
            match events.recv_timeout(self.clock.patience(left)) {
                Ok(event) => self.take(event),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                // Every instance is gone, so there is nothing to supervise.
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take(self: &Arc<Self>, event: InstanceEvent) {
        let now = self.clock.now();
        match event {
            InstanceEvent::LoadEnded { name } => {
                if let Some(case) = self.cases().get_mut(&name)
                    && case.work == Work::Loads
                {
                    case.work = Work::Nothing;
                }
                self.plan(&name, now);
            }
            InstanceEvent::LookRound => {}
            InstanceEvent::Broke { name } => self.plan(&name, now),
            InstanceEvent::StrayPanic { scope } => {
                if let Some(instance) = self.registry.find(scope.instance()) {
                    instance.take_stray_panic(&scope);
                }
            }
            InstanceEvent::SessionFaulted { name, generation, fault } => {
                let Some(instance) = self.registry.find(&name) else { return };
                // What comes late, of a generation that has ended, is held against none.
                if instance.generation() != generation {
                    return;
                }
                let one_too_many = self
                    .cases()
                    .get_mut(&name)
                    .is_some_and(|case| case.ledger.session_faulted(now));
                if one_too_many {
                    let reason = format!("sessions keep failing; the last one: {}", fault.reason);
                    instance.broke(Fault { reason, ..fault }, generation);
                }
            }
        }
    }

    /// Decides what follows from the state that an instance is in now.
    fn plan(&self, name: &str, now: Instant) {
        let Some(instance) = self.registry.find(name) else { return };
        let at_cap = instance.is_at_thread_cap();
        let quarantine = {
            let mut cases = self.cases();
            let Some(case) = cases.get_mut(name) else { return };
            let (state, generation) = (instance.state(), instance.generation());
            let news = case.dealt_with != generation;
            match state {
                LifecycleState::Unavailable => {
                    case.due = Some((now + REPROBE_EVERY, LifecycleEvent::ReprobeDue));
                    None
                }
                LifecycleState::Failed if is_lasting(&instance) => {
                    case.due = None;
                    None
                }
                LifecycleState::Failed if at_cap => {
                    (case.due, case.hanging, case.dealt_with) = (None, true, generation);
                    Some(case::hanging(&instance))
                }
                LifecycleState::Failed if news => {
                    case.dealt_with = generation;
                    match case.ledger.failed(now) {
                        Verdict::RestartAfter(wait) => {
                            case.due = Some((now + wait, LifecycleEvent::RestartDue));
                            None
                        }
                        Verdict::Quarantine => {
                            case.due = None;
                            Some(case::spent(&instance, case.ledger.policy()))
                        }
                    }
                }
                LifecycleState::Failed | LifecycleState::Loaded => None,
                LifecycleState::Initialized | LifecycleState::Running => {
                    case.due = None;
                    case.ledger.came_up(now);
                    None
                }
            }
        };
        if let Some(cause) = quarantine {
            instance.quarantine(cause);
        }
    }

    /// Leaves alone whose threads hang, as many as it may have, and tries again who has one back.
    fn mind_who_hangs(&self) {
        for instance in self.registry.instances() {
            let at_cap = instance.is_at_thread_cap();
            let now = self.clock.now();
            let cause = {
                let mut cases = self.cases();
                let Some(case) = cases.get_mut(instance.name()) else { continue };
                match (at_cap, case.hanging) {
                    (false, false) | (true, true) => continue,
                    (true, false) => {
                        let state = instance.state();
                        let failed = state == LifecycleState::Failed;
                        let left_alone =
                            failed && (instance.is_quarantined() || is_lasting(&instance));
                        if left_alone || !(failed || state.is_available()) {
                            continue;
                        }
                        (case.due, case.hanging) = (None, true);
                        case.dealt_with = instance.generation();
                        Some(case::hanging(&instance))
                    }
                    (false, true) => {
                        case.hanging = false;
                        if instance.state() != LifecycleState::Failed {
                            continue;
                        }
                        match case.ledger.failed(now) {
                            Verdict::RestartAfter(_) => {
                                case.due = Some((now, LifecycleEvent::RestartDue));
                                None
                            }
                            Verdict::Quarantine => {
                                Some(case::spent(&instance, case.ledger.policy()))
                            }
                        }
                    }
                }
            };
            match cause {
                Some(cause) => instance.quarantine(cause),
                None => tracing::info!(plugin = %instance.name(), "a thread of it has returned"),
            }
        }
    }

    fn containment_lost(&self) -> bool {
        let mut instances = self.registry.instances();
        instances.next().is_some_and(|instance| instance.sandbox().containment_lost())
    }

    fn start_what_is_due(self: &Arc<Self>) {
        let now = self.clock.now();
        let due: Vec<(String, LifecycleEvent)> = {
            let mut cases = self.cases();
            let idle = cases
                .iter_mut()
                .filter(|(_, case)| !case.reload && !case.hanging && case.work == Work::Nothing);
            idle.filter_map(|(name, case)| {
                let (_, event) = case.due.take_if(|(at, _)| *at <= now)?;
                let looks = event == LifecycleEvent::ReprobeDue;
                case.work = if looks { Work::Looks } else { Work::Begins };
                Some((name.clone(), event))
            })
            .collect()
        };
        for (name, event) in due {
            let Some(instance) = self.registry.find(&name) else { continue };
            let shared = self.clone();
            self.in_background(&instance.clone(), move || shared.try_again(&instance, event));
        }
    }

    /// Takes the instance back to LOADED and loads it, if that is what `event` comes to.
    fn try_again(&self, instance: &Arc<PluginInstance>, event: LifecycleEvent) {
        let name = instance.name();
        if event == LifecycleEvent::ReprobeDue {
            let load = instance.look_again();
            let mut cases = self.cases();
            let Some(case) = cases.get_mut(name) else { return };
            let is_ours = !case.reload && case.work == Work::Looks;
            case.work = if load && is_ours { Work::Begins } else { Work::Nothing };
            if is_ours && !load {
                case.due = Some((self.clock.now() + REPROBE_EVERY, event));
            }
            if case.work == Work::Nothing {
                return;
            }
        }
        let begun = instance.begin_again(event);
        if let Some(case) = self.cases().get_mut(name) {
            case.work = if begun { Work::Loads } else { Work::Nothing };
            if begun && event == LifecycleEvent::RestartDue {
                case.ledger.restarted(self.clock.now());
            }
        }
        if begun {
            self.load(instance);
        }
    }

    fn load(&self, instance: &Arc<PluginInstance>) {
        // The outcome is in the instance's state, and its event comes to us, unless there is none.
        if let Err(LoadError::OutOfTurn { .. }) = instance.load()
            && let Some(case) = self.cases().get_mut(instance.name())
        {
            case.work = Work::Nothing;
        }
    }

    fn load_in_background(self: &Arc<Self>, instance: &Arc<PluginInstance>) {
        if let Some(case) = self.cases().get_mut(instance.name()) {
            case.work = Work::Loads;
        }
        let (shared, loading) = (self.clone(), instance.clone());
        self.in_background(instance, move || shared.load(&loading));
    }

    fn in_background(&self, instance: &PluginInstance, work: impl FnOnce() + Send + 'static) {
        let thread = thread::Builder::new().name(format!("{}-load", instance.name())).spawn(work);
        if let Err(error) = thread {
            tracing::error!(plugin = %instance.name(), %error, "no thread to load a plugin on");
            if let Some(case) = self.cases().get_mut(instance.name()) {
                case.work = Work::Nothing;
                let then = self.clock.now() + REPROBE_EVERY;
                let event = match instance.state() {
                    LifecycleState::Unavailable => LifecycleEvent::ReprobeDue,
                    _ => LifecycleEvent::RestartDue,
                };
                case.due = Some((then, event));
            }
        }
    }

    /// One after the other: what is loaded now may have the configuration of before.
    fn rebuild(&self, instance: &Arc<PluginInstance>) {
        let name = instance.name();
        let limits = instance.spec().limits;
        let end = Instant::now() + 2 * (limits.init + limits.call + limits.close) + ROUND_MAX;
        while !self.claim(instance) {
            if instance.is_retired() || Instant::now() >= end {
                tracing::warn!(plugin = %name, "not rebuilt, since it never stopped loading");
                return;
            }
            instance.wait_outcome(ROUND_MAX);
            thread::park_timeout(CLAIM_EVERY);
        }
        tracing::info!(plugin = %name, "rebuilt, since it is configured otherwise");
        if instance.begin_again(LifecycleEvent::ReloadAsked) {
            // The outcome is in the instance's state.
            let _ = instance.load();
        }
        if let Some(case) = self.cases().get_mut(name) {
            case.reload = false;
        }
    }

    /// Takes the instance for a reload, unless somebody loads it.
    fn claim(&self, instance: &PluginInstance) -> bool {
        let mut cases = self.cases();
        let Some(case) = cases.get_mut(instance.name()) else { return false };
        let busy = match case.work {
            Work::Nothing | Work::Looks => false,
            Work::Begins => true,
            // A load whose outcome can be seen is over, also where its event is still on its way:
            // who reads that outcome may ask for the next.
            Work::Loads => instance.state() == LifecycleState::Loaded,
        };
        if busy || case.reload {
            return false;
        }
        case.reload = true;
        case.due = None;
        case.ledger.forgive();
        true
    }

    fn time_to_next(&self) -> Duration {
        let now = self.clock.now();
        let cases = self.cases();
        // Whoever is busy tells when it is not any more.
        let waits = cases.values().filter(|case| !case.reload && case.work == Work::Nothing);
        waits.filter_map(|case| case.time_left(now)).min().unwrap_or(ROUND_MAX)
    }

    fn cases(&self) -> MutexGuard<'_, BTreeMap<String, Case>> {
        self.cases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether only a person can mend the failure: a wrong configuration, a plugin not in the binary.
fn is_lasting(instance: &PluginInstance) -> bool {
    let code = instance.report().cause.code;
    code == "config.invalid" || code == "load.not_bundled"
}

/// How long a supervisor that is dropped is waited for.
const STOP_MAX: Duration = Duration::from_secs(5);
/// The supervisor goes round at least this often, so that its progress can be seen.
const ROUND_MAX: Duration = Duration::from_millis(500);
/// How often a rebuild looks whether it may begin.
const CLAIM_EVERY: Duration = Duration::from_millis(20);
/// How often an UNAVAILABLE instance's requirements are looked at again.
const REPROBE_EVERY: Duration = Duration::from_secs(15);
