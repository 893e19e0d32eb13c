use std::array;

use crate::{DecodeError, Frame, FrameSize, PixelFormat};

/// The brightness of a picture: `size.height` rows of `size.width` bytes, 0–255, no padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LumaPlane {
    /// Width and height, in pixels.
    pub size: FrameSize,
    /// Row-major, from the top left corner.
    pub pixels: Vec<u8>,
}

/// The frame as unpadded RGB. `frame` is not compressed.
pub(crate) fn to_rgb(frame: &Frame) -> Result<Frame, DecodeError> {
    let width = frame.size().width as usize;
    if frame.format() == PixelFormat::Rgb && frame.stride() == width * 3 {
        return Ok(frame.clone());
    }
    let mut rgb = vec![0; frame.size().pixel_count() as usize * 3];
    for (row, target) in rgb.chunks_exact_mut(width * 3).enumerate() {
        fill_rgb_row(frame, row, target);
    }
    frame
        .with_pixels(PixelFormat::Rgb, rgb)
        .map_err(|error| DecodeError::new(frame.format(), error.to_string()))
}

/// The frame's brightness. `frame` is not compressed.
pub(crate) fn luma(frame: &Frame) -> LumaPlane {
    let width = frame.size().width as usize;
    let mut pixels = vec![0; frame.size().pixel_count() as usize];
    for (row, target) in pixels.chunks_exact_mut(width).enumerate() {
        let source = &frame.pixels()[row * frame.stride()..];
        match frame.format() {
            PixelFormat::Gray | PixelFormat::Nv12 => target.copy_from_slice(&source[..width]),
            PixelFormat::Yuyv => {
                for (luma, pair) in target.iter_mut().zip(source.chunks_exact(2)) {
                    *luma = pair[0];
                }
            }
            _ => {
                for (luma, rgb) in target.iter_mut().zip(source.chunks_exact(3)) {
                    *luma = luma_of_rgb(rgb[0], rgb[1], rgb[2]);
                }
            }
        }
    }
    LumaPlane { size: frame.size(), pixels }
}

fn fill_rgb_row(frame: &Frame, row: usize, target: &mut [u8]) {
    let stride = frame.stride();
    let source = &frame.pixels()[row * stride..];
    match frame.format() {
        PixelFormat::Yuyv => {
            let (blocks, rest) = source[..target.len() / 3 * 2].as_chunks::<{ PAIRS * 4 }>();
            let (targets, target_rest) = target.as_chunks_mut::<RGB_BLOCK>();
            for (block, rgb) in blocks.iter().zip(targets) {
                let pairs = block.as_chunks::<4>().0;
                let words: [u32; PAIRS] = array::from_fn(|pair| u32::from_le_bytes(pairs[pair]));
                let byte = |at: u32| words.map(|word| (word >> (8 * at) & 0xff) as i16);
                *rgb = rgb_of_pairs([byte(0), byte(2)], byte(1), byte(3));
            }
            for (pair, rgb) in rest.chunks_exact(4).zip(target_rest.chunks_exact_mut(6)) {
                rgb[..3].copy_from_slice(&rgb_of_yuv(pair[0], pair[1], pair[3]));
                rgb[3..].copy_from_slice(&rgb_of_yuv(pair[2], pair[1], pair[3]));
            }
        }
        PixelFormat::Nv12 => {
            let chroma_start = (frame.size().height as usize + row / 2) * stride;
            let chroma = &frame.pixels()[chroma_start..];
            let (targets, target_rest) = target.as_chunks_mut::<RGB_BLOCK>();
            let blocks = source.as_chunks::<{ PAIRS * 2 }>().0.iter();
            let chroma_blocks = chroma.as_chunks::<{ PAIRS * 2 }>().0.iter();
            let done = targets.len() * PAIRS * 2;
            for ((luma, chroma), rgb) in blocks.zip(chroma_blocks).zip(targets) {
                let [first, second] = halves(luma);
                let [u, v] = halves(chroma);
                *rgb = rgb_of_pairs([first, second], u, v);
            }
            for (column, rgb) in (done..).zip(target_rest.chunks_exact_mut(3)) {
                let pair = column / 2 * 2;
                let (u, v) = (chroma[pair], chroma[pair + 1]);
                rgb.copy_from_slice(&rgb_of_yuv(source[column], u, v));
            }
        }
        PixelFormat::Gray => {
            for (gray, rgb) in source.iter().zip(target.chunks_exact_mut(3)) {
                rgb.fill(*gray);
            }
        }
        _ => target.copy_from_slice(&source[..target.len()]),
    }
}

/// BT.601 in limited range to full-range RGB, in 1/256ths (ITU-R BT.601-7, section 2.5).
fn rgb_of_yuv(y: u8, u: u8, v: u8) -> [u8; 3] {
    let luma = 298 * (i32::from(y) - 16) + 128;
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    [luma + 409 * v, luma - 100 * u - 208 * v, luma + 516 * u]
        .map(|channel| (channel >> 8).clamp(0, 255) as u8)
}

/// Pairs of pixels that are converted at once: one register of 16-bit numbers on any processor.
const PAIRS: usize = 8;
const RGB_BLOCK: usize = PAIRS * 6;

/// [`rgb_of_yuv`] for [`PAIRS`] pairs of pixels, whose brightness is in `y`, the left ones' first,
/// in a shape that the compiler makes vector instructions of: one number after the other, in words
/// as wide as a pixel is in the end, of which six bytes in eight are kept.
fn rgb_of_pairs(y: [[i16; PAIRS]; 2], u: [i16; PAIRS], v: [i16; PAIRS]) -> [u8; RGB_BLOCK] {
    let [left, right] = y.map(|y| {
        array::from_fn::<u32, PAIRS, _>(|pair| rgb_word(y[pair] - 16, u[pair] - 128, v[pair] - 128))
    });
    let mut rgb = [0; RGB_BLOCK];
    let pairs = left.as_chunks::<2>().0.iter().zip(right.as_chunks::<2>().0);
    for (four, (left, right)) in rgb.as_chunks_mut::<12>().0.iter_mut().zip(pairs) {
        let low = u64::from(left[0]) | u64::from(right[0]) << 24 | u64::from(left[1]) << 48;
        let high = left[1] >> 16 | right[1] << 8;
        four[..8].copy_from_slice(&low.to_le_bytes());
        four[8..].copy_from_slice(&high.to_le_bytes());
    }
    rgb
}

/// Red in the lowest byte, green and blue above it, of brightness from −16 and colours from −128.
///
/// The sums of [`rgb_of_yuv`] to the last bit, in 16 bits: the whole multiples of 256 in the
/// factors (298 = 256 + 42, 409 = 256 + 153, −208 = 48 − 256, 516 = 512 + 4) are added after the
/// shift, and what is left stays within ±29,600.
fn rgb_word(y: i16, u: i16, v: i16) -> u32 {
    let fine = 42 * y + 128;
    let red = (y + v + ((fine + 153 * v) >> 8)).clamp(0, 255) as u16;
    let green = (y - v + ((fine - 100 * u + 48 * v) >> 8)).clamp(0, 255) as u16;
    let blue = (y + 2 * u + ((fine + 4 * u) >> 8)).clamp(0, 255) as u16;
    u32::from(red | green << 8) | u32::from(blue) << 16
}

/// Every other byte, from the first and from the second on.
fn halves(bytes: &[u8; PAIRS * 2]) -> [[i16; PAIRS]; 2] {
    let pairs = bytes.as_chunks::<2>().0;
    [0, 1].map(|half| array::from_fn(|pair| i16::from(pairs[pair][half])))
}

/// BT.601's weights 0.299, 0.587, 0.114, in 1/256ths.
fn luma_of_rgb(red: u8, green: u8, blue: u8) -> u8 {
    ((77 * u32::from(red) + 150 * u32::from(green) + 29 * u32::from(blue)) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelBuffer;

    fn frame(format: PixelFormat, size: FrameSize, pixels: &[u8]) -> Frame {
        Frame::builder(format, size, PixelBuffer::from(pixels.to_vec())).build().unwrap()
    }

    #[track_caller]
    fn check_rgb(frame: &Frame, expected: &[[i32; 3]]) {
        let rgb = frame.to_rgb().unwrap();
        for (found, expected) in rgb.pixels().chunks(3).zip(expected) {
            let close = found.iter().zip(expected).all(|(a, b)| (i32::from(*a) - b).abs() <= 2);
            assert!(close, "{found:?} for {expected:?}");
        }
    }

    #[test]
    fn yuv_colours_are_those_of_bt_601() {
        // Red is (81, 90, 240), white (235, 128, 128), black (16, 128, 128).
        let yuyv = frame(PixelFormat::Yuyv, FrameSize::new(2, 1), &[81, 90, 81, 240]);
        check_rgb(&yuyv, &[[255, 0, 0], [255, 0, 0]]);
        let gray = frame(PixelFormat::Yuyv, FrameSize::new(2, 1), &[235, 128, 16, 128]);
        check_rgb(&gray, &[[255, 255, 255], [0, 0, 0]]);
        let nv12 = frame(PixelFormat::Nv12, FrameSize::new(1, 2), &[81, 0, 81, 0, 90, 240]);
        check_rgb(&nv12, &[[255, 0, 0], [255, 0, 0]]);
    }

    #[test]
    fn blocks_are_converted_to_the_last_bit() {
        // Every pair of colour values, each with a step of brightness that meets both ends; the
        // width leaves a rest behind its blocks.
        let width = 2 * (PAIRS * 3 + 1);
        for y in (0..=255_u8).step_by(15) {
            for u in 0..=255 {
                let row: Vec<u8> = (0..=255).flat_map(|v| [y, u, 255 - y, v]).collect();
                for yuyv in row.chunks(width * 2) {
                    let size = FrameSize::new(yuyv.len() as u32 / 2, 1);
                    let expected: Vec<u8> = yuyv
                        .chunks(4)
                        .flat_map(|p| [rgb_of_yuv(p[0], p[1], p[3]), rgb_of_yuv(p[2], p[1], p[3])])
                        .flatten()
                        .collect();
                    let rgb = frame(PixelFormat::Yuyv, size, yuyv).to_rgb().unwrap();
                    assert!(rgb.pixels() == expected, "y {y}, u {u}");
                    let plane = |from: usize| yuyv.iter().skip(from).step_by(2).copied();
                    let nv12: Vec<u8> = plane(0).chain(plane(1)).collect();
                    let rgb = frame(PixelFormat::Nv12, size, &nv12).to_rgb().unwrap();
                    assert!(rgb.pixels() == expected, "y {y}, u {u} in two planes");
                }
            }
        }
    }

    #[test]
    fn each_row_takes_its_own_colours() {
        // Rows of 20 pixels, padded; two share a row of colours, of which there are two.
        let (width, stride) = (20, 24);
        let row = |value: u8| [vec![value; width], vec![7; stride - width]].concat();
        let colours = |u, v| [[u, v].repeat(width / 2), vec![7; stride - width]].concat();
        let bytes = [row(50), row(100), row(150), colours(90, 240), colours(128, 128)].concat();
        let size = FrameSize::new(width as u32, 3);
        let pixels = PixelBuffer::from(bytes);
        let frame = Frame::builder(PixelFormat::Nv12, size, pixels).stride(stride).build().unwrap();
        let rgb = frame.to_rgb().unwrap();
        let rows = [(50, 90, 240), (100, 90, 240), (150, 128, 128)];
        for (found, (y, u, v)) in rgb.pixels().chunks(width * 3).zip(rows) {
            assert!(found.chunks(3).all(|pixel| pixel == rgb_of_yuv(y, u, v)), "{found:?}");
        }
    }

    #[test]
    fn padding_is_left_out() {
        let padded = [1, 2, 3, 99, 4, 5, 6, 99];
        let padded = Frame::builder(
            PixelFormat::Rgb,
            FrameSize::new(1, 2),
            PixelBuffer::from(padded.to_vec()),
        )
        .stride(4)
        .build()
        .unwrap();
        assert_eq!(padded.to_rgb().unwrap().pixels(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn brightness_follows_the_format() {
        let size = FrameSize::new(2, 1);
        for (format, pixels, expected) in [
            (PixelFormat::Gray, &[10, 20][..], [10, 20]),
            (PixelFormat::Yuyv, &[10, 1, 20, 1], [10, 20]),
            (PixelFormat::Nv12, &[10, 20, 1, 1], [10, 20]),
            (PixelFormat::Rgb, &[255, 255, 255, 0, 255, 0], [255, 149]),
        ] {
            assert_eq!(frame(format, size, pixels).luma().unwrap().pixels, expected, "{format:?}");
        }
    }
}
