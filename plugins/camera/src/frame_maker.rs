use std::{sync::Arc, time::Instant};

use keepsight_contract::{Decoder, Frame, FrameError, FrameSize, PixelBuffer, PixelFormat};
use keepsight_jpeg::JpegDecoder;

/// Makes frames of what a camera gives.
pub(crate) struct FrameMaker {
    format: PixelFormat,
    size: FrameSize,
    stride: usize,
    decoder: Arc<dyn Decoder>,
}

/// The first two bytes of any JPEG picture.
const JPEG_START: [u8; 2] = [0xFF, 0xD8];

impl FrameMaker {
    /// For pictures of `size` in `format`, with `stride` bytes from one row of the first plane to
    /// the next; 0, or too few for a row, where the device does not know better than that rows
    /// follow without padding.
    pub(crate) fn new(format: PixelFormat, size: FrameSize, stride: usize) -> Self {
        let stride = stride.max(format.row_bytes(size.width));
        Self { format, size, stride, decoder: Arc::new(JpegDecoder::default()) }
    }

    /// The frame that `pixels` are; `None` for too few bytes, or such as begin no JPEG picture
    /// where they should: USB cameras give such when a transfer failed.
    ///
    /// # Errors
    /// [`FrameError`] where no frame of this format and size can be.
    pub(crate) fn make(
        &self,
        pixels: PixelBuffer,
        sequence: u64,
        captured: Instant,
    ) -> Result<Option<Frame>, FrameError> {
        if self.format == PixelFormat::Mjpeg && !pixels.as_ref().starts_with(&JPEG_START) {
            return Ok(None);
        }
        let mut builder =
            Frame::builder(self.format, self.size, pixels).sequence(sequence).captured(captured);
        builder = if self.format.is_compressed() {
            builder.decoder(self.decoder.clone())
        } else {
            builder.stride(self.stride)
        };
        match builder.build() {
            Ok(frame) => Ok(Some(frame)),
            Err(FrameError::TooShort { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use keepsight_contract::testing::frames;
    use keepsight_jpeg::encode_frame;

    use super::*;

    const SIZE: FrameSize = FrameSize::new(16, 8);

    fn make(
        format: PixelFormat,
        size: FrameSize,
        stride: usize,
        bytes: Vec<u8>,
    ) -> Result<Option<Frame>, FrameError> {
        FrameMaker::new(format, size, stride).make(PixelBuffer::from(bytes), 7, Instant::now())
    }

    #[test]
    fn a_frame_keeps_number_and_stride() {
        let frame = make(PixelFormat::Yuyv, SIZE, 40, vec![0; 40 * 8]).unwrap().unwrap();
        assert_eq!((frame.sequence(), frame.stride(), frame.size()), (7, 40, SIZE));
    }

    #[test]
    fn a_stride_holds_at_least_a_row() {
        for (format, told, stride) in [
            (PixelFormat::Yuyv, 0, 32),
            (PixelFormat::Nv12, 1, 16),
            (PixelFormat::Rgb, 64, 64),
            (PixelFormat::Gray, 16, 16),
        ] {
            let frame = make(format, SIZE, told, vec![0; 64 * 16]).unwrap().unwrap();
            assert_eq!(frame.stride(), stride, "{format:?}");
        }
    }

    #[test]
    fn a_picture_cut_short_is_none() {
        assert!(make(PixelFormat::Yuyv, SIZE, 0, vec![0; 255]).unwrap().is_none());
        assert!(make(PixelFormat::Yuyv, SIZE, 0, vec![0; 256]).unwrap().is_some());
    }

    #[test]
    fn bytes_that_begin_no_jpeg_are_none() {
        for bytes in [vec![], vec![0xFF], vec![0; 1000]] {
            assert!(make(PixelFormat::Mjpeg, SIZE, 0, bytes).unwrap().is_none());
        }
    }

    #[test]
    fn a_jpeg_can_be_decoded_even_with_rubbish_behind_it() {
        let gray = frames::gray(SIZE.width, SIZE.height, |x, _| (x * 16) as u8);
        let mut bytes = encode_frame(&gray, 90).unwrap();
        bytes.resize(4096, 0);
        let frame = make(PixelFormat::Mjpeg, SIZE, 0, bytes).unwrap().unwrap();
        assert_eq!((frame.stride(), frame.format()), (0, PixelFormat::Mjpeg));
        assert_eq!(frame.decoded().unwrap().size(), SIZE);
    }

    #[test]
    fn an_impossible_size_is_an_error() {
        let odd = make(PixelFormat::Yuyv, FrameSize::new(15, 8), 0, vec![0; 4096]);
        assert!(matches!(odd, Err(FrameError::Size { .. })));
    }
}
