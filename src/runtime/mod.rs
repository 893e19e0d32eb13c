//! The composition root: makes instances, streams, supervisor and inspector of a configuration,
//! starts them, answers the server for them, and ends them.

mod assembly;
mod backend;
mod publishing;
mod reread;
mod reread_plan;
mod result_outputs;
mod try_sources;

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::AcqRel},
        mpsc,
    },
    time::{Duration, Instant},
};

use keepsight_contract::{Pace, SourceUriError};

use crate::{
    api::{EventLog, PageFile, ResultFeed},
    config::Config,
    inspector::InspectorService,
    lifecycle::Cause,
    loader::{
        Catalog, Clock, DependencyChecker, LastCrash, PluginRegistry, ProbeProgram, SystemClock,
    },
    outputs::OutputError,
    sandbox::{Sandbox, SandboxLimits, install_panic_hook},
    streams::{Listener, Stream, StreamError, StreamsRegistry},
    supervisor::{Crash, CrashKeeper, Supervisor},
};

use assembly::{Assembly, Planned};
use reread::Rereading;
pub use reread::{Reread, RereadError};
pub use result_outputs::OutputTrial;
use result_outputs::{PlannedOutput, RunningOutputs};
pub use try_sources::SourceTrial;

/// A running Keepsight, without its server.
pub struct Runtime {
    /// What is in force now.
    config: RwLock<Arc<Config>>,
    assembly: Assembly,
    sandbox: Arc<Sandbox>,
    registry: PluginRegistry,
    supervisor: Arc<Supervisor>,
    inspector: InspectorService,
    events: Arc<EventLog>,
    results: Arc<ResultFeed>,
    page: &'static [PageFile],
    planned: Mutex<Vec<Planned>>,
    planned_outputs: Mutex<Vec<PlannedOutput>>,
    begun: AtomicBool,
    streams: StreamsRegistry,
    outputs: Arc<RunningOutputs>,
    /// Told of outcomes on every stream, the outputs last.
    listeners: Vec<Listener>,
    crash_keeper: OnceLock<CrashKeeper>,
    rereading: Rereading,
}

/// What a [`Runtime`] needs beside its configuration.
pub struct RuntimeOptions {
    /// What looks around in a child process.
    pub probe_program: ProbeProgram,
    /// How fast sources that could give frames at any time give them.
    pub pace: Pace,
    /// Told of every frame's outcome on every stream.
    pub listeners: Vec<Listener>,
}

/// Why a configuration can't be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A stream's source is no source.
    #[error("stream {stream:?}")]
    Source {
        /// The stream's name.
        stream: String,
        /// What is wrong with it.
        source: SourceUriError,
    },
    /// A stream doesn't fit what is here.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// An output doesn't fit what is here.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The system has no thread to give.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

impl Runtime {
    /// Makes everything that `config` asks for of what `catalog` holds, and starts nothing but
    /// the supervisor: [`begin`](Self::begin) does, once the server listens.
    ///
    /// # Errors
    /// [`StartError`] when a stream or an output can't be what it is configured to be. A plugin that
    /// can't is no error here: its instance says so.
    pub fn new(
        config: &Config,
        catalog: &Catalog,
        options: RuntimeOptions,
    ) -> Result<Self, StartError> {
        Self::with_clock(config, catalog, options, Arc::new(SystemClock))
    }

    /// The same by another clock: restarts, probes, and what is opened again come when that one
    /// says so. Time limits of plugin code stay the machine's.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_clock(
        config: &Config,
        catalog: &Catalog,
        options: RuntimeOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        install_panic_hook();
        let limits = &config.runtime.limits;
        let sandbox = Sandbox::new(SandboxLimits {
            abandoned_per_instance: limits.abandoned_threads_per_plugin,
            abandoned_per_process: limits.abandoned_threads,
            ..SandboxLimits::default()
        });
        let checker = DependencyChecker::new(sandbox.clone(), options.probe_program, limits.probe);
        let checker = Arc::new(checker.with_clock(clock.clone()));
        let (events, reported) = mpsc::channel();
        let log = Arc::new(EventLog::default());
        let assembly = Assembly {
            sandbox: sandbox.clone(),
            checker: checker.clone(),
            events,
            log: log.clone(),
            pace: options.pace,
        };
        let instance = |name: &String| assembly.instance(name, config, catalog);
        let registry = PluginRegistry::new(config.plugins.keys().map(instance));
        let stream = |name: &String| assembly.stream(name, config, catalog, &registry);
        let planned = config.streams.keys().map(stream).collect::<Result<_, _>>()?;
        let outputs = Arc::new(RunningOutputs::default());
        let planned_outputs = result_outputs::plan(config, catalog, &outputs, &sandbox)?;
        let policy =
            |(name, plugin): (&String, _)| (name.clone(), assembly::restart_policy(plugin));
        let policies = config.plugins.iter().map(policy).collect();
        let supervisor = Supervisor::start(registry.clone(), policies, reported, clock);
        let supervisor = Arc::new(supervisor.map_err(StartError::Thread)?);
        let inspector = InspectorService::new(
            registry.clone(),
            supervisor.clone(),
            sandbox.clone(),
            checker,
            config.runtime.state_dir.clone(),
        );
        let streams = StreamsRegistry::default();
        inspector.add_streams(streams.clone());
        let mut listeners = options.listeners;
        let results = Arc::<ResultFeed>::default();
        listeners.push(publishing::results_listener(&results));
        listeners.push(outputs.listener());
        Ok(Self {
            config: RwLock::new(Arc::new(config.clone())),
            assembly,
            sandbox,
            registry,
            supervisor,
            inspector,
            events: log,
            results,
            page: &[],
            planned: Mutex::new(planned),
            planned_outputs: Mutex::new(planned_outputs),
            begun: AtomicBool::new(false),
            streams,
            outputs,
            listeners,
            crash_keeper: OnceLock::new(),
            rereading: Rereading::default(),
        })
    }

    /// The same with a web page.
    pub fn with_page(mut self, page: &'static [PageFile]) -> Self {
        self.page = page;
        self
    }

    /// Keeps in the state folder, from now on, who runs, so that the next process knows who did
    /// when this one died; and does with that knowledge what the process before left. Called
    /// before [`begin`](Self::begin), by whoever runs for long; without it nothing is kept.
    ///
    /// # Errors
    /// [`StartError::Thread`].
    pub fn remember_crashes(&self) -> Result<(), StartError> {
        let config = self.config();
        let Some(folder) = &config.runtime.state_dir else { return Ok(()) };
        let slots = self.sandbox.crash_slots().clone();
        let (keeper, crashes) = CrashKeeper::start(slots, folder).map_err(StartError::Thread)?;
        let alone = crashes.len() == 1;
        for crash in crashes {
            // A live source waits for its next frame nearly all the time, and a plugin's thread
            // may never end, so they are there whoever ends the process.
            let suspect = alone || !crash.phase.is_lasting();
            let quarantine = crash.quarantine().filter(|_| suspect);
            if let (_, Some(stream)) = publishing::owner(&crash.instance)
                && let Some(cause) = &quarantine
            {
                self.leave_source_alone(stream, cause.clone());
            }
            if let Some(instance) = self.registry.find(&crash.instance) {
                let Crash { stream, generation, phase, in_a_row, panic, .. } = crash;
                let crash = LastCrash { phase, stream, generation, in_a_row, panic };
                instance.crashed_process(crash, quarantine);
            }
        }
        let _ = self.crash_keeper.set(keeper);
        Ok(())
    }

    /// A source that is to blame for the last processes' deaths is not opened in this one.
    fn leave_source_alone(&self, stream: &str, cause: Cause) {
        let cause = cause.with_hint(
            "look at the log and the kernel's for why; restart Keepsight to try the source again",
        );
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = planned.iter_mut().find(|planned| planned.spec.name == stream);
        if let Some(planned) = planned {
            planned.spec.left_alone = Some(cause);
        }
    }

    /// Begins to load every plugin and to open every source; returns at once. A second call does
    /// nothing.
    pub fn begin(&self) {
        if self.begun.swap(true, AcqRel) {
            return;
        }
        self.supervisor.load_all();
        self.begin_outputs();
        let planned =
            std::mem::take(&mut *self.planned.lock().unwrap_or_else(PoisonError::into_inner));
        let streams: Vec<_> = planned.into_iter().map(|planned| self.start(planned)).collect();
        self.streams.exchange([], streams);
    }

    fn start(&self, planned: Planned) -> Arc<Stream> {
        let Planned { spec, registration, host } = planned;
        let (sandbox, listeners) = (self.sandbox.clone(), self.listeners.clone());
        Arc::new(Stream::start(spec, registration, host, sandbox, listeners))
    }

    /// What is in force now.
    pub fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The instances.
    pub fn registry(&self) -> &PluginRegistry {
        &self.registry
    }

    /// The streams, once [`begin`](Self::begin) started them.
    pub fn streams(&self) -> StreamsRegistry {
        self.streams.clone()
    }

    /// The reports.
    pub fn inspector(&self) -> &InspectorService {
        &self.inspector
    }

    /// Waits until no instance is LOADED any more, at most for `limit`: each has its outcome.
    pub fn wait_loaded(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        self.registry
            .instances()
            .all(|instance| instance.wait_outcome(end.saturating_duration_since(Instant::now())))
    }

    /// Ends supervisor, streams, outputs and plugins, in that order, each within the configured
    /// limit; who hasn't ended by then is left behind and logged.
    pub fn shut_down(&self) {
        let limit = self.config().runtime.limits.shutdown;
        self.rereading.end(limit);
        self.supervisor.stop(limit);
        self.streams.stop(limit);
        self.outputs.end(limit);
        let instances: Vec<_> = self.registry.instances().collect();
        instances.iter().for_each(|instance| instance.ask_to_end());
        let end = Instant::now() + limit;
        for instance in instances {
            instance.shut_down(end.saturating_duration_since(Instant::now()));
        }
        let undropped = self.sandbox.join_drops(end);
        if undropped > 0 {
            tracing::warn!(plugins = undropped, "some plugins were not dropped in time");
        }
        if let Some(keeper) = self.crash_keeper.get() {
            keeper.end();
        }
        let left = self.sandbox.abandoned_total().now;
        if left > 0 {
            tracing::warn!(threads = left, "some threads did not end and are left behind");
        }
    }
}
