use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::Stream;

/// The streams of this process, sorted by name.
#[derive(Clone, Default)]
pub struct StreamsRegistry(Arc<BTreeMap<String, Stream>>);

/// Why a stream was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// Nothing in this binary opens such a source.
    #[error("stream {stream:?}: this build opens no {scheme}: sources; it knows {known}")]
    NoSource {
        /// The stream's name.
        stream: String,
        /// The source's scheme.
        scheme: String,
        /// Schemes that can be opened.
        known: String,
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
}

impl StreamsRegistry {
    /// A registry of these streams.
    pub fn new(streams: impl IntoIterator<Item = Stream>) -> Self {
        let by_name = |stream: Stream| (stream.name().to_owned(), stream);
        Self(Arc::new(streams.into_iter().map(by_name).collect()))
    }

    /// The stream of that name.
    pub fn find(&self, name: &str) -> Option<&Stream> {
        self.0.get(name)
    }

    /// Every stream, sorted by name.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = &Stream> {
        self.0.values()
    }

    /// Ends every stream: all are asked first, then waited for, at most `limit` a worker.
    pub fn stop(&self, limit: Duration) {
        for stream in self.streams() {
            stream.stop();
        }
        for stream in self.streams() {
            stream.join(limit);
        }
    }
}
