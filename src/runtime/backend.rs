//! What the server asks of the process.

use std::sync::Arc;

use keepsight_contract::OutputKind;

use super::Runtime;
use crate::{
    api::{Backend, EventLog, LatestResult, PageFile, ResultFeed, ToolClient},
    health::HealthSource,
    inspector::{
        HostReport, Liveness, Metrics, PluginInspection, PluginReport, Readiness, StreamReport,
    },
    loader::{ClientCalls, ToolCall, ToolError, ToolOutcome},
    streams,
    supervisor::ReloadError,
};

impl HealthSource for Runtime {
    fn states_version(&self) -> u64 {
        self.registry.states_version()
    }

    fn plugins(&self) -> Vec<PluginReport> {
        self.inspector.plugins()
    }

    fn plugin(&self, name: &str) -> Option<PluginReport> {
        self.inspector.plugin(name)
    }

    fn liveness(&self) -> Liveness {
        self.inspector.liveness()
    }

    fn readiness(&self) -> Readiness {
        self.inspector.readiness()
    }
}

impl Backend for Runtime {
    fn streams(&self) -> Vec<StreamReport> {
        self.inspector.streams()
    }

    fn metrics(&self) -> Metrics {
        Metrics { outputs: self.outputs(), ..self.inspector.metrics() }
    }

    fn inspect_plugins(&self) -> Vec<PluginInspection> {
        self.inspector.inspect_plugins()
    }

    fn inspect_plugin(&self, name: &str) -> Option<PluginInspection> {
        self.inspector.inspect_plugin(name)
    }

    fn host(&self) -> HostReport {
        let (outputs, last_reread) = (self.outputs(), self.rereading.last());
        HostReport { outputs, last_reread, ..self.inspector.host() }
    }

    fn events(&self) -> Arc<EventLog> {
        self.events.clone()
    }

    fn results(&self) -> Arc<ResultFeed> {
        self.results.clone()
    }

    fn page(&self) -> &'static [PageFile] {
        self.page
    }

    fn latest(&self, stream: &str, plugin: Option<&str>) -> Option<LatestResult> {
        let results = self.streams.find(stream)?.latest(plugin);
        let gives_tracks = |result: &streams::LatestResult| {
            result.response.outputs.iter().any(|output| output.kind() == OutputKind::Tracks)
        };
        let chosen = results.iter().position(gives_tracks);
        let result = results.into_iter().nth(chosen.unwrap_or(0))?;
        Some(LatestResult {
            plugin: result.plugin.to_string(),
            frame: result.frame,
            response: result.response,
            latency: result.latency,
        })
    }

    fn run_tool(&self, plugin: &str, call: ToolCall) -> Result<ToolOutcome, ToolError> {
        let unknown = || ToolError::UnknownPlugin { plugin: plugin.to_owned() };
        let outcome = self.registry.find(plugin).ok_or_else(unknown)?.call_tool(call);
        outcome.map_err(|mut error| {
            if let ToolError::NotServing { retry_after, .. } = &mut error {
                *retry_after = self.supervisor.supervision(plugin).next_attempt_in;
            }
            error
        })
    }

    fn client(&self, plugin: &str) -> Option<Box<dyn ToolClient>> {
        Some(Box::new(self.registry.find(plugin)?.client()))
    }

    fn reload(&self, plugin: &str) -> Result<(), ReloadError> {
        self.supervisor.reload(plugin)
    }
}

impl ToolClient for ClientCalls {
    fn run_tool(&self, call: ToolCall) -> Result<ToolOutcome, ToolError> {
        self.run(call)
    }
}
