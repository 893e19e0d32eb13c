//! What a plugin is tested with, without the runtime: frames from arrays, a clock that moves
//! when told, a host that records, and damaged inputs for what reads bytes.

mod clock;
pub mod frames;
mod recording_host;
mod variations;

pub use clock::FakeClock;
pub use recording_host::RecordingHost;
pub use variations::try_variations;

use std::time::{Duration, Instant};

use crate::{CallContext, CancelToken};

/// A call that has `limit` from now to answer.
pub fn call_context(limit: Duration) -> CallContext {
    CallContext::new(Instant::now() + limit, CancelToken::default())
}
