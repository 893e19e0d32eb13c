//! The plugin as the runtime sees it: configuration in, detections and tracks out.

mod config;
mod detect_every;
mod following;
mod given;
mod identities;
mod pace;
mod session;
mod settings;
mod slowed;
mod trails;
mod video_tracker;

pub use config::{Config, Thresholds};
pub use detect_every::DetectEvery;
pub use session::Session;
pub use video_tracker::VideoTracker;

#[cfg(test)]
mod tests;
