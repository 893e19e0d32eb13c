use std::{collections::BTreeMap, time::Duration};

use keepsight_contract::{Degradation, HistogramSnapshot};

use super::OutputReport;
use crate::{
    lifecycle::LifecycleState,
    loader::MetricsSnapshot,
    sandbox::{AbandonedCount, MemoryUse},
    streams::{SessionState, SourceState},
};

/// Every number of the process at one moment.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Of the process as a whole.
    pub process: ProcessMetrics,
    /// Of each plugin instance, sorted by name.
    pub plugins: Vec<PluginMetrics>,
    /// Of each stream, sorted by name.
    pub streams: Vec<StreamMetrics>,
    /// How each output does.
    pub outputs: Vec<OutputReport>,
}

/// Numbers of the process as a whole.
#[derive(Clone, Debug, Default)]
pub struct ProcessMetrics {
    /// Since the runtime was made.
    pub uptime: Duration,
    /// Threads that were given up.
    pub abandoned: AbandonedCount,
    /// Memory in use, in bytes, where the system says so.
    pub resident_bytes: Option<u64>,
    /// Threads, where the system says so.
    pub threads: Option<u64>,
}

/// Numbers of a plugin instance.
#[derive(Clone, Debug)]
pub struct PluginMetrics {
    /// The instance's name.
    pub name: String,
    /// The plugin's id.
    pub plugin: String,
    /// Where it stands.
    pub state: LifecycleState,
    /// Whether it is left alone because it failed too often.
    pub quarantined: bool,
    /// How often it was built.
    pub generation: u64,
    /// Runs that gave a result.
    pub success_count: u64,
    /// Runs that gave none, by code.
    pub errors: BTreeMap<&'static str, u64>,
    /// All runs' times, in milliseconds.
    pub run_ms: HistogramSnapshot,
    /// Restarts since the process began.
    pub restarts: u64,
    /// Threads of it that were given up and have not returned.
    pub abandoned: usize,
    /// What it and its sessions have of memory, where that is measured.
    pub memory: Option<MemoryUse>,
    /// In what ways it works less well than it could.
    pub degraded: Vec<Degradation>,
    /// What it counts itself.
    pub own: MetricsSnapshot,
}

/// Numbers of a stream.
#[derive(Clone, Debug)]
pub struct StreamMetrics {
    /// The stream's name.
    pub name: String,
    /// Scheme of its source.
    pub scheme: String,
    /// Where it stands.
    pub state: SourceState,
    /// Whether frames come that are all the same.
    pub frozen: bool,
    /// Frames that the source gave.
    pub frames_in: u64,
    /// Since the newest frame came.
    pub last_frame_age: Option<Duration>,
    /// How often the source was opened again.
    pub reconnects: u64,
    /// What its source has of memory, where that is measured.
    pub memory: Option<MemoryUse>,
    /// Of each plugin that it feeds, in order.
    pub plugins: Vec<FeedMetrics>,
    /// What the source counts itself.
    pub own: MetricsSnapshot,
}

/// Numbers of a plugin on a stream.
#[derive(Clone, Debug)]
pub struct FeedMetrics {
    /// The instance's name.
    pub plugin: String,
    /// Where its session stands.
    pub state: SessionState,
    /// Frames that gave a response.
    pub processed: u64,
    /// Frames lost in front of it.
    pub dropped: u64,
    /// Frames that gave an error or a fault.
    pub errors: u64,
    /// From capture to response, in milliseconds.
    pub latency_ms: HistogramSnapshot,
}
