//! A picture in memory: RGB, 8 bits a channel.

use std::time::Instant;

use keepsight_contract::{DecodeError, Frame, FrameError, FrameSize, PixelBuffer, PixelFormat};

use crate::PictureError;

/// An RGB picture: `height × width × 3` bytes, row by row from the top, no padding.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Picture {
    /// A picture over `rgb`, which holds `width × height × 3` bytes.
    ///
    /// # Errors
    /// [`PictureError::Pixels`] where it holds another number.
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, PictureError> {
        if rgb.len() as u64 != u64::from(width) * u64::from(height) * 3 {
            return Err(PictureError::Pixels { width, height, bytes: rgb.len() });
        }
        Ok(Self { width, height, rgb })
    }

    /// A picture of one colour.
    pub fn filled(width: u32, height: u32, colour: [u8; 3]) -> Self {
        let rgb = colour.repeat(width as usize * height as usize);
        Self { width, height, rgb }
    }

    /// The pixels of `frame`, decoded and converted as needed.
    ///
    /// # Errors
    /// What [`Frame::to_rgb`] says.
    pub fn from_frame(frame: &Frame) -> Result<Self, DecodeError> {
        let frame = frame.to_rgb()?;
        let FrameSize { width, height } = frame.size();
        let row_bytes = width as usize * 3;
        let rgb = if frame.stride() == row_bytes {
            frame.pixels()[..row_bytes * height as usize].to_vec()
        } else {
            let rows = frame.pixels().chunks(frame.stride()).take(height as usize);
            rows.flat_map(|row| &row[..row_bytes]).copied().collect()
        };
        Ok(Self { width, height, rgb })
    }

    /// This picture as a frame of the format RGB.
    ///
    /// # Errors
    /// [`FrameError`] for a picture without pixels.
    pub fn into_frame(self, sequence: u64, captured: Instant) -> Result<Frame, FrameError> {
        let size = self.size();
        Frame::builder(PixelFormat::Rgb, size, PixelBuffer::from(self.rgb))
            .sequence(sequence)
            .captured(captured)
            .build()
    }

    /// Width and height in pixels.
    pub fn size(&self) -> FrameSize {
        FrameSize { width: self.width, height: self.height }
    }

    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All pixels, row by row, three bytes each.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// All pixels, to be changed in place.
    pub fn rgb_mut(&mut self) -> &mut [u8] {
        &mut self.rgb
    }

    /// This picture inside one of `size`: as large as fits, in the middle, the rest black. Pixels
    /// are taken from the nearest place, not mixed.
    pub fn fitted(self, size: FrameSize) -> Self {
        if self.size() == size || self.rgb.is_empty() {
            return self;
        }
        let scale = |inside: u32, whole: u32| f64::from(inside) / f64::from(whole);
        let scale = scale(size.width, self.width).min(scale(size.height, self.height));
        let scaled = |whole: u32, most: u32| ((f64::from(whole) * scale).round() as u32).min(most);
        let (width, height) = (scaled(self.width, size.width), scaled(self.height, size.height));
        let (left, top) = ((size.width - width) / 2, (size.height - height) / 2);
        let from = |at: u32, whole: u32| (((f64::from(at) + 0.5) / scale) as u32).min(whole - 1);
        let columns: Vec<u32> = (0..width).map(|x| from(x, self.width)).collect();
        let mut fitted = Self::filled(size.width, size.height, [0; 3]);
        for y in 0..height {
            let begin = (top + y) as usize * size.width as usize + left as usize;
            let row = &mut fitted.rgb[begin * 3..][..width as usize * 3];
            let source = from(y, self.height);
            for (target, x) in row.as_chunks_mut().0.iter_mut().zip(&columns) {
                *target = self.pixel(*x, source);
            }
        }
        fitted
    }

    /// The pixels alone.
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }

    /// The colour at column `x`, row `y`.
    ///
    /// # Panics
    /// Outside the picture.
    pub fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        assert!(x < self.width && y < self.height, "({x}, {y}) is outside the picture");
        let at = (y as usize * self.width as usize + x as usize) * 3;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each pixel as the letter that its red is, a line a row.
    #[track_caller]
    fn check(rows: &[&str], width: u32, height: u32, fitted: &[&str]) {
        let rgb = rows.concat().bytes().flat_map(|letter| [letter, 0, 0]).collect();
        let picture = Picture::from_rgb(rows[0].len() as u32, rows.len() as u32, rgb).unwrap();
        let found = picture.fitted(FrameSize { width, height });
        let letter = |pixel: &[u8]| if pixel[0] == 0 { '.' } else { char::from(pixel[0]) };
        let line = |row: &[u8]| row.chunks(3).map(letter).collect::<String>();
        let lines: Vec<_> = found.rgb().chunks(width as usize * 3).map(line).collect();
        assert_eq!(lines, fitted);
    }

    #[test]
    fn a_picture_fits_whole_and_in_the_middle() {
        check(&["ab", "cd"], 2, 2, &["ab", "cd"]);
        check(&["ab", "cd"], 6, 4, &[".aabb.", ".aabb.", ".ccdd.", ".ccdd."]);
        check(&["ab", "cd"], 2, 4, &["..", "ab", "cd", ".."]);
        check(&["abcd"], 2, 3, &["..", "bd", ".."]);
        check(&["a"], 3, 3, &["aaa"; 3]);
        // So long that nothing of its height is left.
        check(&["abcdefgh"], 2, 2, &["..", ".."]);
    }
}
