use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Instant,
};

use crate::{FrameSize, LumaPlane, PixelBuffer, PixelFormat, Truth, convert};

/// One picture as it was captured, with its time. Cloning shares the pixels.
#[derive(Clone)]
pub struct Frame(Arc<FrameParts>);

struct FrameParts {
    pixels: PixelBuffer,
    format: PixelFormat,
    size: FrameSize,
    stride: usize,
    sequence: u64,
    captured: Instant,
    decoder: Option<Arc<dyn Decoder>>,
    decoded: OnceLock<Result<Frame, DecodeError>>,
    truth: Option<Arc<Truth>>,
}

/// Makes pixels of compressed bytes; a source attaches it to its frames.
pub trait Decoder: Send + Sync {
    /// Decodes one picture that should be of `size`.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no such picture.
    fn decode(&self, bytes: &[u8], size: FrameSize) -> Result<DecodedPixels, DecodeError>;
}

/// What a [`Decoder`] gives.
pub struct DecodedPixels {
    /// [`PixelFormat::Rgb`], [`PixelFormat::Gray`] or another uncompressed format.
    pub format: PixelFormat,
    /// Size of the picture, in pixels.
    pub size: FrameSize,
    /// Rows without padding, from the top.
    pub pixels: Vec<u8>,
}

/// Why compressed bytes gave no picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot decode the {format:?} picture: {reason}")]
pub struct DecodeError {
    format: PixelFormat,
    reason: String,
}

/// Why bytes are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Fewer bytes than format, size and stride call for.
    #[error("{format:?} of {size} needs {needed} bytes, there are {found}")]
    TooShort {
        /// The frame's format.
        format: PixelFormat,
        /// The frame's size.
        size: FrameSize,
        /// Bytes needed.
        needed: u64,
        /// Bytes there.
        found: usize,
    },
    /// A row doesn't fit into the stride.
    #[error("a row of {needed} bytes doesn't fit into a stride of {stride}")]
    Stride {
        /// Bytes in a row.
        needed: usize,
        /// Bytes from one row to the next.
        stride: usize,
    },
    /// No pixels, or a width that the format doesn't have.
    #[error("{format:?} has no pictures of {size}")]
    Size {
        /// The frame's format.
        format: PixelFormat,
        /// The frame's size.
        size: FrameSize,
    },
}

/// Gathers what a [`Frame`] is made of.
pub struct FrameBuilder {
    parts: FrameParts,
    stride: Option<usize>,
}

impl Frame {
    /// Begins a frame of `size` in `format`; without more said its rows are not padded, its
    /// sequence is 0 and it was captured now.
    pub fn builder(format: PixelFormat, size: FrameSize, pixels: PixelBuffer) -> FrameBuilder {
        let parts = FrameParts {
            pixels,
            format,
            size,
            stride: 0,
            sequence: 0,
            captured: Instant::now(),
            decoder: None,
            decoded: OnceLock::new(),
            truth: None,
        };
        FrameBuilder { parts, stride: None }
    }

    /// The bytes as captured.
    pub fn pixels(&self) -> &[u8] {
        self.0.pixels.as_ref()
    }

    /// The buffer that holds the bytes.
    pub fn buffer(&self) -> &PixelBuffer {
        &self.0.pixels
    }

    /// How the bytes stand for pixels.
    pub fn format(&self) -> PixelFormat {
        self.0.format
    }

    /// Width and height, in pixels.
    pub fn size(&self) -> FrameSize {
        self.0.size
    }

    /// Bytes from one row of the first plane to the next; 0 for a compressed frame.
    pub fn stride(&self) -> usize {
        self.0.stride
    }

    /// Number of this frame in its stream; gaps are frames that the source lost.
    pub fn sequence(&self) -> u64 {
        self.0.sequence
    }

    /// When it was captured; for a file, when it was due.
    pub fn captured(&self) -> Instant {
        self.0.captured
    }

    /// What is really in it, where the source knows.
    pub fn truth(&self) -> Option<&Truth> {
        self.0.truth.as_deref()
    }

    /// This frame without compression: itself, or what its decoder gives, decoded once and kept.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are damaged or no decoder was attached.
    pub fn decoded(&self) -> Result<Frame, DecodeError> {
        if !self.0.format.is_compressed() {
            return Ok(self.clone());
        }
        self.0.decoded.get_or_init(|| self.decode()).clone()
    }

    fn decode(&self) -> Result<Frame, DecodeError> {
        let parts = &self.0;
        let Some(decoder) = &parts.decoder else {
            return Err(DecodeError::new(parts.format, "no decoder was attached"));
        };
        let decoded = decoder.decode(self.pixels(), parts.size)?;
        let mut builder =
            Frame::builder(decoded.format, decoded.size, PixelBuffer::from(decoded.pixels))
                .sequence(parts.sequence)
                .captured(parts.captured);
        builder.parts.truth = parts.truth.clone();
        builder.build().map_err(|error| DecodeError::new(parts.format, error.to_string()))
    }

    /// This frame as [`PixelFormat::Rgb`] without padding, converted on the CPU (itself where it
    /// is that already). YUYV and NV12 are BT.601 in limited range.
    ///
    /// # Errors
    /// [`DecodeError`] as [`Frame::decoded`].
    pub fn to_rgb(&self) -> Result<Frame, DecodeError> {
        convert::to_rgb(&self.decoded()?)
    }

    /// The brightness of each pixel; for RGB by BT.601's weights.
    ///
    /// # Errors
    /// [`DecodeError`] as [`Frame::decoded`].
    pub fn luma(&self) -> Result<LumaPlane, DecodeError> {
        Ok(convert::luma(&self.decoded()?))
    }

    /// This frame under another sequence; the pixels stay shared.
    pub fn renumbered(self, sequence: u64) -> Frame {
        if self.0.sequence == sequence {
            return self;
        }
        Frame(Arc::new(FrameParts { sequence, ..self.0.undecoded() }))
    }

    /// This frame with its bytes in what `change` makes of their buffer; they stay the same. By it
    /// the runtime has the end of a buffer looked after.
    ///
    /// # Panics
    /// When it holds another number of bytes.
    pub fn map_buffer(mut self, change: impl FnOnce(PixelBuffer) -> PixelBuffer) -> Frame {
        let pixels = change(self.0.pixels.clone());
        assert_eq!(pixels.as_ref().len(), self.pixels().len(), "the bytes stay the same");
        match Arc::get_mut(&mut self.0) {
            Some(parts) => parts.pixels = pixels,
            None => self.0 = Arc::new(FrameParts { pixels, ..self.0.undecoded() }),
        }
        self
    }

    /// This frame with what `change` makes of its decoder, where it has one; the pixels stay
    /// shared. By it the runtime has decoding charged to the frame's source.
    pub fn map_decoder(
        mut self,
        change: impl FnOnce(Arc<dyn Decoder>) -> Arc<dyn Decoder>,
    ) -> Frame {
        let Some(decoder) = self.0.decoder.clone().map(change) else { return self };
        match Arc::get_mut(&mut self.0) {
            Some(parts) => parts.decoder = Some(decoder),
            None => {
                let decoder = Some(decoder);
                self.0 = Arc::new(FrameParts { decoder, ..self.0.undecoded() });
            }
        }
        self
    }

    /// A frame of other pixels that keeps this one's sequence, time and truth.
    pub(crate) fn with_pixels(
        &self,
        format: PixelFormat,
        pixels: Vec<u8>,
    ) -> Result<Frame, FrameError> {
        let mut builder = Frame::builder(format, self.size(), PixelBuffer::from(pixels))
            .sequence(self.sequence())
            .captured(self.captured());
        builder.parts.truth = self.0.truth.clone();
        builder.build()
    }
}

impl FrameParts {
    /// The same pixels, and nothing of what was decoded.
    fn undecoded(&self) -> Self {
        Self {
            pixels: self.pixels.clone(),
            format: self.format,
            size: self.size,
            stride: self.stride,
            sequence: self.sequence,
            captured: self.captured,
            decoder: self.decoder.clone(),
            decoded: OnceLock::new(),
            truth: self.truth.clone(),
        }
    }
}

impl FrameBuilder {
    /// Bytes from one row of the first plane to the next.
    pub fn stride(mut self, bytes: usize) -> Self {
        self.stride = Some(bytes);
        self
    }

    /// Number of the frame in its stream.
    pub fn sequence(mut self, sequence: u64) -> Self {
        self.parts.sequence = sequence;
        self
    }

    /// When the frame was captured.
    pub fn captured(mut self, captured: Instant) -> Self {
        self.parts.captured = captured;
        self
    }

    /// What decodes the frame's bytes.
    pub fn decoder(mut self, decoder: Arc<dyn Decoder>) -> Self {
        self.parts.decoder = Some(decoder);
        self
    }

    /// What is really in the frame.
    pub fn truth(mut self, truth: Truth) -> Self {
        self.parts.truth = Some(Arc::new(truth));
        self
    }

    /// The frame.
    ///
    /// # Errors
    /// [`FrameError`] when the buffer is too short for what it is said to hold.
    pub fn build(self) -> Result<Frame, FrameError> {
        let FrameBuilder { mut parts, stride } = self;
        let (format, size) = (parts.format, parts.size);
        let even_enough = format != PixelFormat::Yuyv || size.width % 2 == 0;
        if size.pixel_count() == 0 || !even_enough {
            return Err(FrameError::Size { format, size });
        }
        if !format.is_compressed() {
            let row = format.row_bytes(size.width);
            parts.stride = stride.unwrap_or(row);
            if parts.stride < row {
                return Err(FrameError::Stride { needed: row, stride: parts.stride });
            }
            let needed = format.bytes_needed(size, parts.stride);
            let found = parts.pixels.as_ref().len();
            if (found as u64) < needed {
                return Err(FrameError::TooShort { format, size, needed, found });
            }
        }
        Ok(Frame(Arc::new(parts)))
    }
}

impl DecodeError {
    /// Bytes of `format` gave no picture for `reason` (lower case, no full stop).
    pub fn new(format: PixelFormat, reason: impl Into<String>) -> Self {
        Self { format, reason: reason.into() }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("format", &self.format())
            .field("size", &self.size())
            .field("sequence", &self.sequence())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(format: PixelFormat, size: FrameSize, bytes: usize) -> Result<Frame, FrameError> {
        Frame::builder(format, size, PixelBuffer::from(vec![0; bytes])).build()
    }

    #[test]
    fn a_frame_holds_as_many_bytes_as_it_says() {
        for (format, size, needed) in [
            (PixelFormat::Yuyv, FrameSize::new(4, 3), 24),
            (PixelFormat::Nv12, FrameSize::new(4, 3), 20),
            (PixelFormat::Nv12, FrameSize::new(3, 3), 20),
            (PixelFormat::Rgb, FrameSize::new(3, 2), 18),
            (PixelFormat::Gray, FrameSize::new(3, 2), 6),
        ] {
            assert!(build(format, size, needed).is_ok(), "{format:?} {size}");
            let short = build(format, size, needed - 1).unwrap_err();
            assert!(matches!(short, FrameError::TooShort { .. }), "{format:?} {size}: {short}");
        }
    }

    #[test]
    fn impossible_frames_are_refused() {
        let odd = build(PixelFormat::Yuyv, FrameSize::new(3, 2), 100).unwrap_err();
        assert!(matches!(odd, FrameError::Size { .. }));
        let empty = build(PixelFormat::Rgb, FrameSize::new(0, 2), 100).unwrap_err();
        assert!(matches!(empty, FrameError::Size { .. }));
        let narrow =
            Frame::builder(PixelFormat::Rgb, FrameSize::new(4, 1), PixelBuffer::from(vec![0; 12]))
                .stride(11)
                .build();
        assert!(matches!(narrow, Err(FrameError::Stride { needed: 12, stride: 11 })));
        let enormous = build(PixelFormat::Rgb, FrameSize::new(u32::MAX, u32::MAX), 9).unwrap_err();
        assert!(matches!(enormous, FrameError::TooShort { .. }));
    }

    #[test]
    fn a_compressed_frame_is_decoded_once() {
        use std::sync::atomic::{AtomicUsize, Ordering};

        #[derive(Default)]
        struct Counting(AtomicUsize);
        impl Decoder for Counting {
            fn decode(&self, _: &[u8], size: FrameSize) -> Result<DecodedPixels, DecodeError> {
                self.0.fetch_add(1, Ordering::Relaxed);
                let pixels = vec![7; size.pixel_count() as usize];
                Ok(DecodedPixels { format: PixelFormat::Gray, size, pixels })
            }
        }

        let decoder = Arc::new(Counting::default());
        let size = FrameSize::new(2, 2);
        let frame = Frame::builder(PixelFormat::Mjpeg, size, PixelBuffer::from(vec![1]))
            .sequence(9)
            .decoder(decoder.clone())
            .build()
            .unwrap();
        let (first, second) = (frame.decoded().unwrap(), frame.clone().decoded().unwrap());
        assert_eq!((first.sequence(), first.pixels()), (9, &[7; 4][..]));
        assert!(Arc::ptr_eq(&first.0, &second.0));
        assert_eq!(decoder.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_decoder_can_be_wrapped_and_the_pixels_stay_shared() {
        struct Gives(u8);
        impl Decoder for Gives {
            fn decode(&self, _: &[u8], size: FrameSize) -> Result<DecodedPixels, DecodeError> {
                let pixels = vec![self.0; size.pixel_count() as usize];
                Ok(DecodedPixels { format: PixelFormat::Gray, size, pixels })
            }
        }

        let frame =
            Frame::builder(PixelFormat::Mjpeg, FrameSize::new(2, 2), PixelBuffer::from(vec![1]))
                .sequence(9)
                .decoder(Arc::new(Gives(7)))
                .build()
                .unwrap();
        let value = |frame: &Frame| frame.decoded().unwrap().pixels()[0];
        // Where somebody else has the frame too, theirs stays as it is.
        let other = frame.clone().map_decoder(|_| Arc::new(Gives(8)));
        assert_eq!((value(&frame), value(&other), other.sequence()), (7, 8, 9));
        assert_eq!(frame.pixels().as_ptr(), other.pixels().as_ptr());
        drop(frame);
        assert_eq!(value(&other.renumbered(10).map_decoder(|_| Arc::new(Gives(9)))), 9);

        let plain = build(PixelFormat::Gray, FrameSize::new(2, 2), 4).unwrap();
        let same = plain.map_decoder(|_| unreachable!("it has none"));
        assert_eq!(same.decoded().unwrap().pixels(), [0; 4]);
    }

    #[test]
    fn a_buffer_can_be_wrapped_and_the_pixels_stay_the_same() {
        let frame = build(PixelFormat::Gray, FrameSize::new(2, 2), 4).unwrap();
        let wrap = |buffer: PixelBuffer| {
            PixelBuffer::from(Arc::new(buffer) as Arc<dyn AsRef<[u8]> + Send + Sync>)
        };
        let at = frame.pixels().as_ptr();
        let shared = frame.clone().map_buffer(wrap);
        let alone = frame.map_buffer(wrap);
        assert_eq!((shared.pixels().as_ptr(), alone.pixels().as_ptr()), (at, at));
        assert_eq!(alone.sequence(), shared.sequence());
    }

    #[test]
    fn a_compressed_frame_without_a_decoder_says_so() {
        let frame = build(PixelFormat::Mjpeg, FrameSize::new(2, 2), 1).unwrap();
        let error = frame.decoded().unwrap_err();
        assert!(error.to_string().contains("no decoder"), "{error}");
    }
}
