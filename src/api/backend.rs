use std::{sync::Arc, time::Duration};

use keepsight_contract::{Frame, Response};
use serde_json::Value;

use crate::{health::HealthSource, inspector::StreamReport, lifecycle::LifecycleState};

/// What the server asks of the rest of the process.
///
/// All methods but [`run_tool`](Backend::run_tool) and [`reload`](Backend::reload) give copies of
/// what is known and never wait for a plugin, a source or a driver; the two others are called
/// from threads that may wait.
pub trait Backend: HealthSource {
    /// Every stream, in any order.
    fn streams(&self) -> Vec<StreamReport>;

    /// The stream of that name.
    fn stream(&self, name: &str) -> Option<StreamReport> {
        self.streams().into_iter().find(|report| report.name == name)
    }

    /// The newest result on a stream: of `plugin`, or of the first plugin there that gives tracks,
    /// else of its first plugin.
    fn latest(&self, stream: &str, plugin: Option<&str>) -> Option<LatestResult>;

    /// Runs a tool and waits for its result, at most until the call's deadline.
    ///
    /// # Errors
    /// [`ToolError`] says why there is no result.
    fn run_tool(&self, plugin: &str, call: ToolCall) -> Result<ToolOutcome, ToolError>;

    /// Builds an instance anew and waits until it is initialised.
    ///
    /// # Errors
    /// [`ReloadError`] says why it is not.
    fn reload(&self, plugin: &str) -> Result<(), ReloadError>;
}

/// A frame and what a plugin made of it.
#[derive(Clone, Debug)]
pub struct LatestResult {
    /// The plugin's instance.
    pub plugin: String,
    /// The frame.
    pub frame: Frame,
    /// What it gave for this frame.
    pub response: Arc<Response>,
    /// From capture to response.
    pub latency: Duration,
}

/// A call of a tool by somebody outside.
#[derive(Clone, Debug)]
pub struct ToolCall {
    /// The tool's id.
    pub tool: String,
    /// An object, without the picture.
    pub args: Value,
    /// The picture, if one was sent.
    pub frame: Option<Frame>,
}

/// What a call gave.
#[derive(Clone, Debug)]
pub struct ToolOutcome {
    /// The plugin's response.
    pub response: Arc<Response>,
    /// How long the plugin worked, without waiting in a queue.
    pub took: Duration,
}

/// Why a call gave nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// No instance has that name.
    #[error("no plugin is called '{plugin}'")]
    UnknownPlugin {
        /// The name.
        plugin: String,
    },
    /// The plugin has no such tool.
    #[error("plugin '{plugin}' has no tool '{tool}'; it has {}", listed(known))]
    UnknownTool {
        /// The instance.
        plugin: String,
        /// The tool asked for.
        tool: String,
        /// The tools it has.
        known: Vec<String>,
    },
    /// The plugin cannot work with these arguments.
    #[error("{reason}")]
    BadArguments {
        /// What is wrong with them.
        reason: String,
    },
    /// The plugin does not accept calls.
    #[error("plugin is {state}{}", because(reason.as_deref(), hint.as_deref()))]
    NotServing {
        /// Where it stands.
        state: LifecycleState,
        /// Why.
        reason: Option<String>,
        /// What a person can do about it.
        hint: Option<String>,
        /// Until it is tried again, where that is planned.
        retry_after: Option<Duration>,
    },
    /// Too many calls wait.
    #[error("too many calls wait for this plugin; ask again later")]
    QueueFull,
    /// The plugin was reloaded or the process ends, before the call ran to its end.
    #[error("the call was given up: {reason}")]
    GivenUp {
        /// For what.
        reason: String,
    },
    /// The deadline passed.
    #[error("no result within {limit:?}")]
    TimedOut {
        /// Time it had.
        limit: Duration,
    },
    /// The plugin failed, panicked or took too much memory.
    #[error("{reason}")]
    Fault {
        /// A stable code, such as `run.panicked`.
        code: String,
        /// What happened.
        reason: String,
    },
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

fn because(reason: Option<&str>, hint: Option<&str>) -> String {
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    reason + &hint
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
