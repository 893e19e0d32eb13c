//! Links each chosen plugin and source into the binary, and says which were chosen.
//!
//! The only place in `src` that knows features. A crate that nobody names is left out by the
//! linker, its registration with it, silently and in every build profile: each line of anchors
//! below keeps one in, and [`BUNDLED`] lets the catalog notice should that fail.

#[cfg(feature = "camera")]
use keepsight_camera as _;
#[cfg(feature = "child-process")]
use keepsight_child_process as _;
#[cfg(feature = "fault-injector")]
use keepsight_fault_injector as _;
#[cfg(feature = "frame-stats")]
use keepsight_frame_stats as _;
#[cfg(feature = "scene")]
use keepsight_scene as _;
#[cfg(feature = "video-file")]
use keepsight_video_file as _;
#[cfg(feature = "video-tracker")]
use keepsight_video_tracker as _;

use crate::{api::PageFile, loader::Bundled};

/// The crates that this build should have, each with the feature that asked for it.
pub const BUNDLED: &[Bundled] = &[
    #[cfg(feature = "camera")]
    Bundled { crate_name: "keepsight-camera", feature: "camera" },
    #[cfg(feature = "child-process")]
    Bundled { crate_name: "keepsight-child-process", feature: "child-process" },
    #[cfg(feature = "fault-injector")]
    Bundled { crate_name: "keepsight-fault-injector", feature: "fault-injector" },
    #[cfg(feature = "frame-stats")]
    Bundled { crate_name: "keepsight-frame-stats", feature: "frame-stats" },
    #[cfg(feature = "scene")]
    Bundled { crate_name: "keepsight-scene", feature: "scene" },
    #[cfg(feature = "video-file")]
    Bundled { crate_name: "keepsight-video-file", feature: "video-file" },
    #[cfg(feature = "video-tracker")]
    Bundled { crate_name: "keepsight-video-tracker", feature: "video-tracker" },
];

/// The web page; nothing where this build has none.
pub const PAGE: &[PageFile] = &[
    #[cfg(feature = "web-ui")]
    PageFile {
        path: "/",
        media_type: "text/html; charset=utf-8",
        bytes: include_bytes!("../web-ui/dist/index.html"),
    },
    #[cfg(feature = "web-ui")]
    PageFile {
        path: "/app.js",
        media_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../web-ui/dist/app.js"),
    },
    #[cfg(feature = "web-ui")]
    PageFile {
        path: "/app.css",
        media_type: "text/css; charset=utf-8",
        bytes: include_bytes!("../web-ui/dist/app.css"),
    },
    #[cfg(feature = "web-ui")]
    PageFile {
        path: "/icon.svg",
        media_type: "image/svg+xml",
        bytes: include_bytes!("../web-ui/dist/icon.svg"),
    },
];

/// Features that link something else than a plugin or source, as `build-info` lists them.
pub const OTHER_FEATURES: &[&str] = &[
    #[cfg(feature = "bundled-model")]
    "bundled-model",
    #[cfg(feature = "gpu")]
    "gpu",
    #[cfg(feature = "uncontained")]
    "uncontained",
    #[cfg(feature = "web-ui")]
    "web-ui",
];

/// The ways to a GPU that this build knows, such as `vulkan`; whether there is a driver is another
/// matter.
pub fn gpu_backends() -> Vec<String> {
    #[cfg(feature = "gpu")]
    return keepsight_gpu::backends();
    #[cfg(not(feature = "gpu"))]
    Vec::new()
}
