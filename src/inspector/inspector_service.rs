use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use keepsight_contract::{Degradation, Finding};

use super::{
    FeedMetrics, HostReport, Liveness, Metrics, PluginInspection, PluginMetrics, PluginReport,
    ProcessMetrics, Readiness, ReadinessCheck, StreamMetrics, StreamPluginReport, StreamReport,
    TransitionReport, Verdict, host_survey::HostSurvey, process_files::ProcessStatus,
};
use crate::{
    loader::{Clock, DependencyChecker, Fault, InstanceReport, PluginInstance, PluginRegistry},
    sandbox::{ISOLATION, NOT_CONTAINED, Sandbox},
    streams::{self, MailboxMode, SessionState, SourceState, Stream, StreamsRegistry},
    supervisor::Supervisor,
};

/// Gathers what plugins, supervisor and streams know into reports.
pub struct InspectorService {
    registry: PluginRegistry,
    supervisor: Arc<Supervisor>,
    sandbox: Arc<Sandbox>,
    host: HostSurvey,
    clock: Arc<dyn Clock>,
    stuck_after: Duration,
    streams: OnceLock<StreamsRegistry>,
    begun: Instant,
}

impl InspectorService {
    /// An inspector of these parts; streams are added once they are started.
    pub fn new(
        registry: PluginRegistry,
        supervisor: Arc<Supervisor>,
        sandbox: Arc<Sandbox>,
        checker: Arc<DependencyChecker>,
        state_dir: Option<PathBuf>,
    ) -> Self {
        let clock = checker.clock().clone();
        let host = HostSurvey::new(checker, state_dir);
        Self {
            registry,
            supervisor,
            sandbox,
            host,
            begun: clock.now(),
            clock,
            stuck_after: SUPERVISOR_STUCK,
            streams: OnceLock::new(),
        }
    }

    /// The same inspector, to which a supervisor is stuck after `stuck_after` without a round.
    pub fn with_stuck_after(self, stuck_after: Duration) -> Self {
        Self { stuck_after, ..self }
    }

    /// Adds the streams; of two calls the first counts.
    pub fn add_streams(&self, streams: StreamsRegistry) {
        let _ = self.streams.set(streams);
    }

    /// Every plugin instance, sorted by name.
    pub fn plugins(&self) -> Vec<PluginReport> {
        let streams = self.stream_reports();
        self.registry
            .instances()
            .map(|instance| self.describe(instance.report(), &streams))
            .collect()
    }

    /// The plugin instance of that name.
    pub fn plugin(&self, name: &str) -> Option<PluginReport> {
        let instance = self.registry.find(name)?;
        Some(self.describe(instance.report(), &self.stream_reports()))
    }

    /// Every plugin instance looked into, sorted by name.
    pub fn inspect_plugins(&self) -> Vec<PluginInspection> {
        let streams = self.stream_reports();
        self.registry.instances().map(|instance| self.inspect(&instance, &streams)).collect()
    }

    /// The plugin instance of that name looked into.
    pub fn inspect_plugin(&self, name: &str) -> Option<PluginInspection> {
        let instance = self.registry.find(name)?;
        Some(self.inspect(&instance, &self.stream_reports()))
    }

    /// The best graphics adapter there is, software or not, as a child process sees it now; `None`
    /// where this build has no use for one.
    pub fn graphics(&self) -> Option<Finding> {
        self.host.graphics()
    }

    /// The process and its machine. Reads files of the system, some of which ask a device: for a
    /// thread that may wait a moment.
    pub fn host(&self) -> HostReport {
        let abandoned = self.sandbox.abandoned_total();
        HostReport {
            uptime: self.age_of(self.begun),
            abandoned: abandoned.now,
            abandoned_ever: abandoned.ever,
            ..self.host.report()
        }
    }

    /// Every stream, sorted by name.
    pub fn streams(&self) -> Vec<StreamReport> {
        let streams = self.streams.get().map(|streams| streams.streams());
        streams.into_iter().flatten().map(|each| describe_stream(&each, &*self.clock)).collect()
    }

    /// Every number of the process.
    pub fn metrics(&self) -> Metrics {
        let status = ProcessStatus::now();
        Metrics {
            process: ProcessMetrics {
                uptime: self.age_of(self.begun),
                abandoned: self.sandbox.abandoned_total(),
                resident_bytes: status.resident_bytes,
                threads: status.threads,
            },
            plugins: self.registry.instances().map(|each| self.plugin_metrics(&each)).collect(),
            streams: self
                .streams
                .get()
                .map(|streams| {
                    let now = self.clock.now();
                    streams.streams().map(|each| stream_metrics(&each, now)).collect()
                })
                .unwrap_or_default(),
            outputs: Vec::new(),
        }
    }

    /// Whether the process can be left running.
    pub fn liveness(&self) -> Liveness {
        let stuck_for = self.supervisor.idle_for();
        if self.sandbox.containment_lost() {
            let count = self.sandbox.abandoned_total().now;
            let reason = format!("{count} threads hang in plugins, sources or probes");
            return Liveness::ContainmentLost { reason };
        }
        if stuck_for > self.stuck_after {
            let reason = format!("the supervisor has made no progress for {stuck_for:.0?}");
            return Liveness::ContainmentLost { reason };
        }
        Liveness::Alive
    }

    /// Whether everything critical is there.
    pub fn readiness(&self) -> Readiness {
        let now = self.clock.now();
        let mut checks: Vec<ReadinessCheck> = self
            .registry
            .instances()
            .map(|instance| instance.report())
            .filter(|report| report.critical)
            .map(|report| ReadinessCheck {
                kind: "plugin",
                state: report.state.as_str(),
                verdict: verdict(
                    report.state.is_available(),
                    now,
                    away_since(&report),
                    report.grace,
                ),
                code: (!report.state.is_available()).then(|| report.cause.code.to_string()),
                reason: (!report.state.is_available()).then_some(report.cause.reason),
                name: report.name,
            })
            .collect();
        checks.extend(self.stream_reports().into_iter().filter(|report| report.critical).map(
            |report| ReadinessCheck {
                kind: "stream",
                state: report.status.state.as_str(),
                verdict: {
                    // A source that is opened again and again changes its state meanwhile.
                    let away_since = report.status.last_frame_at.unwrap_or(self.begun);
                    verdict(report.is_live(), now, away_since, report.grace)
                },
                code: report.status.code.map(|code| code.into_owned()),
                reason: report.status.reason,
                name: report.name,
            },
        ));
        if let Liveness::ContainmentLost { reason } = self.liveness() {
            checks.push(ReadinessCheck {
                kind: "containment",
                name: "containment".to_owned(),
                state: "lost",
                verdict: Verdict::NotReady,
                code: Some("sandbox.containment_lost".to_owned()),
                reason: Some(reason),
            });
        }
        Readiness { checks }
    }

    fn inspect(
        &self,
        instance: &PluginInstance,
        streams: &[streams::StreamReport],
    ) -> PluginInspection {
        let report = instance.report();
        let transitions = report.history.iter().map(|step| TransitionReport {
            at: self.clock.label(step.at),
            from: step.from,
            to: step.to,
            event: step.event,
            cause: step.cause.clone(),
            generation: step.generation,
        });
        let faults = report.faults.iter().map(|(at, fault)| (self.clock.label(*at), fault.clone()));
        PluginInspection {
            plugin: report.plugin.clone(),
            findings: report.findings.clone(),
            run_ms: report.statistics.milliseconds.clone(),
            errors: report.statistics.errors.clone(),
            abandoned: self.sandbox.abandoned_of(&report.name),
            memory: report.memory,
            call_sessions: instance.call_sessions(),
            restart_policy: self.supervisor.policy(&report.name),
            limits: instance.spec().limits,
            transitions: transitions.collect(),
            refused: report.refused,
            last_crash: report.last_crash.clone(),
            faults: faults.collect(),
            report: self.describe(report, streams),
        }
    }

    fn plugin_metrics(&self, instance: &PluginInstance) -> PluginMetrics {
        let report = instance.report();
        PluginMetrics {
            state: report.state,
            quarantined: report.quarantined,
            generation: report.generation,
            success_count: report.statistics.success_count,
            errors: report.statistics.errors,
            run_ms: report.statistics.milliseconds,
            restarts: self.supervisor.supervision(&report.name).restarts,
            abandoned: self.sandbox.abandoned_of(&report.name),
            memory: report.memory,
            degraded: report.degraded,
            own: instance.services().metrics(),
            plugin: report.plugin,
            name: report.name,
        }
    }

    fn age_of(&self, moment: Instant) -> Duration {
        self.clock.now().saturating_duration_since(moment)
    }

    fn stream_reports(&self) -> Vec<streams::StreamReport> {
        self.streams
            .get()
            .map(|streams| streams.streams().map(|stream| stream.report()).collect())
            .unwrap_or_default()
    }

    fn describe(&self, report: InstanceReport, streams: &[streams::StreamReport]) -> PluginReport {
        let supervision = self.supervisor.supervision(&report.name);
        let trouble = !report.state.is_available()
            && report.state != crate::lifecycle::LifecycleState::Loaded;
        let mut degraded = report.degraded;
        let mut sessions = BTreeMap::new();
        let mut waiting_for = Vec::new();
        for stream in streams {
            for feed in stream.feeds.iter().filter(|feed| feed.plugin == report.name) {
                sessions.insert(stream.name.clone(), feed.state);
                if report.state.is_available() && feed.state == SessionState::Restarting {
                    degraded.push(restarting(&stream.name, &report.faults));
                }
                let picture = matches!(stream.status.state, SourceState::Live | SourceState::Ended);
                if !picture {
                    waiting_for.push(stream.name.clone());
                }
            }
        }
        let about = report.manifest.as_deref();
        PluginReport {
            state: report.state,
            description: about.map_or_else(String::new, |about| about.description.clone()),
            version: about.map_or_else(String::new, |about| about.version.clone()),
            reason: trouble.then(|| report.cause.reason.clone()),
            code: trouble.then(|| report.cause.code.to_string()),
            hint: if trouble { report.cause.hint.filter(|hint| !hint.is_empty()) } else { None },
            since: self.clock.label(report.since),
            uptime: report.initialized_at.map(|at| self.age_of(at)),
            last_used: report.statistics.last_used.map(|at| self.clock.label(at)),
            success_count: report.statistics.success_count,
            error_count: report.statistics.error_count,
            last_execution: report.statistics.last,
            average_execution: report.statistics.average,
            degraded,
            waiting_for,
            streams: sessions,
            restarts: supervision.restarts,
            next_attempt_in: supervision.next_attempt_in,
            quarantined: report.quarantined,
            generation: report.generation,
            isolation: ISOLATION,
            not_contained: NOT_CONTAINED.to_vec(),
            critical: report.critical,
            manifest: report.manifest,
            name: report.name,
        }
    }
}

fn stream_metrics(stream: &Stream, now: Instant) -> StreamMetrics {
    let report = stream.report();
    let feeds = report.feeds.into_iter().map(|feed| FeedMetrics {
        plugin: feed.plugin,
        state: feed.state,
        processed: feed.processed,
        dropped: feed.dropped,
        errors: feed.errors,
        latency_ms: feed.latency_ms,
    });
    StreamMetrics {
        name: report.name,
        scheme: stream.scheme().to_owned(),
        state: report.status.state,
        frozen: report.status.is_frozen(),
        frames_in: report.status.frames_in,
        last_frame_age: report.status.last_frame_age(now),
        reconnects: report.status.reconnects,
        memory: report.memory,
        plugins: feeds.collect(),
        own: stream.source_metrics(),
    }
}

fn describe_stream(stream: &Stream, clock: &dyn Clock) -> StreamReport {
    let report = stream.report();
    let status = &report.status;
    let info = status.info.as_ref();
    StreamReport {
        state: status.state,
        code: status.code.as_ref().map(|code| code.to_string()),
        reason: status.reason.clone(),
        hint: status.hint.clone(),
        since: clock.label(status.since),
        last_error: status.last_trouble.as_ref().map(|trouble| trouble.reason.clone()),
        last_error_at: status.last_trouble.as_ref().map(|trouble| clock.label(trouble.at)),
        device: info.map(|info| info.device.clone()),
        format: info.map(|info| info.format),
        size: info.map(|info| info.size),
        rate: status.measured_rate(),
        nominal_rate: info.and_then(|info| info.rate),
        mode: match report.mode {
            MailboxMode::Newest => "newest",
            MailboxMode::Every => "every",
        },
        frames_in: status.frames_in,
        frames_dropped: report.feeds.iter().map(|feed| feed.dropped).sum(),
        last_frame_age: status.last_frame_age(clock.now()),
        reconnects: status.reconnects,
        source_counters: stream.source_metrics().counters,
        memory: report.memory,
        critical: report.critical,
        plugins: report
            .feeds
            .iter()
            .map(|feed| StreamPluginReport {
                plugin: feed.plugin.clone(),
                session_state: feed.state,
                processed: feed.processed,
                dropped: feed.dropped,
                errors: feed.errors,
                last_latency: feed.last_latency,
            })
            .collect(),
        source: report.source,
        name: report.name,
    }
}

/// That the session on `stream` ended, where `faults` says why.
fn restarting(stream: &str, faults: &[(Instant, Fault)]) -> Degradation {
    let mut newest = faults.iter().rev().map(|(_, fault)| fault);
    let fault = newest.find(|fault| fault.stream.as_deref() == Some(stream));
    let why = fault.map_or_else(String::new, |fault| format!(": {}", fault.reason));
    Degradation {
        code: "session.restarting".into(),
        reason: format!("its session on stream {stream:?} ended, and is opened again{why}"),
        hint: fault.map_or_else(String::new, |fault| fault.hint.clone()),
    }
}

/// When the instance was available last. One that is built again and again changes its state
/// meanwhile, so the time of its present state would say that it is never away for long.
fn away_since(report: &InstanceReport) -> Instant {
    let away = report.history.iter().rev().take_while(|step| !step.to.is_available());
    away.last().map_or(report.since, |step| step.at)
}

fn verdict(ready: bool, now: Instant, since: Instant, grace: Duration) -> Verdict {
    if ready {
        Verdict::Ready
    } else if now.saturating_duration_since(since) <= grace {
        Verdict::WithinGrace
    } else {
        Verdict::NotReady
    }
}

/// The supervisor goes round twice a second; this much without a round says that it is stuck.
const SUPERVISOR_STUCK: Duration = Duration::from_secs(10);
