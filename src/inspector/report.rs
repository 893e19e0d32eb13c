use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use keepsight_contract::{Degradation, FrameSize, Manifest, PixelFormat};

use crate::{
    lifecycle::LifecycleState,
    sandbox::MemoryUse,
    streams::{SessionState, SourceState},
};

/// Everything that is known of a plugin instance at one moment.
#[derive(Clone, Debug)]
pub struct PluginReport {
    /// The instance's name, unique.
    pub name: String,
    /// The plugin's manifest; `None` where even that could not be had.
    pub manifest: Option<Arc<Manifest>>,
    /// Where it stands.
    pub state: LifecycleState,
    /// What it does, in a sentence.
    pub description: String,
    /// The plugin's version.
    pub version: String,
    /// Why it is FAILED or UNAVAILABLE.
    pub reason: Option<String>,
    /// The same as a stable code, such as `run.timed_out`.
    pub code: Option<String>,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// When it came into this state.
    pub since: SystemTime,
    /// Since it was initialised, if it is.
    pub uptime: Option<Duration>,
    /// End of the last run, if there was one.
    pub last_used: Option<SystemTime>,
    /// Runs that gave a result, of all generations.
    pub success_count: u64,
    /// Runs that gave none, of all generations.
    pub error_count: u64,
    /// How long the last run took.
    pub last_execution: Option<Duration>,
    /// Mean of the last 10 runs.
    pub average_execution: Option<Duration>,
    /// In what ways it works less well than it could.
    pub degraded: Vec<Degradation>,
    /// Streams that would feed it and have no picture now.
    pub waiting_for: Vec<String>,
    /// State of its session on each stream, by the stream's name.
    pub streams: BTreeMap<String, SessionState>,
    /// Restarts since the process began.
    pub restarts: u64,
    /// Until it is tried again, where that is planned.
    pub next_attempt_in: Option<Duration>,
    /// Whether it is left alone because it failed too often.
    pub quarantined: bool,
    /// How often it was built; 0 before the first time.
    pub generation: u64,
    /// What holds its faults in, such as `thread`.
    pub isolation: &'static str,
    /// Faults that this does not hold in.
    pub not_contained: Vec<&'static str>,
    /// Whether the process is not ready without it.
    pub critical: bool,
}

/// Everything that is known of a stream at one moment.
#[derive(Clone, Debug)]
pub struct StreamReport {
    /// Its name, unique.
    pub name: String,
    /// The source's URI in the form that may be seen.
    pub source: String,
    /// Where it stands.
    pub state: SourceState,
    /// Why it has no picture, as a stable code such as `source.not_found`.
    pub code: Option<String>,
    /// The same, for a person to act on.
    pub reason: Option<String>,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// When it came into this state.
    pub since: SystemTime,
    /// What was the matter last, though it may be over.
    pub last_error: Option<String>,
    /// When that was noticed last.
    pub last_error_at: Option<SystemTime>,
    /// Name of the device, where there is one.
    pub device: Option<String>,
    /// Format of its newest frame, once known.
    pub format: Option<PixelFormat>,
    /// Size of its newest frame, once known.
    pub size: Option<FrameSize>,
    /// Frames a second, as measured.
    pub rate: Option<f64>,
    /// Frames a second, as the source says.
    pub nominal_rate: Option<f64>,
    /// `newest` or `every`.
    pub mode: &'static str,
    /// Frames that the source gave.
    pub frames_in: u64,
    /// Frames that no plugin's session had time for, all sessions together.
    pub frames_dropped: u64,
    /// Since the newest frame was captured.
    pub last_frame_age: Option<Duration>,
    /// How often the source was opened again.
    pub reconnects: u64,
    /// What the source counts itself, such as `frames_damaged`.
    pub source_counters: BTreeMap<String, u64>,
    /// What its source has of memory, where that is measured.
    pub memory: Option<MemoryUse>,
    /// Whether the process is not ready without it.
    pub critical: bool,
    /// The plugins it feeds, in order.
    pub plugins: Vec<StreamPluginReport>,
}

/// A plugin as its stream sees it.
#[derive(Clone, Debug)]
pub struct StreamPluginReport {
    /// The instance's name.
    pub plugin: String,
    /// Where its session stands.
    pub session_state: SessionState,
    /// Frames it gave a response to.
    pub processed: u64,
    /// Frames it had no time for.
    pub dropped: u64,
    /// Frames it failed on.
    pub errors: u64,
    /// From capture to response, of the last frame.
    pub last_latency: Option<Duration>,
}

/// Whether the process can be left running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It serves, and its supervisor makes progress.
    Alive,
    /// Faults can no longer be contained.
    ContainmentLost {
        /// Why not.
        reason: String,
    },
}

/// Whether everything critical is there: one check for each critical plugin and stream, and one
/// for containment where that is lost.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    /// In no particular order.
    pub checks: Vec<ReadinessCheck>,
}

/// Whether one critical thing is there.
#[derive(Clone, Debug)]
pub struct ReadinessCheck {
    /// `plugin`, `stream` or `containment`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Where it stands, as its report has it.
    pub state: &'static str,
    /// How it is with it.
    pub verdict: Verdict,
    /// Why it is not ready, as a stable code.
    pub code: Option<String>,
    /// The same, for a person to act on.
    pub reason: Option<String>,
}

/// How it is with something critical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is ready.
    Ready,
    /// It is not, and not for so long that it counts.
    WithinGrace,
    /// It is not, for longer than its grace.
    NotReady,
}
