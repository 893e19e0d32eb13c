//! What lies behind the figures.

use keepsight_jpeg::{Picture, decode_picture};

/// A picture of the square of which each frame shows a part.
pub(crate) struct Backdrop {
    /// Pixels in a row.
    pub(crate) width: usize,
    /// Rows of `width × 3` bytes.
    pub(crate) rgb: Vec<u8>,
}

impl Backdrop {
    /// The square: scaled so that it covers `width × height` pixels, cut equally on both sides of
    /// the direction in which it is too large.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        let square = decode_picture(include_bytes!("../assets/background.jpg"))
            .expect("the bundled picture is whole");
        Self { width, rgb: cover(&square, width, height) }
    }
}

fn cover(picture: &Picture, width: usize, height: usize) -> Vec<u8> {
    let (across, down) = (picture.width() as usize, picture.height() as usize);
    // Pixels of the bundled picture per pixel of the result.
    let scale = (across as f64 / width as f64).min(down as f64 / height as f64);
    let columns = positions(across, width, scale);
    let rows = positions(down, height, scale);
    let mut rgb = Vec::with_capacity(width * height * 3);
    for &(y, below_share) in &rows {
        for &(x, right_share) in &columns {
            for channel in 0..3 {
                let at =
                    |x: usize, y: usize| u32::from(picture.rgb()[(y * across + x) * 3 + channel]);
                let above = at(x, y) * (256 - right_share) + at(x + 1, y) * right_share;
                let below = at(x, y + 1) * (256 - right_share) + at(x + 1, y + 1) * right_share;
                let mixed = above * (256 - below_share) + below * below_share;
                rgb.push(((mixed + (1 << 15)) >> 16) as u8);
            }
        }
    }
    rgb
}

/// For each of `count` pixels, the pixel of `extent` left of it and the share, in 256ths, of the
/// one right of it.
fn positions(extent: usize, count: usize, scale: f64) -> Vec<(usize, u32)> {
    let margin = (extent as f64 - count as f64 * scale) / 2.0;
    let position = |nth: usize| {
        let at = (margin + (nth as f64 + 0.5) * scale - 0.5).clamp(0.0, extent as f64 - 1.001);
        (at as usize, (at.fract() * 256.0) as u32)
    };
    (0..count).map(position).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_covered_and_keeps_its_proportions() {
        let mut picture = Picture::filled(60, 40, [0; 3]);
        for (at, pixel) in picture.rgb_mut().chunks_exact_mut(3).enumerate() {
            pixel.copy_from_slice(&[(at % 60 * 4) as u8, (at / 60 * 4) as u8, 0]);
        }
        for (width, height) in [(60, 40), (120, 80), (40, 40), (30, 10), (600, 40)] {
            let rgb = cover(&picture, width, height);
            assert_eq!(rgb.len(), width * height * 3);
            let middle = (height / 2 * width + width / 2) * 3;
            let found = [rgb[middle], rgb[middle + 1]];
            let near = found[0].abs_diff(118) <= 4 && found[1].abs_diff(78) <= 4;
            assert!(near, "{width}x{height}: the middle stays the middle, {found:?}");
            let step = f64::from(rgb[middle + 3]) - f64::from(rgb[middle]);
            let step_down = f64::from(rgb[middle + width * 3 + 1]) - f64::from(rgb[middle + 1]);
            assert!((step - step_down).abs() <= 2.0, "{width}x{height}: {step}, {step_down}");
        }
    }
}
