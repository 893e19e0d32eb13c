//! Everything about a plugin, and about the process and its machine.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use hyper::StatusCode;
use keepsight_contract::{Finding, HistogramSnapshot, Manifest};
use serde::Serialize;
use serde_json::Value;

use super::Backend;
use crate::{
    health::{PluginHealthResponse, Reply, plugin_not_found, seconds, utc},
    inspector::{
        ConfigurationChange, Cooling, GpuSurvey, HostReport, OutputReport, PluginInspection,
        RereadReport, TransitionReport,
    },
    loader::{Fault, KeptSession},
    sandbox::{ISOLATION, MemoryUse, NOT_CONTAINED, NOT_MEASURED, PANIC_STRATEGY},
};

/// A plugin's health and how it came to that.
#[derive(Serialize)]
struct InspectionItem<'a> {
    #[serde(flatten)]
    health: PluginHealthResponse,
    plugin: &'a str,
    critical: bool,
    manifest: Option<&'a Manifest>,
    requirements: &'a [Finding],
    timings: TimingsItem,
    errors: &'a BTreeMap<&'static str, u64>,
    abandoned_workers: usize,
    memory: PluginMemoryItem,
    call_sessions: Vec<CallSessionItem>,
    restart_policy: RestartPolicyItem,
    time_limits_seconds: TimeLimitsItem,
    last_crash: Option<LastCrashItem<'a>>,
    transitions: Vec<TransitionItem<'a>>,
    transitions_refused: u64,
    faults: Vec<FaultItem<'a>>,
}

/// How long runs took, all of them. Quantiles are right within a fifth.
#[derive(Serialize)]
struct TimingsItem {
    count: u64,
    mean_ms: Option<f64>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    max_ms: Option<f64>,
}

/// What a plugin and its sessions have of memory.
#[derive(Serialize)]
struct PluginMemoryItem {
    measured: bool,
    bytes: Option<u64>,
    peak_bytes: Option<u64>,
    limit_bytes: Option<u64>,
    not_measured: &'static [&'static str],
}

/// A session that calls keep by `args.session`.
#[derive(Serialize)]
struct CallSessionItem {
    name: String,
    /// Since its last call; null while one runs.
    idle_seconds: Option<f64>,
}

#[derive(Serialize)]
struct RestartPolicyItem {
    budget: u32,
    window_seconds: f64,
    backoff_first_seconds: f64,
    backoff_longest_seconds: f64,
}

#[derive(Serialize)]
struct TimeLimitsItem {
    init: f64,
    frame: f64,
    call: f64,
    session: f64,
    close: f64,
}

/// The process before died while the plugin ran.
#[derive(Serialize)]
struct LastCrashItem<'a> {
    phase: String,
    stream: Option<&'a str>,
    generation: u64,
    in_a_row: u32,
    panic: Option<&'a str>,
}

#[derive(Serialize)]
struct TransitionItem<'a> {
    at: String,
    from: Option<&'static str>,
    to: &'static str,
    event: &'static str,
    code: &'a str,
    reason: &'a str,
    hint: Option<&'a str>,
    generation: u64,
}

#[derive(Serialize)]
struct FaultItem<'a> {
    at: String,
    code: &'a str,
    reason: &'a str,
    hint: &'a str,
    stream: Option<&'a str>,
    location: Option<&'a str>,
    /// In the list only whether there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    backtrace: Option<Option<String>>,
    has_backtrace: bool,
    hook_replaced: bool,
}

/// The process and its machine.
#[derive(Serialize)]
struct HostItem {
    version: &'static str,
    isolation: &'static str,
    panic: &'static str,
    not_contained: &'static [&'static str],
    uptime_seconds: f64,
    time: String,
    clock_synchronized: Option<bool>,
    temperatures: Vec<TemperatureItem>,
    throttling: Option<bool>,
    cooling: Vec<CoolingItem>,
    disk: Option<DiskItem>,
    memory: MemoryItem,
    threads: Option<u64>,
    abandoned_workers: usize,
    abandoned_workers_ever: u64,
    children: Option<u64>,
    gpu: GpuItem,
    outputs: Vec<OutputItem>,
    last_reread: Option<RereadItem>,
}

#[derive(Serialize)]
struct TemperatureItem {
    name: String,
    celsius: f64,
}

#[derive(Serialize)]
struct CoolingItem {
    name: String,
    state: u64,
    state_max: u64,
}

#[derive(Serialize)]
struct DiskItem {
    path: String,
    total_bytes: u64,
    available_bytes: u64,
}

#[derive(Serialize)]
struct MemoryItem {
    resident_bytes: Option<u64>,
    total_bytes: Option<u64>,
    available_bytes: Option<u64>,
}

/// Where results are written, and how that goes.
#[derive(Serialize)]
struct OutputItem {
    to: String,
    what: Vec<&'static str>,
    state: &'static str,
    since: String,
    code: Option<&'static str>,
    reason: Option<String>,
    hint: Option<&'static str>,
    records_written: u64,
    records_dropped: u64,
    records_queued: usize,
    overflowing: bool,
    last_error: Option<String>,
    last_error_at: Option<String>,
}

/// What came of reading the configuration again.
#[derive(Serialize)]
struct RereadItem {
    at: String,
    outcome: &'static str,
    reason: Option<String>,
    changes: Vec<ChangeItem>,
    needs_restart: Vec<&'static str>,
}

#[derive(Serialize)]
struct ChangeItem {
    kind: &'static str,
    name: String,
    change: &'static str,
}

/// What a child process saw of the graphics adapters.
#[derive(Serialize)]
struct GpuItem {
    status: &'static str,
    age_seconds: Option<f64>,
    reason: Option<String>,
    report: Option<Value>,
}

/// Every plugin, without the texts of backtraces.
pub(super) fn plugins(backend: &dyn Backend) -> Reply {
    let mut inspections = backend.inspect_plugins();
    inspections.sort_by(|a, b| a.report.name.cmp(&b.report.name));
    let items = inspections.iter().map(|inspection| inspection_item(inspection, false));
    Reply::ok(&items.collect::<Vec<_>>())
}

/// One plugin. Looks up the names in backtraces, which takes tens of milliseconds for each that is
/// new: for a thread that may wait.
pub(super) fn plugin(backend: &dyn Backend, name: &str) -> Reply {
    match backend.inspect_plugin(name) {
        Some(inspection) => Reply::ok(&inspection_item(&inspection, true)),
        None => plugin_not_found(name),
    }
}

/// The process and its machine: for a thread that may wait.
pub(super) fn host(backend: &dyn Backend) -> Reply {
    Reply::json(StatusCode::OK, &HostItem::from(backend.host()))
}

fn inspection_item(inspection: &PluginInspection, with_backtraces: bool) -> InspectionItem<'_> {
    let policy = &inspection.restart_policy;
    let limits = &inspection.limits;
    let faults = inspection.faults.iter();
    InspectionItem {
        health: PluginHealthResponse::from(&inspection.report),
        plugin: &inspection.plugin,
        critical: inspection.report.critical,
        manifest: inspection.report.manifest.as_deref(),
        requirements: &inspection.findings,
        timings: TimingsItem::from(&inspection.run_ms),
        errors: &inspection.errors,
        abandoned_workers: inspection.abandoned,
        memory: PluginMemoryItem::from(inspection.memory),
        call_sessions: inspection.call_sessions.iter().map(CallSessionItem::from).collect(),
        restart_policy: RestartPolicyItem {
            budget: policy.budget,
            window_seconds: seconds(policy.window),
            backoff_first_seconds: seconds(policy.backoff.first),
            backoff_longest_seconds: seconds(policy.backoff.longest),
        },
        time_limits_seconds: TimeLimitsItem {
            init: seconds(limits.init),
            frame: seconds(limits.frame),
            call: seconds(limits.call),
            session: seconds(limits.session),
            close: seconds(limits.close),
        },
        last_crash: inspection.last_crash.as_ref().map(|crash| LastCrashItem {
            phase: crash.phase.to_string(),
            stream: crash.stream.as_deref(),
            generation: crash.generation,
            in_a_row: crash.in_a_row,
            panic: crash.panic.as_deref(),
        }),
        transitions: inspection.transitions.iter().map(TransitionItem::from).collect(),
        transitions_refused: inspection.refused,
        faults: faults.map(|(at, fault)| fault_item(*at, fault, with_backtraces)).collect(),
    }
}

fn fault_item(at: SystemTime, fault: &Fault, with_backtrace: bool) -> FaultItem<'_> {
    let resolve = || fault.backtrace.as_ref().map(|backtrace| backtrace.to_string());
    FaultItem {
        at: utc(at),
        code: &fault.code,
        reason: &fault.reason,
        hint: &fault.hint,
        stream: fault.stream.as_deref(),
        location: fault.location.as_deref(),
        backtrace: with_backtrace.then(resolve),
        has_backtrace: fault.backtrace.is_some(),
        hook_replaced: fault.hook_replaced,
    }
}

impl From<&KeptSession> for CallSessionItem {
    fn from(KeptSession { name, idle }: &KeptSession) -> Self {
        Self { name: name.to_string(), idle_seconds: idle.map(seconds) }
    }
}

impl From<Option<MemoryUse>> for PluginMemoryItem {
    fn from(memory: Option<MemoryUse>) -> Self {
        Self {
            measured: memory.is_some(),
            bytes: memory.map(|memory| memory.bytes),
            peak_bytes: memory.map(|memory| memory.peak),
            limit_bytes: memory.and_then(|memory| memory.limit),
            not_measured: &NOT_MEASURED,
        }
    }
}

impl From<&HistogramSnapshot> for TimingsItem {
    fn from(times: &HistogramSnapshot) -> Self {
        // To the microsecond, as all times in milliseconds are.
        let rounded = |time: f64| (time * 1e3).round() / 1e3;
        let some = times.count > 0;
        Self {
            count: times.count,
            mean_ms: some.then(|| rounded(times.sum / times.count as f64)),
            p50_ms: times.quantile(0.50).map(rounded),
            p95_ms: times.quantile(0.95).map(rounded),
            p99_ms: times.quantile(0.99).map(rounded),
            max_ms: some.then(|| rounded(times.max)),
        }
    }
}

impl<'a> From<&'a TransitionReport> for TransitionItem<'a> {
    fn from(step: &'a TransitionReport) -> Self {
        Self {
            at: utc(step.at),
            from: step.from.map(|state| state.as_str()),
            to: step.to.as_str(),
            event: step.event.code(),
            code: &step.cause.code,
            reason: &step.cause.reason,
            hint: step.cause.hint.as_deref(),
            generation: step.generation,
        }
    }
}

impl From<HostReport> for HostItem {
    fn from(host: HostReport) -> Self {
        // A machine without means of cooling says nothing of being slowed down.
        let throttling = !host.cooling.is_empty();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            isolation: ISOLATION,
            panic: PANIC_STRATEGY,
            not_contained: NOT_CONTAINED,
            uptime_seconds: seconds(host.uptime),
            time: utc(SystemTime::now()),
            clock_synchronized: host.clock_synchronized,
            temperatures: host
                .temperatures
                .into_iter()
                .map(|heat| TemperatureItem { name: heat.name, celsius: heat.celsius })
                .collect(),
            throttling: throttling.then(|| host.cooling.iter().any(Cooling::throttles)),
            cooling: host
                .cooling
                .into_iter()
                .map(|Cooling { name, state, state_max }| CoolingItem { name, state, state_max })
                .collect(),
            disk: host.disk.map(|disk| DiskItem {
                path: disk.path,
                total_bytes: disk.total_bytes,
                available_bytes: disk.available_bytes,
            }),
            memory: MemoryItem {
                resident_bytes: host.resident_bytes,
                total_bytes: host.memory_bytes,
                available_bytes: host.memory_available_bytes,
            },
            threads: host.threads,
            abandoned_workers: host.abandoned,
            abandoned_workers_ever: host.abandoned_ever,
            children: host.children,
            gpu: GpuItem::from(host.gpu),
            outputs: host.outputs.into_iter().map(OutputItem::from).collect(),
            last_reread: host.last_reread.map(RereadItem::from),
        }
    }
}

impl From<OutputReport> for OutputItem {
    fn from(output: OutputReport) -> Self {
        Self {
            to: output.to,
            what: output.what,
            state: output.state,
            since: utc(output.since),
            code: output.code,
            reason: output.reason,
            hint: output.hint,
            records_written: output.written,
            records_dropped: output.dropped,
            records_queued: output.queued,
            overflowing: output.overflowing,
            last_error: output.last_error,
            last_error_at: output.last_error_at.map(utc),
        }
    }
}

impl From<RereadReport> for RereadItem {
    fn from(reread: RereadReport) -> Self {
        let change = |ConfigurationChange { kind, name, change }| ChangeItem {
            kind,
            name,
            change: change.as_str(),
        };
        Self {
            at: utc(reread.at),
            outcome: reread.outcome(),
            reason: reread.refused,
            changes: reread.changes.into_iter().map(change).collect(),
            needs_restart: reread.needs_restart,
        }
    }
}

impl From<GpuSurvey> for GpuItem {
    fn from(survey: GpuSurvey) -> Self {
        let item = |status, age: Option<Duration>| Self {
            status,
            age_seconds: age.map(seconds),
            reason: None,
            report: None,
        };
        match survey {
            GpuSurvey::NotInBuild => Self {
                reason: Some("this build has no GPU support".to_owned()),
                ..item("not in this build", None)
            },
            GpuSurvey::Looking => Self {
                reason: Some("not known yet; a child process looks".to_owned()),
                ..item("not known yet", None)
            },
            GpuSurvey::Found(age, report) => {
                Self { report: Some(report), ..item("known", Some(age)) }
            }
            GpuSurvey::Failed(age, reason) => {
                Self { reason: Some(reason), ..item("failed", Some(age)) }
            }
        }
    }
}
