//! The program as people start it: what it prints, what it writes, how it ends.

mod arguments;
#[cfg(all(feature = "video-tracker", feature = "video-file", feature = "frame-stats"))]
mod checking;
#[cfg(all(
    feature = "camera",
    feature = "child-process",
    feature = "frame-stats",
    feature = "scene",
    feature = "video-file"
))]
mod each_source;
#[cfg(all(feature = "video-tracker", feature = "video-file", feature = "frame-stats"))]
mod hanging;
mod listings;
#[cfg(feature = "video-tracker")]
mod lost_containment;
#[cfg(feature = "child-process")]
mod network_camera;
mod own_plugins;
#[cfg(feature = "child-process")]
mod programs;
#[cfg(all(feature = "scene", feature = "frame-stats"))]
mod rereading;
mod running;
mod service_manager;
mod support;
#[cfg(all(
    feature = "video-tracker",
    feature = "bundled-model",
    feature = "scene",
    feature = "video-file"
))]
mod tracking;
