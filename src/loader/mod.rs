//! Takes the plugins of this binary and makes instances of them: requirements, probes, init.
//!
//! [`Catalog`] is what the binary holds, sorted by name and held against the list of what was
//! asked for. [`PluginRegistry`] is what this process was configured to run of it. Each
//! [`PluginInstance`] is loaded independently of the others, inside the sandbox, and has exactly
//! one outcome; none stops another or the process.
//!
//! Promised: no lock is held while plugin code runs; whoever asks an instance for its state has
//! the answer at once, whatever the plugin does.
//!
//! Not done here: deciding when to load again (the supervisor does) and feeding frames (streams
//! do).

mod backoff;
mod call_queue;
mod call_sessions;
mod catalog;
mod child_probe;
mod client_calls;
mod clock;
mod dependency_checker;
mod generation;
mod instance_calls;
mod instance_host;
mod instance_report;
mod plugin_errors;
mod plugin_instance;
mod plugin_loader;
mod plugin_registry;
mod plugin_spec;
mod probes;
mod statistics;
mod tool_calls;

pub use backoff::{Backoff, BackoffPolicy};
pub use call_queue::{KeptSession, NoSessionName, SessionName};
pub(crate) use call_sessions::FAILED_IN_A_ROW_MAX;
pub use catalog::{Bundled, Catalog, CatalogEntry, CatalogError};
pub use child_probe::ProbeProgram;
pub use client_calls::ClientCalls;
pub use clock::{Clock, SystemClock};
pub use dependency_checker::DependencyChecker;
pub use generation::Generation;
pub use instance_host::{HostEvent, InstanceHost, MetricsSnapshot};
pub use instance_report::{InstanceEvent, InstanceReport, LastCrash};
pub use plugin_errors::{Fault, LoadError, ToolError};
pub(crate) use plugin_errors::{because, call_error_code, error_chain};
pub use plugin_instance::{Attachment, PluginInstance, Readiness};
pub use plugin_registry::PluginRegistry;
pub use plugin_spec::{ExplainConfig, InstanceLimits, InstanceSpec};
pub use statistics::{RunStatistics, StatisticsSnapshot};
pub use tool_calls::{ToolCall, ToolOutcome};
