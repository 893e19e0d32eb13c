//! What is known of plugins and streams at a moment, as plain data.
//!
//! Reports are copied out under short locks and own what they hold; nothing here serialises.

mod host_survey;
mod inspection;
mod inspector_service;
mod metrics;
mod output_report;
mod process_files;
mod report;
mod reread_report;

pub use inspection::{
    Cooling, Disk, GpuSurvey, HostReport, PluginInspection, Temperature, TransitionReport,
};
pub use inspector_service::InspectorService;
pub use metrics::{FeedMetrics, Metrics, PluginMetrics, ProcessMetrics, StreamMetrics};
pub use output_report::OutputReport;
pub use report::{
    Liveness, PluginReport, Readiness, ReadinessCheck, StreamPluginReport, StreamReport, Verdict,
};
pub use reread_report::{Change, ConfigurationChange, RereadReport};

pub use crate::streams::{SessionState, SourceState as StreamState};
