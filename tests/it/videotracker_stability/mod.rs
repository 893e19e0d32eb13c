//! The tracker, the scene and the statistics as they are shipped, in a process whose machine
//! lacks what they need or whose other plugins fail.

#[cfg(not(feature = "gpu"))]
mod build_without_gpu;
#[cfg(all(feature = "gpu", feature = "bundled-model"))]
mod missing_gpu;
mod missing_model;
#[cfg(feature = "bundled-model")]
mod runtime_failure;
mod support;
#[cfg(feature = "bundled-model")]
mod tracks;
