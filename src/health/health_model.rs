use std::collections::BTreeMap;

use serde::Serialize;

use super::{milliseconds, seconds, utc};
use crate::inspector::PluginReport;

/// A plugin in the list: these 11 keys and no more.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PluginItem {
    /// The instance's name.
    pub name: String,
    /// In capitals.
    pub state: &'static str,
    /// What it does, in a sentence.
    pub description: String,
    /// The plugin's version.
    pub version: String,
    /// Why it is FAILED or UNAVAILABLE.
    pub reason: Option<String>,
    /// Since initialisation.
    pub uptime_seconds: Option<f64>,
    /// ISO 8601, UTC, with `Z`.
    pub last_used: Option<String>,
    /// Runs that gave a result.
    pub success_count: u64,
    /// Runs that gave none.
    pub error_count: u64,
    /// Of the last run.
    pub last_execution_time_ms: Option<f64>,
    /// Over the last 10 runs.
    pub avg_execution_time_ms: Option<f64>,
}

/// A plugin's health by itself: the item and what clients of ours see besides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PluginHealthResponse {
    /// What the list has too.
    #[serde(flatten)]
    pub item: PluginItem,
    /// Why it is FAILED or UNAVAILABLE, as a stable code.
    pub code: Option<String>,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// When it came into its state; ISO 8601, UTC, with `Z`.
    pub since: String,
    /// In what ways it works less well than it could.
    pub degraded: Vec<DegradationItem>,
    /// Streams that would feed it and have no picture now.
    pub waiting_for: Vec<String>,
    /// State of its session on each stream.
    pub streams: BTreeMap<String, &'static str>,
    /// Since the process began.
    pub restarts: u64,
    /// Until it is tried again, where that is planned.
    pub next_attempt_in_seconds: Option<f64>,
    /// Whether it is left alone because it failed too often.
    pub quarantined: bool,
    /// How often it was built.
    pub generation: u64,
    /// What holds its faults in.
    pub isolation: &'static str,
    /// Classes of faults that this does not hold in.
    pub not_contained: Vec<&'static str>,
}

/// A way in which a plugin works less well than it could.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DegradationItem {
    /// A stable code.
    pub code: String,
    /// What is the matter.
    pub reason: String,
    /// What a person can do about it.
    pub hint: String,
}

/// All plugins with how many there are of which sort.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct PluginsSummary {
    pub(super) plugins: Vec<PluginItem>,
    pub(super) total: usize,
    pub(super) available: usize,
    pub(super) failed: usize,
    pub(super) unavailable: usize,
}

impl From<&PluginReport> for PluginItem {
    fn from(report: &PluginReport) -> Self {
        Self {
            name: report.name.clone(),
            state: report.state.as_str(),
            description: report.description.clone(),
            version: report.version.clone(),
            reason: report.reason.clone(),
            uptime_seconds: report.uptime.map(seconds),
            last_used: report.last_used.map(utc),
            success_count: report.success_count,
            error_count: report.error_count,
            last_execution_time_ms: report.last_execution.map(milliseconds),
            avg_execution_time_ms: report.average_execution.map(milliseconds),
        }
    }
}

impl From<&PluginReport> for PluginHealthResponse {
    fn from(report: &PluginReport) -> Self {
        let degraded = report.degraded.iter().map(|degradation| DegradationItem {
            code: degradation.code.to_string(),
            reason: degradation.reason.clone(),
            hint: degradation.hint.clone(),
        });
        let streams = report.streams.iter().map(|(name, state)| (name.clone(), state.as_str()));
        Self {
            item: PluginItem::from(report),
            code: report.code.clone(),
            hint: report.hint.clone(),
            since: utc(report.since),
            degraded: degraded.collect(),
            waiting_for: report.waiting_for.clone(),
            streams: streams.collect(),
            restarts: report.restarts,
            next_attempt_in_seconds: report.next_attempt_in.map(seconds),
            quarantined: report.quarantined,
            generation: report.generation,
            isolation: report.isolation,
            not_contained: report.not_contained.clone(),
        }
    }
}

/// How many of `reports` accept calls.
pub(super) fn available(reports: &[PluginReport]) -> usize {
    reports.iter().filter(|report| report.state.is_available()).count()
}
