//! The plugin as the runtime sees it: configuration in, detections and tracks out.

mod config;
mod following;
mod given;
mod identities;
mod session;
mod settings;
mod trails;
mod video_tracker;

pub use config::{Config, Thresholds};
pub use session::Session;
pub use video_tracker::VideoTracker;

#[cfg(test)]
mod tests;
