//! Brings frames from sources to plugins, and keeps bringing them.
//!
//! ```text
//! source's worker → mailbox per session → session's worker → result slot, next plugin, listeners
//! ```
//!
//! A [`Stream`] has one source and feeds plugins in an order. A plugin that consumes what an
//! earlier one produces sees the same frame after it, together with its outputs; any other is fed
//! beside the rest, so that one that hangs holds nobody up. Pixels are shared, never copied.
//!
//! Promised: a live source's frames are never queued, older ones are dropped and counted (mode
//! Newest); of a file's none is dropped, the source waits (mode Every); a source or session that
//! fails is opened again with back-off for as long as the process lives; a live source whose
//! picture never changes is stalled, not live.
//!
//! Not done here: building instances anew (the supervisor does), and reading configuration.

mod feed;
mod mailbox;
mod results;
mod session;
mod source_frame;
mod source_worker;
mod stillness;
mod stream;
mod stream_spec;
mod stream_status;
mod streams_registry;
mod wiring;

pub use mailbox::{Mailbox, MailboxMode, Put, Taken};
pub use results::{FrameOutcome, LatestResult, Listener, StatusListener};
pub use stream::{FeedReport, Stream, StreamReport};
pub use stream_spec::{FeedSpec, StreamLimits, StreamSpec};
pub use stream_status::{SessionState, SourceState, SourceTrouble, StreamStatus};
pub use streams_registry::{StreamError, StreamsRegistry};
pub use wiring::WiringError;
