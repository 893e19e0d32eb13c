use std::{sync::Arc, time::Duration};

use keepsight_contract::{CaptureWish, SourceUri};
use serde_json::Value;

use super::{MailboxMode, StatusListener, StreamError, wiring::check_wiring};
use crate::{
    lifecycle::Cause,
    loader::{BackoffPolicy, Clock, PluginInstance},
};

/// What a stream is configured to be.
pub struct StreamSpec {
    /// Its name, unique in the process.
    pub name: String,
    /// Where its frames come from.
    pub source: SourceUri,
    /// Size, rate and pace wished for.
    pub wish: CaptureWish,
    /// What happens to frames that plugins are too slow for.
    pub mode: MailboxMode,
    /// What the source and its frames' decoding may have of memory, in bytes.
    pub memory: Option<u64>,
    /// Why the source is not opened at all, where that is so.
    pub left_alone: Option<Cause>,
    /// Whether the process is not ready without it.
    pub critical: bool,
    /// How long it may be away before that counts.
    pub grace: Duration,
    /// The plugins it feeds, in their order.
    pub feeds: Vec<FeedSpec>,
    /// Time limits.
    pub limits: StreamLimits,
    /// By which its source and sessions are opened again.
    pub clock: Arc<dyn Clock>,
    /// Told of each change of its source's state.
    pub on_change: StatusListener,
}

impl StreamSpec {
    /// Whether each plugin gets what it works on, as the plugins are ordered.
    ///
    /// # Errors
    /// [`StreamError::Wiring`] for the first that doesn't.
    pub fn check_wiring(&self) -> Result<(), StreamError> {
        let plugins: Vec<_> = self
            .feeds
            .iter()
            .map(|feed| (feed.instance.name(), feed.instance.manifest().map(|it| &**it)))
            .collect();
        check_wiring(&plugins)
            .map_err(|source| StreamError::Wiring { stream: self.name.clone(), source })
    }
}

/// A plugin on a stream.
pub struct FeedSpec {
    /// The instance.
    pub instance: Arc<PluginInstance>,
    /// What this stream has otherwise than the instance's configuration; an object.
    pub overrides: Value,
}

/// How long a stream's parts may take.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// To open a source.
    pub open: Duration,
    /// For a source to give a frame or say that there is none.
    pub next: Duration,
    /// To close a source.
    pub close: Duration,
    /// A live source without a frame for this long is stalled.
    pub stalled: Duration,
    /// A live source without a frame for this long is opened again.
    pub given_up: Duration,
    /// A live source that gives the same picture for this long, byte for byte, is stalled, too.
    pub frozen_after: Duration,
    /// Between attempts to open a source or a session.
    pub backoff: BackoffPolicy,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            open: Duration::from_secs(10),
            next: Duration::from_secs(5),
            close: Duration::from_secs(5),
            stalled: Duration::from_secs(2),
            given_up: Duration::from_secs(10),
            frozen_after: Duration::from_secs(10),
            backoff: BackoffPolicy {
                first: Duration::from_millis(500),
                longest: Duration::from_secs(30),
            },
        }
    }
}
