//! The tracker, the scene and the statistics as they are shipped, in a process whose machine
//! lacks what they need or whose other plugins fail.

mod missing_gpu;
mod missing_model;
mod runtime_failure;
mod support;
mod tracks;
