use keepsight_contract::{
    CallContext, CaptureWish, DeviceListing, Frame, Host, Source, SourceError, SourceEvent,
    SourceInfo, SourceUri, register_source,
};

use crate::{address::Address, system};

/// A camera.
pub struct CameraSource {
    stream: Box<dyn CameraStream>,
}

register_source!(CameraSource, schemes = ["camera"]);

/// What takes frames from a configured camera.
pub(crate) trait CameraStream {
    /// What was opened.
    fn info(&self) -> SourceInfo;

    /// Waits at most 200 ms for a frame; `None` says that there was none.
    ///
    /// # Errors
    /// As [`Source::next`].
    fn next(&mut self, call: &CallContext) -> Result<Option<Frame>, SourceError>;

    /// Stops the camera and gives it back.
    ///
    /// # Errors
    /// `Failed` when the system refuses; what it holds is leaked then, and counted.
    fn close(self: Box<Self>) -> Result<(), SourceError>;
}

impl Source for CameraSource {
    fn open(
        uri: &SourceUri,
        wish: &CaptureWish,
        _call: &CallContext,
        host: &Host,
    ) -> Result<Self, SourceError> {
        let address = Address::parse(uri)?;
        Ok(Self { stream: system::open(&address, wish, host)? })
    }

    fn info(&self) -> SourceInfo {
        self.stream.info()
    }

    fn next(&mut self, call: &CallContext) -> Result<SourceEvent, SourceError> {
        Ok(self.stream.next(call)?.map_or(SourceEvent::Pending, SourceEvent::Frame))
    }

    fn close(self) -> Result<(), SourceError> {
        self.stream.close()
    }

    fn devices() -> Result<Vec<DeviceListing>, SourceError> {
        system::devices()
    }
}
