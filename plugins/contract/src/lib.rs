//! What plugin and source authors depend on: the Keepsight contract.
//!
//! A plugin is two parts: what all streams share, built once and read-only afterwards (a model,
//! a device), and one *session* per stream. A source gives frames. Both are chosen when the
//! binary is built and registered at link time with [`register_plugin!`] and
//! [`register_source!`]; nothing is loaded dynamically.
//!
//! ```
//! use keepsight_contract::{
//!     CallContext, CallError, Host, InitError, JsonOutput, Manifest, OutputKind, Plugin, Request,
//!     Response, StreamInfo, Tool,
//! };
//!
//! struct Counter;
//!
//! impl Plugin for Counter {
//!     type Config = serde_json::Value;
//!     type Session = u64;
//!
//!     fn manifest() -> Manifest {
//!         Manifest::new("counter", "Counter", "1.0.0", "counts frames")
//!             .tool(Tool::new("count", "Count", "counts the frames seen so far"))
//!             .stream_tool("count")
//!             .produces(OutputKind::Json)
//!     }
//!     fn init(_: Self::Config, _: &Host) -> Result<Self, InitError> {
//!         Ok(Counter)
//!     }
//!     fn open(&self, _: &StreamInfo, _: &Host) -> Result<u64, CallError> {
//!         Ok(0)
//!     }
//!     fn run(&self, seen: &mut u64, _: &Request, _: &CallContext) -> Result<Response, CallError> {
//!         *seen += 1;
//!         Ok(Response::new().with(JsonOutput::new("count", *seen)))
//!     }
//! }
//!
//! keepsight_contract::register_plugin!(Counter);
//! # fn main() {}
//! ```
//!
//! What the runtime promises a plugin: `open`, `run` and the drop of a session happen on one
//! thread; a panic ends the session, never the process; a call's deadline starts when the plugin
//! starts. What it does not: nothing protects against stack overflow, `abort`, a segmentation
//! fault, or a panic while another unwinds.

mod context;
mod convert;
mod errors;
mod frame;
mod geometry;
mod host;
mod located;
mod manifest;
mod metrics;
#[cfg(any(test, fuzzing))]
pub mod oracles;
mod output_target;
mod outputs;
mod pixels;
mod plugin;
mod probe;
mod registration;
mod request;
mod requirement;
mod response;
mod source;
mod source_uri;
mod state;
mod stream_info;
pub mod testing;
mod truth;
mod units;

pub use context::{CallContext, CancelToken, MemoryMeter};
pub use convert::LumaPlane;
pub use errors::{BoxError, CallError, ConfigError, InitError};
pub use frame::{DecodeError, DecodedPixels, Decoder, Frame, FrameBuilder, FrameError};
pub use geometry::{BoundingBox, FrameSize, ParseFrameSizeError};
pub use host::{Degradation, Host, HostServices, Scope, ScopeGuard, SpawnError, StopToken};
pub use manifest::{Manifest, Tool};
pub use metrics::{Counter, Gauge, Histogram, HistogramSnapshot};
pub use output_target::{OutputRecord, OutputSettings, OutputTarget, OutputWriter};
pub use outputs::{
    Detection, Detections, JsonOutput, Output, OutputKind, Region, Regions, Track, TrackState,
    Tracks, TypedOutput,
};
pub use pixels::{PixelBuffer, PixelFormat};
pub use plugin::{ErasedPlugin, ErasedSession, Plugin, PluginFunctions};
pub use probe::{PROBES, Probe, ProbeCheck};
pub use registration::{OutputRegistration, PluginRegistration, SourceRegistration, registered};
pub use request::Request;
pub use requirement::{Finding, GpuRequirement, ModelFileRequirement, Requirement};
pub use response::{Attachment, OverlayShape, Response};
pub use source::{
    CaptureWish, DeviceFormat, DeviceListing, ErasedSource, Pace, Source, SourceError, SourceEvent,
    SourceFault, SourceInfo,
};
pub use source_uri::{SourceUri, SourceUriError, redact_passwords};
pub use state::StateError;
pub use stream_info::StreamInfo;
pub use truth::{Truth, TruthObject};
pub use units::{Bytes, ParseUnitError, Polygon, Ratio, Seconds};

#[doc(hidden)]
pub mod private {
    //! What the registration macros expand to; not for use by hand.
    pub use inventory;
    pub use linkme;
}
