use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use keepsight_contract::{Frame, Response};

use super::StreamStatus;

/// What came of one frame in one plugin.
#[derive(Clone, Debug)]
pub struct FrameOutcome {
    /// Name of the stream.
    pub stream: Arc<str>,
    /// Name of the plugin instance.
    pub plugin: Arc<str>,
    /// The frame.
    pub frame: Frame,
    /// The response, or why there is none.
    pub result: Result<Arc<Response>, String>,
    /// How long the plugin took.
    pub took: Duration,
}

/// The newest response of a plugin on a stream, with its frame.
#[derive(Clone, Debug)]
pub struct LatestResult {
    /// Name of the plugin instance.
    pub plugin: Arc<str>,
    /// The frame.
    pub frame: Frame,
    /// What the plugin gave for it.
    pub response: Arc<Response>,
    /// From the frame's capture to its response.
    pub latency: Duration,
    /// When the response came.
    pub at: Instant,
}

/// Told with the stream's name when its source comes into another state, or is in the same for
/// another reason; must be quick, since the source waits.
pub type StatusListener = Arc<dyn Fn(&str, &StreamStatus) + Send + Sync>;

/// Told of every outcome, on the session's thread and in the order of the frames. In mode Every
/// it may wait, and the source waits with it; in mode Newest it must be quick.
pub type Listener = Arc<dyn Fn(&FrameOutcome) + Send + Sync>;
