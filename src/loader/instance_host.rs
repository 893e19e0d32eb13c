use std::{
    any::Any,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use keepsight_contract::{
    Counter, Degradation, Finding, Gauge, Histogram, HistogramSnapshot, Host, HostServices,
    Requirement, StopToken,
};
use serde_json::Value;

use super::DependencyChecker;
use super::Fault;
use crate::{
    lifecycle::{Cause, LifecycleState},
    sandbox::{self, Phase, SandboxScope},
};

/// What the runtime does for one plugin instance or source; the contract's [`Host`] hides it.
pub struct InstanceHost {
    name: Arc<str>,
    state_dir: Option<PathBuf>,
    checker: OnceLock<Arc<DependencyChecker>>,
    parts: Mutex<Parts>,
    publish: Arc<dyn Fn(HostEvent) + Send + Sync>,
}

struct Parts {
    scope: SandboxScope,
    counters: BTreeMap<String, Counter>,
    gauges: BTreeMap<String, Gauge>,
    histograms: BTreeMap<String, Histogram>,
    degraded: Vec<Degradation>,
    threads: Vec<OwnedThread>,
}

struct OwnedThread {
    name: String,
    stop: StopToken,
    ended: mpsc::Receiver<()>,
}

/// What happened in an instance, for whoever follows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HostEvent {
    /// [`Host::event`].
    Published {
        /// Name of the instance.
        instance: Arc<str>,
        /// The stream whose session published it, where it was one's.
        stream: Option<Arc<str>>,
        /// Kind of the event.
        kind: String,
        /// What belongs to it.
        data: Value,
    },
    /// A thread that the instance owns panicked.
    ThreadPanicked {
        /// Name of the instance.
        instance: Arc<str>,
        /// Its generation when the thread started.
        generation: u64,
        /// Name of the thread and the panic's message.
        message: String,
    },
    /// The instance took a step that its history keeps, or is said better why it is in its state.
    Turned {
        /// Name of the instance.
        instance: Arc<str>,
        /// Where it stood before; `None` for the registration.
        from: Option<LifecycleState>,
        /// Where it stands.
        to: LifecycleState,
        /// Why.
        cause: Cause,
        /// Its generation after the step.
        generation: u64,
    },
    /// A session, a call or the loading ended by a fault.
    Faulted {
        /// Name of the instance.
        instance: Arc<str>,
        /// The generation in which it happened.
        generation: u64,
        /// What happened.
        fault: Fault,
    },
}

/// Every metric of an instance at one moment, by name.
#[derive(Clone, Debug, Default)]
pub struct MetricsSnapshot {
    /// Numbers that only grow.
    pub counters: BTreeMap<String, u64>,
    /// Numbers that go up and down.
    pub gauges: BTreeMap<String, f64>,
    /// Distributions.
    pub histograms: BTreeMap<String, HistogramSnapshot>,
}

impl InstanceHost {
    /// A host for the instance `name`, which may keep state in a folder of its own in
    /// `state_root`; `publish` gets what the instance tells and must be quick.
    pub fn new(
        name: &str,
        state_root: Option<&Path>,
        publish: impl Fn(HostEvent) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let parts = Parts {
            scope: SandboxScope::new(name, None, 0),
            counters: BTreeMap::new(),
            gauges: BTreeMap::new(),
            histograms: BTreeMap::new(),
            degraded: Vec::new(),
            threads: Vec::new(),
        };
        Arc::new(Self {
            name: Arc::from(name),
            state_dir: state_root.map(|root| root.join("plugins").join(name)),
            checker: OnceLock::new(),
            parts: Mutex::new(parts),
            publish: Arc::new(publish),
        })
    }

    /// Gives the host probes; of two calls the first counts.
    pub fn set_checker(&self, checker: Arc<DependencyChecker>) {
        let _ = self.checker.set(checker);
    }

    /// What to hand to the plugin.
    pub fn host(self: &Arc<Self>) -> Host {
        Host::new(self.clone())
    }

    /// Says whose work counts from now on.
    pub fn set_scope(&self, scope: SandboxScope) {
        self.parts().scope = scope;
    }

    pub(super) fn tell(&self, event: HostEvent) {
        (self.publish)(event);
    }

    /// Degradations now in force.
    pub fn degraded(&self) -> Vec<Degradation> {
        self.parts().degraded.clone()
    }

    /// Every metric now.
    pub fn metrics(&self) -> MetricsSnapshot {
        let parts = self.parts();
        let named = |name: &String| name.clone();
        MetricsSnapshot {
            counters: parts.counters.iter().map(|(n, c)| (named(n), c.value())).collect(),
            gauges: parts.gauges.iter().map(|(n, g)| (named(n), g.value())).collect(),
            histograms: parts.histograms.iter().map(|(n, h)| (named(n), h.snapshot())).collect(),
        }
    }

    /// Forgets the degradations and asks the threads of the generation that ends to stop; waits
    /// for them at most `limit` and names those that haven't ended by then.
    pub fn end_generation(&self, limit: Duration) -> Vec<String> {
        let threads = {
            let mut parts = self.parts();
            parts.degraded.clear();
            std::mem::take(&mut parts.threads)
        };
        for thread in &threads {
            thread.stop.stop();
        }
        let end = Instant::now() + limit;
        let still_runs = |thread: &OwnedThread| {
            let left = end.saturating_duration_since(Instant::now());
            // The thread's end of the channel is dropped when it ends, however it does.
            matches!(thread.ended.recv_timeout(left), Err(mpsc::RecvTimeoutError::Timeout))
        };
        threads.into_iter().filter(still_runs).map(|thread| thread.name).collect()
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostServices for InstanceHost {
    fn spawn(&self, name: &str, task: Box<dyn FnOnce(StopToken) + Send>) -> io::Result<()> {
        let mut parts = self.parts();
        parts
            .threads
            .retain(|thread| matches!(thread.ended.try_recv(), Err(mpsc::TryRecvError::Empty)));
        if parts.threads.len() == THREADS_MAX {
            return Err(io::Error::other(format!("the plugin has {THREADS_MAX} threads already")));
        }
        let stop = StopToken::default();
        let (alive, ended) = mpsc::channel();
        let (scope, token) = (parts.scope.clone(), stop.clone());
        let report = {
            let (instance, name) = (self.name.clone(), name.to_owned());
            let generation = scope.generation();
            move |panic: sandbox::PanicReport| HostEvent::ThreadPanicked {
                instance,
                generation,
                message: format!("thread {name:?}: {}", panic.message),
            }
        };
        let publish = self.publish.clone();
        thread::Builder::new().name(format!("{}-{name}", self.name)).spawn(move || {
            let _alive: mpsc::Sender<()> = alive;
            let outcome = {
                let _entered = scope.enter();
                sandbox::contained(&scope, Phase::Thread, || task(token))
            };
            if let Err(panic) = outcome {
                publish(report(panic));
            }
        })?;
        parts.threads.push(OwnedThread { name: name.to_owned(), stop, ended });
        Ok(())
    }

    fn enter_scope(&self) -> Box<dyn Any> {
        let scope = self.parts().scope.clone();
        Box::new(scope.enter())
    }

    fn counter(&self, name: &str) -> Counter {
        metric(&mut self.parts().counters, name)
    }

    fn gauge(&self, name: &str) -> Gauge {
        metric(&mut self.parts().gauges, name)
    }

    fn histogram(&self, name: &str) -> Histogram {
        metric(&mut self.parts().histograms, name)
    }

    fn event(&self, kind: &str, data: Value) {
        let (instance, kind) = (self.name.clone(), kind.to_owned());
        let stream = SandboxScope::current().and_then(|scope| scope.stream().cloned());
        self.tell(HostEvent::Published { instance, stream, kind, data });
    }

    fn degraded(&self, degradation: Degradation) {
        let mut parts = self.parts();
        match parts.degraded.iter().position(|known| known.code == degradation.code) {
            Some(known) => parts.degraded[known] = degradation,
            None if parts.degraded.len() == DEGRADATIONS_MAX => {}
            None => {
                let Degradation { code, reason, .. } = &degradation;
                tracing::warn!(plugin = %self.name, %code, %reason, "degraded");
                parts.degraded.push(degradation);
            }
        }
    }

    fn recovered(&self, code: &str) {
        let mut parts = self.parts();
        let before = parts.degraded.len();
        parts.degraded.retain(|known| known.code != code);
        if parts.degraded.len() < before {
            tracing::info!(plugin = %self.name, %code, "recovered");
        }
    }

    fn check(&self, requirement: &Requirement) -> Option<Finding> {
        self.checker.get().map(|checker| checker.check(requirement))
    }

    fn state_dir(&self) -> Option<PathBuf> {
        let folder = self.state_dir.as_ref()?;
        // Made when first asked for, and again should somebody have removed it.
        std::fs::create_dir_all(folder).ok().map(|()| folder.clone())
    }
}

/// The metric of that name, made if there is none; past the cap, one that nobody sees.
fn metric<M: Clone + Default>(metrics: &mut BTreeMap<String, M>, name: &str) -> M {
    if let Some(metric) = metrics.get(name) {
        return metric.clone();
    }
    let metric = M::default();
    if metrics.len() < METRICS_MAX {
        metrics.insert(name.to_owned(), metric.clone());
    }
    metric
}

/// Metrics of each kind that an instance may have.
const METRICS_MAX: usize = 128;
/// Threads that an instance may own at a time.
const THREADS_MAX: usize = 32;
/// Degradations that an instance may report at a time.
const DEGRADATIONS_MAX: usize = 16;
