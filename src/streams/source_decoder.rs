use std::sync::Arc;

use keepsight_contract::{DecodeError, DecodedPixels, Decoder, Frame, FrameSize, PixelFormat};

use crate::sandbox::{Phase, SandboxScope, contained};

/// A source's decoder, which works for the source on whatever thread somebody wants the pixels:
/// what it allocates is the source's, and so are its panics, which end nobody's call.
pub(super) struct SourceDecoder {
    decoder: Arc<dyn Decoder>,
    scope: SandboxScope,
    format: PixelFormat,
}

impl SourceDecoder {
    /// The frame, decoded in `scope` by whoever is first to want that.
    pub(super) fn attach(frame: Frame, scope: &SandboxScope) -> Frame {
        let format = frame.format();
        frame.map_decoder(|decoder| Arc::new(Self { decoder, scope: scope.clone(), format }))
    }
}

impl Decoder for SourceDecoder {
    fn decode(&self, bytes: &[u8], size: FrameSize) -> Result<DecodedPixels, DecodeError> {
        let _entered = self.scope.enter();
        let decoded =
            contained(&self.scope, Phase::SourceNext, || self.decoder.decode(bytes, size));
        decoded.unwrap_or_else(|panic| {
            tracing::warn!(message = %panic.message, location = panic.location.as_deref(),
                "the source's decoder panicked");
            let reason = format!("its decoder panicked: {}", panic.message);
            Err(DecodeError::new(self.format, reason))
        })
    }
}
