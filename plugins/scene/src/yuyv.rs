//! RGB to YUYV, the format that most cameras give.

/// Packed 4:2:2, BT.601 in limited range: bytes Y0 U Y1 V for two pixels, whose colours are
/// averaged. Weights in 256ths, as ITU-R BT.601 gives them for 8 bits.
pub(crate) fn yuyv_from_rgb(rgb: &[u8]) -> Vec<u8> {
    let mut yuyv = vec![0; rgb.len() / 3 * 2];
    for (pair, out) in rgb.as_chunks::<6>().0.iter().zip(yuyv.as_chunks_mut::<4>().0) {
        let [r0, g0, b0, r1, g1, b1] = pair.map(i32::from);
        let luma = |r: i32, g: i32, b: i32| ((66 * r + 129 * g + 25 * b + 128) >> 8) + 16;
        let (r, g, b) = (r0 + r1, g0 + g1, b0 + b1);
        let u = ((-38 * r - 74 * g + 112 * b + 256) >> 9) + 128;
        let v = ((112 * r - 94 * g - 18 * b + 256) >> 9) + 128;
        *out = [luma(r0, g0, b0) as u8, u as u8, luma(r1, g1, b1) as u8, v as u8];
    }
    yuyv
}

#[cfg(test)]
mod tests {
    use keepsight_contract::{Frame, FrameSize, PixelBuffer, PixelFormat};

    use super::*;

    #[test]
    fn colours_survive_the_way_there_and_back() {
        let colours: Vec<[u8; 3]> =
            (0..512).map(|n| [n % 8, n / 8 % 8, n / 64].map(|c| (c * 36) as u8)).collect();
        let rgb: Vec<u8> = colours.iter().flat_map(|colour| [*colour, *colour]).flatten().collect();
        let size = FrameSize::new(1024, 1);
        let frame = Frame::builder(PixelFormat::Yuyv, size, PixelBuffer::from(yuyv_from_rgb(&rgb)))
            .build()
            .unwrap();
        let back = frame.to_rgb().unwrap();
        let worst = back.pixels().iter().zip(&rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 4, "off by {worst}");
    }

    #[test]
    fn white_and_black_are_in_limited_range() {
        assert_eq!(yuyv_from_rgb(&[255, 255, 255, 0, 0, 0]), [235, 128, 16, 128]);
    }
}
