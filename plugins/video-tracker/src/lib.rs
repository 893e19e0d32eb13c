//! Keepsight plugin: detects and tracks what a camera sees.
//!
//! [`VideoTracker`] is the plugin; its parts can be used by themselves:
//!
//! - [`preprocess`] fits captured frames into a model's input, on the GPU or the CPU;
//! - [`detect`] runs a detector read from an ONNX file;
//! - [`associate`] links detections to targets over time;
//! - [`follow`] follows targets by what they look like, between detections;
//! - [`mot_text`] reads and writes what the MOT Challenge's tools do.

pub mod associate;
pub mod detect;
pub mod follow;
pub mod mot_text;
#[cfg(any(test, fuzzing))]
pub mod oracles;
pub mod preprocess;

mod plugin;

pub use plugin::{Config, DetectEvery, Session, Thresholds, VideoTracker};
