//! Pixels to JPEG bytes.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use keepsight_contract::{Frame, PixelFormat};

use crate::{EncodeError, Picture};

/// Writes a baseline JPEG with 4:2:0 chroma, as cameras do.
///
/// `quality` is 1 (smallest) to 100 (best); what lies outside counts as the nearer of these.
///
/// # Errors
/// [`EncodeError::Size`] for a picture that is empty or larger than JPEG allows.
pub fn encode(picture: &Picture, quality: u8) -> Result<Vec<u8>, EncodeError> {
    encode_samples(picture.rgb(), picture.width(), picture.height(), ColorType::Rgb, quality)
}

/// As [`encode`], from a frame of any format; a gray frame gives a gray JPEG.
///
/// # Errors
/// As [`encode`], and [`EncodeError::Frame`] where the frame cannot be decoded.
pub fn encode_frame(frame: &Frame, quality: u8) -> Result<Vec<u8>, EncodeError> {
    let decoded = frame.decoded().map_err(|error| EncodeError::Frame(Box::new(error)))?;
    let size = decoded.size();
    if decoded.format() == PixelFormat::Gray && decoded.stride() == size.width as usize {
        return encode_samples(decoded.pixels(), size.width, size.height, ColorType::Luma, quality);
    }
    let picture =
        Picture::from_frame(&decoded).map_err(|error| EncodeError::Frame(Box::new(error)))?;
    encode(&picture, quality)
}

fn encode_samples(
    samples: &[u8],
    width: u32,
    height: u32,
    color: ColorType,
    quality: u8,
) -> Result<Vec<u8>, EncodeError> {
    let size = || EncodeError::Size { width, height };
    let jpeg_width = u16::try_from(width).map_err(|_| size())?;
    let jpeg_height = u16::try_from(height).map_err(|_| size())?;
    if jpeg_width == 0 || jpeg_height == 0 {
        return Err(size());
    }
    // Photographs come to about a tenth of a byte per sample at usual qualities.
    let mut bytes = Vec::with_capacity(samples.len() / 8 + 1024);
    let mut encoder = Encoder::new(&mut bytes, quality.clamp(1, 100));
    if color == ColorType::Rgb {
        encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    }
    encoder
        .encode(samples, jpeg_width, jpeg_height, color)
        .map_err(|error| EncodeError::Encoder { reason: error.to_string() })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, decode_jpeg};

    #[test]
    fn quality_trades_bytes_for_likeness() {
        let mut picture = Picture::filled(64, 48, [0; 3]);
        for (at, value) in picture.rgb_mut().iter_mut().enumerate() {
            *value = (at * 7 % 251) as u8;
        }
        let small = encode(&picture, 10).unwrap();
        let good = encode(&picture, 95).unwrap();
        assert!(small.len() < good.len(), "{} bytes against {}", small.len(), good.len());
        let read = decode_jpeg(&small, &Limits::default()).unwrap();
        assert_eq!((read.width(), read.height()), (64, 48));
    }

    #[test]
    fn quality_outside_its_range_counts_as_the_nearest() {
        let picture = Picture::filled(16, 16, [200, 40, 90]);
        assert_eq!(encode(&picture, 0).unwrap(), encode(&picture, 1).unwrap());
        assert_eq!(encode(&picture, 255).unwrap(), encode(&picture, 100).unwrap());
    }

    #[test]
    fn sizes_that_jpeg_cannot_hold_are_refused() {
        for (width, height) in [(0, 4), (4, 0), (65_536, 1)] {
            let picture = Picture::filled(width, height, [0; 3]);
            let error = encode(&picture, 80).unwrap_err();
            assert!(matches!(error, EncodeError::Size { .. }), "{error}");
        }
    }
}
