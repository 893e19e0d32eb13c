use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use super::{Stream, WiringError};

/// The streams of this process, sorted by name. Clones share them; whoever asks has those of one
/// moment, and no lock is held while they are looked at.
#[derive(Clone, Default)]
pub struct StreamsRegistry(Arc<RwLock<Arc<ByName>>>);

type ByName = BTreeMap<String, Arc<Stream>>;

/// Why a stream was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// Nothing in this binary opens such a source.
    #[error("stream {stream:?}: this build opens no {scheme}: sources; it knows {known}{instead}")]
    NoSource {
        /// The stream's name.
        stream: String,
        /// The source's scheme.
        scheme: String,
        /// Schemes that can be opened.
        known: String,
        /// What could be written instead, behind a semicolon; empty where that isn't known.
        instead: String,
    },
    /// A plugin that the stream feeds has nothing to do with frames.
    #[error("stream {stream:?}: the plugin {plugin:?} has no tool for a stream's frames")]
    NoStreamTool {
        /// The stream's name.
        stream: String,
        /// The instance's name.
        plugin: String,
    },
    /// The stream's settings are not this plugin's.
    #[error("stream {stream:?}: the settings for {plugin:?} are not valid: {reason}")]
    Settings {
        /// The stream's name.
        stream: String,
        /// The instance's name.
        plugin: String,
        /// What is wrong with them.
        reason: String,
    },
    /// A plugin would never get what it works on.
    #[error("stream {stream:?}")]
    Wiring {
        /// The stream's name.
        stream: String,
        /// Which one, and why.
        source: WiringError,
    },
}

impl StreamsRegistry {
    /// A registry of these streams.
    pub fn new(streams: impl IntoIterator<Item = Stream>) -> Self {
        let registry = Self::default();
        registry.exchange([], streams.into_iter().map(Arc::new));
        registry
    }

    /// The stream of that name.
    pub fn find(&self, name: &str) -> Option<Arc<Stream>> {
        self.snapshot().get(name).cloned()
    }

    /// Every stream, sorted by name.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = Arc<Stream>> + use<> {
        let streams: Vec<_> = self.snapshot().values().cloned().collect();
        streams.into_iter()
    }

    /// Takes streams out, by name, and new ones in, at once: nobody sees the one without the
    /// other. They are neither started nor stopped by that.
    pub fn exchange<'a>(
        &self,
        leaving: impl IntoIterator<Item = &'a str>,
        coming: impl IntoIterator<Item = Arc<Stream>>,
    ) {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut streams = ByName::clone(&place);
        leaving.into_iter().for_each(|name| drop(streams.remove(name)));
        streams.extend(coming.into_iter().map(|stream| (stream.name().to_owned(), stream)));
        let before = std::mem::replace(&mut *place, Arc::new(streams));
        drop(place);
        // A stream's end may be its frames', which is not for a lock.
        drop(before);
    }

    /// Ends every stream: all are asked first, then waited for, at most for `limit` in all.
    pub fn stop(&self, limit: Duration) {
        let streams = self.snapshot();
        streams.values().for_each(|stream| stream.stop());
        // Each counts from when it was asked.
        streams.values().for_each(|stream| stream.join(limit));
    }

    fn snapshot(&self) -> Arc<ByName> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
