//! One binary, a module per behaviour.

mod architecture;
mod command_line;
mod configuration;
mod dependencies;
mod host_services;
mod outputs;
mod plugin_health_api;
mod plugin_lifecycle;
mod plugin_loader;
mod plugin_sandbox;
#[cfg(all(
    feature = "camera",
    feature = "video-file",
    feature = "child-process",
    feature = "scene"
))]
mod sources_guide;
mod streams;
mod support;
#[cfg(all(feature = "video-tracker", feature = "scene", feature = "frame-stats"))]
mod videotracker_stability;

/// As the real binary does, so that memory is measured here too.
#[global_allocator]
static ALLOCATOR: keepsight::sandbox::CountingAllocator = keepsight::sandbox::CountingAllocator;
