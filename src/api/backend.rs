use std::{sync::Arc, time::Duration};

use keepsight_contract::{Frame, Response};

use super::{EventLog, PageFile, ResultFeed};
use crate::{
    health::HealthSource,
    inspector::{HostReport, Metrics, PluginInspection, StreamReport},
    loader::{ToolCall, ToolError, ToolOutcome},
    supervisor::ReloadError,
};

/// What the server asks of the rest of the process.
///
/// All methods but [`run_tool`](Backend::run_tool), [`reload`](Backend::reload) and
/// [`host`](Backend::host) give copies of what is known and never wait for a plugin, a source or
/// a driver; these are called from threads that may wait.
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

    /// Every number of the process.
    fn metrics(&self) -> Metrics;

    /// Every plugin instance looked into, in any order.
    fn inspect_plugins(&self) -> Vec<PluginInspection>;

    /// The instance of that name looked into.
    fn inspect_plugin(&self, name: &str) -> Option<PluginInspection> {
        self.inspect_plugins().into_iter().find(|inspection| inspection.report.name == name)
    }

    /// The process and its machine; may take a moment.
    fn host(&self) -> HostReport;

    /// What happens, for those who follow it.
    fn events(&self) -> Arc<EventLog>;

    /// What plugins answer to frames, for those who follow that.
    fn results(&self) -> Arc<ResultFeed>;

    /// The files of the web page; none where this build has no page.
    fn page(&self) -> &'static [PageFile] {
        &[]
    }

    /// Runs a tool and waits for its result, at most until the call's deadline.
    ///
    /// # Errors
    /// [`ToolError`] says why there is no result.
    fn run_tool(&self, plugin: &str, call: ToolCall) -> Result<ToolOutcome, ToolError>;

    /// Takes in a client that runs tools again and again, in a session of its own; `None` where
    /// there is no such plugin.
    fn client(&self, plugin: &str) -> Option<Box<dyn ToolClient>>;

    /// Builds an instance anew and waits until it is initialised.
    ///
    /// # Errors
    /// [`ReloadError`] says why it is not.
    fn reload(&self, plugin: &str) -> Result<(), ReloadError>;
}

/// A client with a session of its own, which ends when it is dropped.
pub trait ToolClient: Send + Sync {
    /// As [`Backend::run_tool`].
    ///
    /// # Errors
    /// As there.
    fn run_tool(&self, call: ToolCall) -> Result<ToolOutcome, ToolError>;
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
