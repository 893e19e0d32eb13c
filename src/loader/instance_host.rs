use std::{
    any::Any,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use keepsight_contract::{
    Counter, Degradation, Finding, Gauge, Histogram, HistogramSnapshot, Host, HostServices,
    Requirement, StateError, StopToken,
};
use serde_json::Value;

use super::DependencyChecker;
use super::Fault;
use crate::{
    lifecycle::{Cause, LifecycleState},
    sandbox::{Phase, RunFault, Sandbox, SandboxScope, Worker},
};

/// What the runtime does for one plugin instance or source; the contract's [`Host`] hides it.
pub struct InstanceHost {
    name: Arc<str>,
    state_dir: Option<PathBuf>,
    sandbox: Arc<Sandbox>,
    checker: OnceLock<Arc<DependencyChecker>>,
    parts: Mutex<Parts>,
    publish: Arc<dyn Fn(HostEvent) + Send + Sync>,
    on_thread_fault: Arc<OnceLock<OnThreadFault>>,
}

/// Given the fault of a thread that the instance owns, and its generation when the thread started.
type OnThreadFault = Box<dyn Fn(Fault, u64) + Send + Sync>;

struct Parts {
    scope: SandboxScope,
    counters: BTreeMap<String, Counter>,
    gauges: BTreeMap<String, Gauge>,
    histograms: BTreeMap<String, Histogram>,
    /// Names of metrics that found no place.
    names_refused: u64,
    degraded: Vec<Degradation>,
    threads: Vec<OwnedThread>,
    /// Those of generations that ended, asked to stop and not waited for yet.
    leaving: Vec<OwnedThread>,
}

struct OwnedThread {
    name: String,
    stop: StopToken,
    worker: Worker,
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
    /// A thread that a source or an output owns panicked, or took it beyond its memory limit. A
    /// plugin's thread is its instance's matter.
    ThreadFaulted {
        /// Name of the instance.
        instance: Arc<str>,
        /// Its generation when the thread started.
        generation: u64,
        /// What happened; the reason begins with the thread's name.
        fault: Fault,
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
    /// How often a metric was asked for under a name that found no place.
    pub names_refused: u64,
}

impl InstanceHost {
    /// A host for the instance `name`, whose threads run in `sandbox`, and which may keep state in
    /// a folder of its own in `state_root`; `publish` gets what the instance tells and must be
    /// quick.
    pub fn new(
        name: &str,
        state_root: Option<&Path>,
        sandbox: &Arc<Sandbox>,
        publish: impl Fn(HostEvent) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let parts = Parts {
            scope: SandboxScope::new(name, None, 0),
            counters: BTreeMap::new(),
            gauges: BTreeMap::new(),
            histograms: BTreeMap::new(),
            names_refused: 0,
            degraded: Vec::new(),
            threads: Vec::new(),
            leaving: Vec::new(),
        };
        Arc::new(Self {
            name: Arc::from(name),
            state_dir: state_root.map(|root| root.join("plugins").join(name)),
            sandbox: sandbox.clone(),
            checker: OnceLock::new(),
            parts: Mutex::new(parts),
            publish: Arc::new(publish),
            on_thread_fault: Arc::default(),
        })
    }

    /// Has faults of owned threads given to `told` instead of being published; it must be quick.
    /// Of two calls the first counts.
    pub(super) fn on_thread_fault(&self, told: impl Fn(Fault, u64) + Send + Sync + 'static) {
        let _ = self.on_thread_fault.set(Box::new(told));
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
            names_refused: parts.names_refused,
        }
    }

    /// Forgets the degradations, and asks the threads of the generation that ends to stop; waits
    /// for nothing.
    pub fn end_generation(&self) {
        let mut parts = self.parts();
        parts.degraded.clear();
        let threads = std::mem::take(&mut parts.threads);
        for thread in &threads {
            thread.stop.stop();
        }
        parts.leaving.extend(threads);
    }

    /// Waits for the threads of generations that ended, at most `limit` for all of them; gives up
    /// those that haven't ended by then, and names them.
    pub fn join_ended(&self, limit: Duration) -> Vec<String> {
        let leaving = std::mem::take(&mut self.parts().leaving);
        let end = Instant::now() + limit;
        let still_runs = |thread: &OwnedThread| {
            !thread.worker.join_within(end.saturating_duration_since(Instant::now()))
        };
        leaving.into_iter().filter(still_runs).map(|thread| thread.name).collect()
    }

    /// The metric of that name in one of the tables, made if there is none; past the cap, one that
    /// nobody sees.
    fn metric<M: Clone + Default>(
        &self,
        name: &str,
        table: impl FnOnce(&mut Parts) -> &mut BTreeMap<String, M>,
    ) -> M {
        let mut parts = self.parts();
        let metrics = table(&mut parts);
        if let Some(metric) = metrics.get(name) {
            return metric.clone();
        }
        let metric = M::default();
        if metrics.len() < Host::METRICS_MAX && name.len() <= Host::NAME_BYTES_MAX {
            metrics.insert(name.to_owned(), metric.clone());
            return metric;
        }
        parts.names_refused += 1;
        if parts.names_refused == 1 {
            drop(parts);
            tracing::warn!(plugin = %self.name, metric = %name.escape_debug(),
                "no place for a metric: the plugin has too many, or its name is too long");
        }
        metric
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostServices for InstanceHost {
    fn spawn(&self, name: &str, task: Box<dyn FnOnce(StopToken) + Send>) -> io::Result<()> {
        let scope = {
            let mut parts = self.parts();
            parts.threads.retain(|thread| !thread.worker.is_finished());
            if parts.threads.len() >= Host::THREADS_MAX {
                let limit = Host::THREADS_MAX;
                return Err(io::Error::other(format!("the plugin has {limit} threads already")));
            }
            parts.scope.clone()
        };
        let stop = StopToken::default();
        let report = {
            let (instance, name) = (self.name.clone(), name.to_owned());
            let (publish, told) = (self.publish.clone(), self.on_thread_fault.clone());
            let (generation, stream) = (scope.generation(), scope.stream().cloned());
            move |fault: &RunFault| {
                // Nobody's fault: whoever waited for the thread says how that went.
                if matches!(fault, RunFault::Cancelled { .. }) {
                    return;
                }
                let fault = Fault::caught(fault, stream.as_deref());
                let fault = Fault { reason: format!("thread {name:?}: {}", fault.reason), ..fault };
                let instance = instance.clone();
                match told.get() {
                    Some(told) => told(fault, generation),
                    None => publish(HostEvent::ThreadFaulted { instance, generation, fault }),
                }
            }
        };
        let on_abandon = {
            let (stop, report) = (stop.clone(), report.clone());
            move |fault: RunFault| {
                stop.stop();
                report(&fault);
            }
        };
        let token = stop.clone();
        let worker = self.sandbox.spawn_worker(
            &format!("{}-{name}", self.name),
            scope,
            on_abandon,
            move |seat| {
                let outcome = seat.run(Phase::Thread, FOREVER, |_| task(token));
                // Of one that was given up, `on_abandon` has told.
                if let Err(fault) = outcome
                    && !seat.is_abandoned()
                {
                    report(&fault);
                }
            },
        );
        let worker = worker.map_err(io::Error::other)?;
        self.parts().threads.push(OwnedThread { name: name.to_owned(), stop, worker });
        Ok(())
    }

    fn enter_scope(&self) -> Box<dyn Any> {
        let scope = self.parts().scope.clone();
        Box::new(scope.enter())
    }

    fn counter(&self, name: &str) -> Counter {
        self.metric(name, |parts| &mut parts.counters)
    }

    fn gauge(&self, name: &str) -> Gauge {
        self.metric(name, |parts| &mut parts.gauges)
    }

    fn histogram(&self, name: &str) -> Histogram {
        self.metric(name, |parts| &mut parts.histograms)
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
            None if parts.degraded.len() == Host::DEGRADATIONS_MAX => {}
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

    fn state_dir(&self) -> Result<PathBuf, StateError> {
        let folder = self.state_dir.clone().ok_or(StateError::NoFolder)?;
        // Made when first asked for, and again should somebody have removed it.
        match std::fs::create_dir_all(&folder) {
            Ok(()) => Ok(folder),
            Err(source) => Err(StateError::Unwritable { path: folder, source }),
        }
    }
}

/// An owned thread has no deadline.
const FOREVER: Duration = Duration::MAX;
