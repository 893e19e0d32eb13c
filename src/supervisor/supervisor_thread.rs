use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{RestartLedger, RestartPolicy, Verdict};
use crate::{
    lifecycle::{Cause, LifecycleEvent, LifecycleState},
    loader::{Clock, Fault, InstanceEvent, PluginInstance, PluginRegistry, because},
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

/// What is known of one instance.
struct Case {
    ledger: RestartLedger,
    due: Option<(Instant, LifecycleEvent)>,
    reload: bool,
    loading: bool,
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
            let ledger = RestartLedger::new(policy, &name);
            (name, Case { ledger, due: None, reload: false, loading: false })
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
        let ledger = RestartLedger::new(policy, &name);
        let case = Case { ledger, due: None, reload: false, loading: false };
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
        let now = self.shared.clock.now();
        let left = |(at, _): (Instant, _)| at.saturating_duration_since(now);
        Supervision { restarts: case.ledger.restarts_total(), next_attempt_in: case.due.map(left) }
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
            self.start_what_is_due();
            let wait = self.clock.patience(self.time_to_next().min(ROUND_MAX));
            match events.recv_timeout(wait) {
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
                if let Some(case) = self.cases().get_mut(&name) {
                    case.loading = false;
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
                let one_too_many = self
                    .cases()
                    .get_mut(&name)
                    .is_some_and(|case| case.ledger.session_faulted(now));
                if one_too_many && let Some(instance) = self.registry.find(&name) {
                    let reason = format!("sessions keep failing; the last one: {}", fault.reason);
                    instance.broke(Fault { reason, ..fault }, generation);
                }
            }
        }
    }

    /// Decides what follows from the state that an instance is in now.
    fn plan(&self, name: &str, now: Instant) {
        let Some(instance) = self.registry.find(name) else { return };
        let mut cases = self.cases();
        let Some(case) = cases.get_mut(name) else { return };
        match instance.state() {
            LifecycleState::Unavailable => {
                case.due = Some((now + REPROBE_EVERY, LifecycleEvent::ReprobeDue));
            }
            LifecycleState::Failed if is_lasting(&instance) => case.due = None,
            LifecycleState::Failed => match case.ledger.failed(now) {
                Verdict::RestartAfter(wait) => {
                    case.due = Some((now + wait, LifecycleEvent::RestartDue));
                }
                Verdict::Quarantine => {
                    case.due = None;
                    instance.quarantine(quarantined(&instance, case.ledger.policy()));
                }
            },
            _ => case.due = None,
        }
    }

    fn start_what_is_due(self: &Arc<Self>) {
        let now = self.clock.now();
        let due: Vec<(String, LifecycleEvent)> = {
            let mut cases = self.cases();
            let ready = cases.iter_mut().filter(|(_, case)| !case.reload);
            ready
                .filter_map(|(name, case)| {
                    let (_, event) = case.due.take_if(|(at, _)| *at <= now)?;
                    Some((name.clone(), event))
                })
                .collect()
        };
        for (name, event) in due {
            if let Some(instance) = self.registry.find(&name)
                && instance.begin_again(event)
            {
                self.load_in_background(&instance);
            }
        }
    }

    fn load_in_background(self: &Arc<Self>, instance: &Arc<PluginInstance>) {
        if let Some(case) = self.cases().get_mut(instance.name()) {
            case.loading = true;
        }
        let loading = instance.clone();
        let thread = thread::Builder::new()
            .name(format!("{}-load", instance.name()))
            // The outcome is in the instance's state, and its event comes to us.
            .spawn(move || drop(loading.load()));
        if let Err(error) = thread {
            tracing::error!(plugin = %instance.name(), %error, "no thread to load a plugin on");
            if let Some(case) = self.cases().get_mut(instance.name()) {
                case.loading = false;
                let then = self.clock.now() + REPROBE_EVERY;
                case.due = Some((then, LifecycleEvent::RestartDue));
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
        // A load whose outcome can be seen is over, also where its event is still on its way: who
        // reads that outcome may ask for the next.
        if case.reload || (case.loading && instance.state() == LifecycleState::Loaded) {
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
        let left = |case: &Case| case.due.map(|(at, _)| at.saturating_duration_since(now));
        cases.values().filter_map(left).min().unwrap_or(ROUND_MAX)
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

fn quarantined(instance: &PluginInstance, policy: &RestartPolicy) -> Cause {
    let last = instance.report().cause;
    Cause::new(
        "supervisor.quarantined",
        format!(
            "left alone after {} restarts within {:?}; the last reason: {}",
            policy.budget, policy.window, last.reason
        ),
    )
    .with_hint("mend what the reason says, then reload the plugin")
}

/// How long a supervisor that is dropped is waited for.
const STOP_MAX: Duration = Duration::from_secs(5);
/// The supervisor goes round at least this often, so that its progress can be seen.
const ROUND_MAX: Duration = Duration::from_millis(500);
/// How often a rebuild looks whether it may begin.
const CLAIM_EVERY: Duration = Duration::from_millis(20);
/// How often an UNAVAILABLE instance's requirements are looked at again.
const REPROBE_EVERY: Duration = Duration::from_secs(15);
