//! Lines, filled areas and letters on a picture; what lies outside it is left out.

use super::font::{GLYPH_ADVANCE, GLYPH_WIDTH, LINE_HEIGHT, descent, glyph};
use crate::Picture;

/// Draws into a picture. Coordinates are pixels from the top left corner and may lie anywhere.
pub(super) struct Canvas<'a> {
    picture: &'a mut Picture,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(picture: &'a mut Picture) -> Self {
        Self { picture }
    }

    pub(super) fn width(&self) -> i32 {
        self.picture.width() as i32
    }

    pub(super) fn height(&self) -> i32 {
        self.picture.height() as i32
    }

    /// Fills columns `left..right` of rows `top..bottom`; `opacity` 0–255 of `colour` over what
    /// is there.
    pub(super) fn fill(
        &mut self,
        [left, top, right, bottom]: [i32; 4],
        colour: [u8; 3],
        opacity: u8,
    ) {
        let (left, right) = (left.clamp(0, self.width()), right.clamp(0, self.width()));
        let (top, bottom) = (top.clamp(0, self.height()), bottom.clamp(0, self.height()));
        if left >= right {
            return;
        }
        let row_bytes = self.picture.width() as usize * 3;
        for y in top..bottom {
            let row = y as usize * row_bytes;
            let pixels =
                &mut self.picture.rgb_mut()[row + left as usize * 3..row + right as usize * 3];
            for pixel in pixels.chunks_exact_mut(3) {
                blend(pixel, colour, opacity);
            }
        }
    }

    /// The outline of a box, `thickness` pixels wide, drawn inwards from its edges.
    pub(super) fn outline(
        &mut self,
        [left, top, right, bottom]: [i32; 4],
        thickness: i32,
        colour: [u8; 3],
    ) {
        // A box that is thinner than two lines is filled instead, so that lines never cross.
        let across = thickness.min((right - left).max(0)).min((bottom - top).max(0));
        self.fill([left, top, right, top + across], colour, 255);
        self.fill([left, bottom - across, right, bottom], colour, 255);
        self.fill([left, top + across, left + across, bottom - across], colour, 255);
        self.fill([right - across, top + across, right, bottom - across], colour, 255);
    }

    /// A straight line, `thickness` pixels wide.
    pub(super) fn line(&mut self, from: [f32; 2], to: [f32; 2], thickness: i32, colour: [u8; 3]) {
        let Some([from, to]) = self.clip(from, to, thickness as f32) else { return };
        let steps = (to[0] - from[0]).abs().max((to[1] - from[1]).abs()).ceil().max(1.0);
        for step in 0..=steps as i32 {
            let share = step as f32 / steps;
            let x = (from[0] + (to[0] - from[0]) * share).round() as i32 - thickness / 2;
            let y = (from[1] + (to[1] - from[1]) * share).round() as i32 - thickness / 2;
            self.fill([x, y, x + thickness, y + thickness], colour, 255);
        }
    }

    /// One line of text with its upper left corner at (`x`, `y`), each of the font's pixels
    /// `scale` pixels wide and high.
    pub(super) fn text(&mut self, x: i32, y: i32, text: &str, scale: i32, colour: [u8; 3]) {
        for (nth, letter) in text.chars().take(TEXT_LETTERS_MAX).enumerate() {
            let left = x.saturating_add(nth as i32 * GLYPH_ADVANCE as i32 * scale);
            for (row, bits) in (descent(letter)..).zip(glyph(letter)) {
                for column in 0..GLYPH_WIDTH as i32 {
                    if bits >> (GLYPH_WIDTH as i32 - 1 - column) & 1 == 1 {
                        let px = left.saturating_add(column * scale);
                        let py = y.saturating_add(row as i32 * scale);
                        let corners = [px, py, px.saturating_add(scale), py.saturating_add(scale)];
                        self.fill(corners, colour, 255);
                    }
                }
            }
        }
    }

    /// The part of a line that can be seen, by Liang and Barsky's parameters ("A New Concept and
    /// Method for Line Clipping", 1984); `None` where nothing can.
    fn clip(&self, from: [f32; 2], to: [f32; 2], margin: f32) -> Option<[[f32; 2]; 2]> {
        if !from.iter().chain(&to).all(|coordinate| coordinate.is_finite()) {
            return None;
        }
        let (mut enter, mut leave) = (0.0f32, 1.0f32);
        for (axis, extent) in [(0, self.width()), (1, self.height())] {
            let step = to[axis] - from[axis];
            let near = -margin - from[axis];
            let far = extent as f32 + margin - from[axis];
            if step == 0.0 {
                if near > 0.0 || far < 0.0 {
                    return None;
                }
                continue;
            }
            let (first, last) = if step > 0.0 { (near, far) } else { (far, near) };
            enter = enter.max(first / step);
            leave = leave.min(last / step);
        }
        let at = |share: f32| [0, 1].map(|axis| from[axis] + (to[axis] - from[axis]) * share);
        (enter <= leave).then(|| [at(enter), at(leave)])
    }
}

/// Width and height in pixels of a line of text at `scale`.
pub(super) fn text_extent(text: &str, scale: i32) -> [i32; 2] {
    let letters = text.chars().take(TEXT_LETTERS_MAX).count() as i32;
    let width = (letters * GLYPH_ADVANCE as i32 - 1).max(0) * scale;
    [width, LINE_HEIGHT as i32 * scale]
}

fn blend(pixel: &mut [u8], colour: [u8; 3], opacity: u8) {
    for (below, above) in pixel.iter_mut().zip(colour) {
        let mixed =
            u32::from(*below) * u32::from(255 - opacity) + u32::from(above) * u32::from(opacity);
        *below = ((mixed + 127) / 255) as u8;
    }
}

/// Longer labels are cut: no label is worth more than a picture's width.
const TEXT_LETTERS_MAX: usize = 96;
