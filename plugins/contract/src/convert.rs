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
            let (blocks, rest) = source[..target.len() / 3 * 2].as_chunks::<YUYV_BLOCK>();
            let (targets, target_rest) = target.as_chunks_mut::<RGB_BLOCK>();
            for (block, rgb) in blocks.iter().zip(targets) {
                *rgb = rgb_of_yuyv_block(block);
            }
            for (pair, rgb) in rest.chunks_exact(4).zip(target_rest.chunks_exact_mut(6)) {
                rgb[..3].copy_from_slice(&rgb_of_yuv(pair[0], pair[1], pair[3]));
                rgb[3..].copy_from_slice(&rgb_of_yuv(pair[2], pair[1], pair[3]));
            }
        }
        PixelFormat::Nv12 => {
            let chroma_start = (frame.size().height as usize + row / 2) * stride;
            let chroma = &frame.pixels()[chroma_start..];
            for (column, rgb) in target.chunks_exact_mut(3).enumerate() {
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
const YUYV_BLOCK: usize = PAIRS * 4;
const RGB_BLOCK: usize = PAIRS * 6;

/// [`rgb_of_yuv`] for [`PAIRS`] pairs, in a shape that the compiler makes vector instructions of.
///
/// The same sums to the last bit, in 16 bits: the whole multiples of 256 in the factors
/// (298 = 256 + 42, 409 = 256 + 153, −208 = 48 − 256, 516 = 512 + 4) are added after the shift,
/// and what is left stays within ±29,600.
fn rgb_of_yuyv_block(block: &[u8; YUYV_BLOCK]) -> [u8; RGB_BLOCK] {
    let (mut first, mut second) = ([[0; PAIRS]; 3], [[0; PAIRS]; 3]);
    for (pair, yuyv) in block.as_chunks::<4>().0.iter().enumerate() {
        let [y0, u, y1, v] = yuyv.map(i16::from);
        let (u, v) = (u - 128, v - 128);
        for (channels, y) in [(&mut first, y0 - 16), (&mut second, y1 - 16)] {
            let fine = 42 * y + 128;
            let red = y + v + ((fine + 153 * v) >> 8);
            let green = y - v + ((fine - 100 * u + 48 * v) >> 8);
            let blue = y + 2 * u + ((fine + 4 * u) >> 8);
            channels[0][pair] = red.clamp(0, 255);
            channels[1][pair] = green.clamp(0, 255);
            channels[2][pair] = blue.clamp(0, 255);
        }
    }
    let mut rgb = [0; RGB_BLOCK];
    for (pair, rgb) in rgb.as_chunks_mut::<6>().0.iter_mut().enumerate() {
        for channel in 0..3 {
            rgb[channel] = first[channel][pair] as u8;
            rgb[channel + 3] = second[channel][pair] as u8;
        }
    }
    rgb
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
    fn blocks_of_yuyv_are_converted_to_the_last_bit() {
        // Every pair of colour values, each with a step of brightness that meets both ends; the
        // width leaves a rest behind its blocks.
        let size = FrameSize::new(2 * (PAIRS as u32 * 3 + 1), 1);
        for y in (0..=255_u8).step_by(15) {
            for u in 0..=255 {
                let row: Vec<u8> = (0..=255).flat_map(|v| [y, u, 255 - y, v]).collect();
                for part in row.chunks(size.width as usize * 2) {
                    let part_size = FrameSize::new(part.len() as u32 / 2, 1);
                    let expected: Vec<u8> = part
                        .chunks(4)
                        .flat_map(|p| [rgb_of_yuv(p[0], p[1], p[3]), rgb_of_yuv(p[2], p[1], p[3])])
                        .flatten()
                        .collect();
                    let rgb = frame(PixelFormat::Yuyv, part_size, part).to_rgb().unwrap();
                    assert!(rgb.pixels() == expected, "y {y}, u {u}");
                }
            }
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
