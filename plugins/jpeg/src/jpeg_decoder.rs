//! The decoder that sources attach to their JPEG frames.

use keepsight_contract::{DecodeError, DecodedPixels, Decoder, FrameSize, PixelFormat};

use crate::Limits;
use crate::decode::{JpegSamples, jpeg_samples};

/// Decodes frames of the format Mjpeg, to RGB or, where the JPEG has no colour, to gray.
#[derive(Debug, Clone, Copy, Default)]
pub struct JpegDecoder {
    limits: Limits,
}

impl JpegDecoder {
    /// A decoder that accepts pictures within `limits`.
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }
}

impl Decoder for JpegDecoder {
    /// Refuses a picture of another size than the frame's: what follows has been prepared for
    /// that size.
    fn decode(&self, bytes: &[u8], size: FrameSize) -> Result<DecodedPixels, DecodeError> {
        let failed = |reason: String| DecodeError::new(PixelFormat::Mjpeg, reason);
        let (width, height, samples) =
            jpeg_samples(bytes, &self.limits).map_err(|error| failed(error.to_string()))?;
        let decoded = FrameSize { width, height };
        if decoded != size {
            return Err(failed(format!("it is {decoded}, and {size} was announced")));
        }
        let (format, pixels) = match samples {
            JpegSamples::Rgb(rgb) => (PixelFormat::Rgb, rgb),
            JpegSamples::Gray(gray) => (PixelFormat::Gray, gray),
        };
        Ok(DecodedPixels { format, size, pixels })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keepsight_contract::{Frame, PixelBuffer};

    use super::*;
    use crate::{Picture, encode, encode_frame};

    fn frame(jpeg: Vec<u8>, width: u32, height: u32) -> Frame {
        Frame::builder(PixelFormat::Mjpeg, FrameSize { width, height }, PixelBuffer::from(jpeg))
            .decoder(Arc::new(JpegDecoder::default()))
            .build()
            .unwrap()
    }

    #[test]
    fn a_frame_decodes_to_rgb() {
        let jpeg = encode(&Picture::filled(40, 24, [200, 60, 30]), 95).unwrap();
        let decoded = frame(jpeg, 40, 24).decoded().unwrap();
        assert_eq!(decoded.format(), PixelFormat::Rgb);
        assert_eq!(decoded.stride(), 120);
        for (found, expected) in decoded.pixels()[..3].iter().zip([200u8, 60, 30]) {
            assert!(found.abs_diff(expected) <= 4, "{:?}", &decoded.pixels()[..3]);
        }
    }

    #[test]
    fn a_gray_frame_stays_gray() {
        let gray: Vec<u8> = (0..40 * 24).map(|at| (at % 40 * 6) as u8).collect();
        let size = FrameSize { width: 40, height: 24 };
        let original = Frame::builder(PixelFormat::Gray, size, PixelBuffer::from(gray.clone()))
            .build()
            .unwrap();
        let jpeg = encode_frame(&original, 95).unwrap();
        let decoded = frame(jpeg, 40, 24).decoded().unwrap();
        assert_eq!(decoded.format(), PixelFormat::Gray);
        let worst = decoded.pixels().iter().zip(&gray).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst.unwrap() <= 8, "{worst:?}");
    }

    #[test]
    fn another_size_than_announced_is_refused() {
        let jpeg = encode(&Picture::filled(40, 24, [0; 3]), 80).unwrap();
        let error = frame(jpeg, 40, 32).decoded().unwrap_err();
        assert!(error.to_string().contains("40x24"), "{error}");
    }

    #[test]
    fn damage_is_told() {
        let mut jpeg = encode(&Picture::filled(40, 24, [0; 3]), 80).unwrap();
        jpeg.truncate(jpeg.len() / 2);
        let error = frame(jpeg, 40, 24).decoded().unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
        let error = encode_frame(&frame(vec![0xff, 0xd8, 0xff], 40, 24), 80).unwrap_err();
        assert!(matches!(error, crate::EncodeError::Frame(_)), "{error}");
    }
}
