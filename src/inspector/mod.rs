//! What is known of plugins and streams at a moment, as plain data.
//!
//! Reports are copied out under short locks and own what they hold; nothing here serialises.

mod report;

pub use report::{
    Liveness, PluginReport, Readiness, ReadinessCheck, SessionState, StreamPluginReport,
    StreamReport, StreamState, Verdict,
};
