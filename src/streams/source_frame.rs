use std::sync::Arc;

use keepsight_contract::{
    DecodeError, DecodedPixels, Decoder, Frame, FrameSize, PixelBuffer, PixelFormat,
};

use crate::sandbox::{Phase, SandboxScope, contained};

/// The frame, whose pixels and decoder stay its source's on whatever thread they are used: they
/// are decoded and given up in `scope`, so that neither a panic nor what they allocate is blamed
/// on a plugin, or ends the thread that happens to be the last to have the frame.
pub(super) fn owned_by_source(frame: Frame, scope: &SandboxScope) -> Frame {
    let format = frame.format();
    let frame = frame.map_buffer(|buffer| {
        let owned = SourceOwned::new(buffer, scope);
        PixelBuffer::from(Arc::new(owned) as Arc<dyn AsRef<[u8]> + Send + Sync>)
    });
    frame.map_decoder(|decoder| {
        Arc::new(SourceDecoder { decoder: SourceOwned::new(decoder, scope), format })
    })
}

/// Something of a source's that anybody may be the last to have.
struct SourceOwned<T> {
    /// `None` only while it is dropped.
    value: Option<T>,
    scope: SandboxScope,
}

struct SourceDecoder {
    decoder: SourceOwned<Arc<dyn Decoder>>,
    format: PixelFormat,
}

impl<T> SourceOwned<T> {
    fn new(value: T, scope: &SandboxScope) -> Self {
        Self { value: Some(value), scope: scope.clone() }
    }

    fn value(&self) -> &T {
        self.value.as_ref().expect("it is taken when this is dropped")
    }
}

impl AsRef<[u8]> for SourceOwned<PixelBuffer> {
    fn as_ref(&self) -> &[u8] {
        self.value().as_ref()
    }
}

impl<T> Drop for SourceOwned<T> {
    fn drop(&mut self) {
        let value = self.value.take();
        if let Err(panic) = contained(&self.scope, Phase::SourceClose, || drop(value)) {
            tracing::warn!(message = %panic.message, location = panic.location.as_deref(),
                "a part of the source's frame panicked when it was dropped");
        }
    }
}

impl Decoder for SourceDecoder {
    fn decode(&self, bytes: &[u8], size: FrameSize) -> Result<DecodedPixels, DecodeError> {
        let SourceOwned { scope, .. } = &self.decoder;
        let _entered = scope.enter();
        let decode = || self.decoder.value().decode(bytes, size);
        contained(scope, Phase::SourceNext, decode).unwrap_or_else(|panic| {
            tracing::warn!(message = %panic.message, location = panic.location.as_deref(),
                "the source's decoder panicked");
            let reason = format!("its decoder panicked: {}", panic.message);
            Err(DecodeError::new(self.format, reason))
        })
    }
}
