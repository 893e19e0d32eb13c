//! JPEG and PNG bytes to pixels, within limits.

use std::io::Cursor;

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

use crate::{Picture, PictureError};

/// The largest picture that a reader accepts.
///
/// Sizes are held against these before anything as large as the picture is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Widest picture, pixels.
    pub width_max: u32,
    /// Highest picture, pixels.
    pub height_max: u32,
    /// Most pixels, width × height.
    pub pixels_max: u64,
}

impl Default for Limits {
    /// 16,384 in each direction and as many pixels as an 8K picture has (7680 × 4320).
    fn default() -> Self {
        Self { width_max: 16_384, height_max: 16_384, pixels_max: 7_680 * 4_320 }
    }
}

impl Limits {
    pub(crate) fn check(&self, width: u64, height: u64) -> Result<(), PictureError> {
        let fits = width <= u64::from(self.width_max)
            && height <= u64::from(self.height_max)
            && width * height <= self.pixels_max;
        if fits {
            return Ok(());
        }
        Err(PictureError::TooLarge {
            width,
            height,
            width_max: self.width_max,
            height_max: self.height_max,
            pixels_max: self.pixels_max,
        })
    }
}

/// What a picture's first bytes say it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// Starts with a JPEG's start-of-image marker.
    Jpeg,
    /// Starts with PNG's signature.
    Png,
}

impl PictureFormat {
    /// The format that `bytes` start with, if it is one that is read here.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            Some(Self::Jpeg)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else {
            None
        }
    }
}

/// Reads a JPEG or a PNG, whichever the bytes are, within the default [`Limits`].
///
/// # Errors
/// [`PictureError::UnknownFormat`] for anything else, and what [`decode_jpeg`] and
/// [`decode_png`] say.
pub fn decode_picture(bytes: &[u8]) -> Result<Picture, PictureError> {
    match PictureFormat::of(bytes) {
        Some(PictureFormat::Jpeg) => decode_jpeg(bytes, &Limits::default()),
        Some(PictureFormat::Png) => decode_png(bytes, &Limits::default()),
        None => Err(PictureError::UnknownFormat),
    }
}

/// Reads a JPEG to RGB; a gray one gets three equal channels.
///
/// # Errors
/// [`PictureError::TooLarge`] beyond `limits`; [`PictureError::Jpeg`] for one that is damaged,
/// truncated, or of a kind that isn't read (lossless, arithmetic, 12 bits). A damaged picture
/// is an error, never half a picture: gray areas where the bytes ended would be seen as scene.
/// Not every damage can be seen: bytes that are missing from the middle of a picture, and wrong
/// ones that are still valid codes, give a picture that looks damaged.
pub fn decode_jpeg(bytes: &[u8], limits: &Limits) -> Result<Picture, PictureError> {
    let (width, height, samples) = jpeg_samples(bytes, limits)?;
    let rgb = match samples {
        JpegSamples::Rgb(rgb) => rgb,
        JpegSamples::Gray(gray) => gray.into_iter().flat_map(|value| [value; 3]).collect(),
    };
    Picture::from_rgb(width, height, rgb)
}

/// Width and height in pixels of a JPEG, and whether it is all there: its header is read, and
/// where its end is not marked, it is decoded to see whether more is missing than the mark. Some
/// cameras leave it out.
///
/// # Errors
/// As [`decode_jpeg`], as far as header and end show it.
pub fn inspect_jpeg(bytes: &[u8], limits: &Limits) -> Result<(u32, u32), PictureError> {
    let size = jpeg_header(&mut jpeg_decoder(bytes, limits), limits)?;
    if !has_end(bytes) {
        jpeg_samples(bytes, limits)?;
    }
    Ok(size)
}

/// Pixels of a decoded JPEG, rows one after the other without padding.
pub(crate) enum JpegSamples {
    /// Three bytes a pixel.
    Rgb(Vec<u8>),
    /// One byte a pixel: the JPEG has no colour.
    Gray(Vec<u8>),
}

/// Decodes a JPEG, leaving a gray one gray.
pub(crate) fn jpeg_samples(
    bytes: &[u8],
    limits: &Limits,
) -> Result<(u32, u32, JpegSamples), PictureError> {
    let mut decoder = jpeg_decoder(bytes, limits);
    let (width, height) = jpeg_header(&mut decoder, limits)?;
    let gray = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let colorspace = if gray { ColorSpace::Luma } else { ColorSpace::RGB };
    // Headers are read leniently (cameras write odd ones), the picture itself strictly.
    let options = decoder.options().jpeg_set_out_colorspace(colorspace).set_strict_mode(true);
    decoder.set_options(options);
    let mut samples = vec![0; width as usize * height as usize * colorspace.num_components()];
    decoder.decode_into(&mut samples).map_err(damaged_jpeg)?;
    Ok((width, height, if gray { JpegSamples::Gray(samples) } else { JpegSamples::Rgb(samples) }))
}

fn jpeg_decoder<'a>(bytes: &'a [u8], limits: &Limits) -> zune_jpeg::JpegDecoder<ZCursor<&'a [u8]>> {
    // The decoder's own limit answers with text alone; it is set above ours, so that
    // [`Limits::check`] is the one that speaks.
    let options = DecoderOptions::default()
        .set_max_width(usize::from(u16::MAX).max(limits.width_max as usize))
        .set_max_height(usize::from(u16::MAX).max(limits.height_max as usize))
        .jpeg_set_max_scans(JPEG_SCANS_MAX);
    zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options)
}

fn jpeg_header(
    decoder: &mut zune_jpeg::JpegDecoder<ZCursor<&[u8]>>,
    limits: &Limits,
) -> Result<(u32, u32), PictureError> {
    decoder.decode_headers().map_err(damaged_jpeg)?;
    let info = decoder.info().expect("headers were decoded just now");
    limits.check(u64::from(info.width), u64::from(info.height))?;
    Ok((u32::from(info.width), u32::from(info.height)))
}

/// Whether an end-of-image marker follows the last scan, wherever padding begins. Within a scan,
/// 0xff is always followed by 0 or a restart marker, so what is found here is a marker.
fn has_end(bytes: &[u8]) -> bool {
    let last = bytes.windows(2).rev().find(|pair| matches!(pair, [0xff, 0xd9 | 0xda]));
    last == Some(&[0xff, 0xd9])
}

fn damaged_jpeg(error: zune_jpeg::errors::DecodeErrors) -> PictureError {
    PictureError::Jpeg { reason: error.to_string() }
}

/// Reads a PNG to RGB of 8 bits: palettes are expanded, 16 bits cut to 8, gray gets three equal
/// channels, transparency is dropped.
///
/// # Errors
/// [`PictureError::TooLarge`] beyond `limits`; [`PictureError::Png`] for a damaged one.
pub fn decode_png(bytes: &[u8], limits: &Limits) -> Result<Picture, PictureError> {
    let damaged = |error: png::DecodingError| PictureError::Png { reason: error.to_string() };
    let work_bytes = usize::try_from(limits.pixels_max.saturating_mul(8)).unwrap_or(usize::MAX);
    let mut decoder =
        png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: work_bytes });
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(damaged)?;
    let (width, height) = header.size();
    limits.check(u64::from(width), u64::from(height))?;

    let mut reader = decoder.read_info().map_err(damaged)?;
    let samples_bytes = reader
        .output_buffer_size()
        .ok_or_else(|| PictureError::Png { reason: "too large for this machine".into() })?;
    let mut samples = vec![0; samples_bytes];
    let info = reader.next_frame(&mut samples).map_err(damaged)?;
    samples.truncate(info.buffer_size());
    let rgb = match info.color_type {
        png::ColorType::Rgb => samples,
        png::ColorType::Rgba => {
            samples.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
        }
        png::ColorType::Grayscale => samples.into_iter().flat_map(|value| [value; 3]).collect(),
        png::ColorType::GrayscaleAlpha => {
            samples.chunks_exact(2).flat_map(|pixel| [pixel[0]; 3]).collect()
        }
        png::ColorType::Indexed => {
            return Err(PictureError::Png { reason: "a palette without its colours".into() });
        }
    };
    Picture::from_rgb(info.width, info.height, rgb)
}

/// A progressive JPEG may say the same pixels over and over; encoders use about ten scans.
const JPEG_SCANS_MAX: usize = 64;

#[cfg(test)]
mod tests;
