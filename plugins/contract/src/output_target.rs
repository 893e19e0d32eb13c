use std::{path::PathBuf, sync::Arc, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::{BoxError, Bytes, Host, Response, Seconds};

/// Where results go, such as a file. It is opened, used and dropped on one thread, and has a
/// bounded queue in front of it: a slow one loses records, counted, and holds nothing up.
pub trait OutputTarget: Sized + 'static {
    /// Opens the target.
    ///
    /// # Errors
    /// When it can't be written to; the runtime tries again.
    fn open(settings: &OutputSettings, host: &Host) -> Result<Self, BoxError>;

    /// Takes one record.
    ///
    /// # Errors
    /// When the record was not kept; the runtime reports it once and goes on.
    fn write(&mut self, record: &OutputRecord) -> Result<(), BoxError>;

    /// Makes sure that everything taken so far is kept.
    ///
    /// # Errors
    /// When it isn't.
    fn flush(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// One `[[outputs]]` of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputSettings {
    /// What stands after the scheme, such as a path.
    pub path: PathBuf,
    /// How much is kept before the oldest goes.
    pub size_max: Option<Bytes>,
    /// For how long it is kept.
    pub age_max: Option<Seconds>,
}

/// What one plugin gave for one frame of one stream.
#[derive(Clone, Debug, Serialize)]
pub struct OutputRecord {
    /// Name of the stream.
    pub stream: Arc<str>,
    /// Name of the plugin instance.
    pub plugin: Arc<str>,
    /// Number of the frame.
    pub sequence: u64,
    /// When the frame was captured, by the wall clock.
    pub captured: SystemTime,
    /// What was given.
    pub response: Arc<Response>,
}

/// A target of any kind.
pub trait OutputWriter {
    /// [`OutputTarget::write`].
    ///
    /// # Errors
    /// As [`OutputTarget::write`].
    fn write(&mut self, record: &OutputRecord) -> Result<(), BoxError>;

    /// [`OutputTarget::flush`].
    ///
    /// # Errors
    /// As [`OutputTarget::flush`].
    fn flush(&mut self) -> Result<(), BoxError>;
}

impl<T: OutputTarget> OutputWriter for T {
    fn write(&mut self, record: &OutputRecord) -> Result<(), BoxError> {
        OutputTarget::write(self, record)
    }

    fn flush(&mut self) -> Result<(), BoxError> {
        OutputTarget::flush(self)
    }
}
