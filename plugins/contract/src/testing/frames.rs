//! Frames from arrays.

use crate::{Frame, FrameSize, PixelBuffer, PixelFormat};

/// A frame of `format` whose bytes are `pixels`, with the sequence 0.
///
/// # Panics
/// When there are too few bytes.
pub fn from_bytes(format: PixelFormat, width: u32, height: u32, pixels: Vec<u8>) -> Frame {
    numbered(0, format, width, height, pixels)
}

/// As [`from_bytes`], with a sequence.
///
/// # Panics
/// When there are too few bytes.
pub fn numbered(
    sequence: u64,
    format: PixelFormat,
    width: u32,
    height: u32,
    pixels: Vec<u8>,
) -> Frame {
    Frame::builder(format, FrameSize::new(width, height), PixelBuffer::from(pixels))
        .sequence(sequence)
        .build()
        .expect("a test's bytes fill its frame")
}

/// A gray frame in which each pixel's brightness is `value(x, y)`.
pub fn gray(width: u32, height: u32, value: impl Fn(u32, u32) -> u8) -> Frame {
    let pixels = points(width, height).map(|(x, y)| value(x, y)).collect();
    from_bytes(PixelFormat::Gray, width, height, pixels)
}

/// An RGB frame in which each pixel's colour is `value(x, y)`.
pub fn rgb(width: u32, height: u32, value: impl Fn(u32, u32) -> [u8; 3]) -> Frame {
    let pixels = points(width, height).flat_map(|(x, y)| value(x, y)).collect();
    from_bytes(PixelFormat::Rgb, width, height, pixels)
}

fn points(width: u32, height: u32) -> impl Iterator<Item = (u32, u32)> {
    (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_where_the_test_says() {
        let frame = gray(3, 2, |x, y| (10 * y + x) as u8);
        assert_eq!((frame.format(), frame.size()), (PixelFormat::Gray, FrameSize::new(3, 2)));
        assert_eq!(frame.pixels(), [0, 1, 2, 10, 11, 12]);
        assert_eq!((frame.stride(), frame.sequence()), (3, 0));

        let frame = rgb(2, 1, |x, _| [x as u8, 7, 9]);
        assert_eq!(frame.pixels(), [0, 7, 9, 1, 7, 9]);
    }

    #[test]
    fn bytes_are_taken_as_they_are_and_must_be_enough() {
        let frame = numbered(7, PixelFormat::Yuyv, 2, 1, vec![16, 128, 235, 128]);
        assert_eq!((frame.sequence(), frame.pixels()), (7, &[16, 128, 235, 128][..]));
        assert_eq!(frame.to_rgb().unwrap().pixels(), [0, 0, 0, 255, 255, 255]);
        let short = std::panic::catch_unwind(|| from_bytes(PixelFormat::Rgb, 2, 2, vec![0; 11]));
        assert!(short.is_err());
    }
}
