use std::ops::Range;

use keepsight_contract::{Frame, FrameSize, PixelFormat};

use super::FollowError;

/// What the filters see of a frame: luma at full size, chroma at half the size, and the same
/// again at 1/2, 1/4 … of it. Parts are made when somebody looks at them. Keeps its buffers.
///
/// Luma and chroma are those of the format where it has them, else BT.601 in full range; of a
/// gray frame chroma is 128. The filters look at contrasts and hues, so the range is no matter.
#[derive(Debug, Default)]
pub(super) struct Picture {
    /// Not compressed.
    frame: Option<Frame>,
    levels: Vec<Level>,
    /// How many of them this frame has.
    level_count: usize,
}

/// One level, in tiles of which some are made.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) luma: Plane,
    /// U, V.
    pub(super) chroma: [Plane; 2],
    made: Vec<bool>,
    /// Whether some were made since somebody last asked.
    is_new: bool,
}

/// `height × width` bytes, rows without padding.
#[derive(Debug, Default)]
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) bytes: Vec<u8>,
}

/// A part of a plane.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) columns: Range<usize>,
    pub(super) rows: Range<usize>,
}

impl Picture {
    /// Takes in a frame; what was there before is gone.
    ///
    /// # Errors
    /// [`FollowError`] when the frame can't be decoded or converted; the picture is then empty.
    pub(super) fn take(&mut self, frame: &Frame) -> Result<(), FollowError> {
        self.release();
        self.level_count = 0;
        let frame = frame.decoded()?;
        let known = [PixelFormat::Yuyv, PixelFormat::Nv12, PixelFormat::Rgb, PixelFormat::Gray];
        if !known.contains(&frame.format()) {
            return Err(FollowError::Format { format: frame.format() });
        }
        let FrameSize { width, height } = frame.size();
        let (mut width, mut height) = (width as usize, height as usize);
        let (mut chroma_width, mut chroma_height) = (width.div_ceil(2), height.div_ceil(2));
        loop {
            if self.levels.len() == self.level_count {
                self.levels.push(Level::default());
            }
            let Level { luma, chroma, made, is_new } = &mut self.levels[self.level_count];
            luma.resize(width, height);
            for plane in chroma {
                plane.resize(chroma_width, chroma_height);
            }
            *is_new = false;
            made.clear();
            made.resize(width.div_ceil(TILE) * height.div_ceil(TILE), false);
            self.level_count += 1;
            if self.level_count == LEVELS_MAX || width.min(height) < 2 * LEVEL_SIDE_MIN {
                break;
            }
            // What is odd at the right and lower edge is left out.
            (width, height) = (width / 2, height / 2);
            (chroma_width, chroma_height) = (chroma_width / 2, chroma_height / 2);
        }
        self.frame = Some(frame);
        Ok(())
    }

    /// Lets go of the frame: no further part of it can be looked at.
    pub(super) fn release(&mut self) {
        self.frame = None;
    }

    /// Level `index`, each pixel of which stands for `2^index` of the frame along each axis, or
    /// the smallest there is; `part`, which lies inside of it, can be looked at.
    pub(super) fn level(&mut self, index: usize, part: &Part) -> &Level {
        let frame = self.frame.as_ref().expect("a frame was taken in and not let go of");
        make(&mut self.levels[..=index], frame, part);
        &self.levels[index]
    }

    /// Makes a part of a level, if it is not there yet.
    #[cfg(feature = "gpu")]
    pub(super) fn prepare(&mut self, index: usize, part: &Part) {
        self.level(index, part);
    }

    /// Level `index` if parts of it were made since the last time.
    #[cfg(feature = "gpu")]
    pub(super) fn news(&mut self, index: usize) -> Option<&Level> {
        let level = &mut self.levels[index];
        std::mem::take(&mut level.is_new).then_some(level)
    }

    /// A level as it is, made or not.
    #[cfg(feature = "gpu")]
    pub(super) fn planes(&self, index: usize) -> [&Plane; 3] {
        let Level { luma, chroma: [u, v], .. } = &self.levels[index];
        [luma, u, v]
    }

    /// How many levels there are; 0 before a frame was taken in.
    pub(super) fn level_count(&self) -> usize {
        self.level_count
    }

    /// Width and height of a level's luma.
    pub(super) fn level_size(&self, index: usize) -> [usize; 2] {
        let Plane { width, height, .. } = self.levels[index].luma;
        [width, height]
    }
}

/// Makes the tiles of the last of `levels` that `part` touches.
fn make(levels: &mut [Level], frame: &Frame, part: &Part) {
    let Some((level, larger)) = levels.split_last_mut() else { return };
    let across = level.luma.width.div_ceil(TILE);
    for row in part.rows.start / TILE..part.rows.end.div_ceil(TILE) {
        for column in part.columns.start / TILE..part.columns.end.div_ceil(TILE) {
            if std::mem::replace(&mut level.made[row * across + column], true) {
                continue;
            }
            level.is_new = true;
            let tile = |plane: &Plane, side: usize| {
                // What the edge leaves over belongs to the last tile.
                let range = |nth: usize, count: usize, last: bool| {
                    nth * side..if last { count } else { (nth + 1) * side }
                };
                let last_row = (row + 1) * TILE >= level.luma.height;
                Part {
                    columns: range(column, plane.width, column + 1 == across),
                    rows: range(row, plane.height, last_row),
                }
            };
            let luma = tile(&level.luma, TILE);
            let chroma = tile(&level.chroma[0], TILE / 2);
            if larger.is_empty() {
                level.convert(frame, &luma, &chroma);
                continue;
            }
            let doubled = |range: &Range<usize>| 2 * range.start..2 * range.end;
            let above = Part { columns: doubled(&luma.columns), rows: doubled(&luma.rows) };
            make(larger, frame, &above);
            let above = &larger[larger.len() - 1];
            level.luma.halve(&above.luma, &luma);
            for (plane, larger) in level.chroma.iter_mut().zip(&above.chroma) {
                plane.halve(larger, &chroma);
            }
        }
    }
}

impl Level {
    /// Fills a tile of the largest level, given in pixels of luma and of chroma.
    fn convert(&mut self, frame: &Frame, tile: &Part, chroma_tile: &Part) {
        let Self { luma, chroma: [u, v], .. } = self;
        let (stride, bytes, height) = (frame.stride(), frame.pixels(), luma.height);
        let Range { start: left, end: right } = tile.columns;
        let Range { start: chroma_left, end: chroma_right } = chroma_tile.columns;
        let format = frame.format();
        for row in tile.rows.clone() {
            let target = luma.stretch_mut(row, &tile.columns);
            let source = &bytes[row * stride..];
            match format {
                PixelFormat::Yuyv => {
                    let pairs = source[2 * left..2 * right].as_chunks::<2>().0;
                    for (luma, pair) in target.iter_mut().zip(pairs) {
                        *luma = pair[0];
                    }
                }
                PixelFormat::Rgb => {
                    let pixels = source[3 * left..3 * right].as_chunks::<3>().0;
                    for (luma, [red, green, blue]) in target.iter_mut().zip(pixels) {
                        *luma = luma_of(*red, *green, *blue);
                    }
                }
                _ => target.copy_from_slice(&source[left..right]),
            }
        }
        for row in chroma_tile.rows.clone() {
            let target_u = u.stretch_mut(row, &chroma_tile.columns);
            let target_v = v.stretch_mut(row, &chroma_tile.columns);
            let targets = target_u.iter_mut().zip(&mut *target_v);
            let upper = &bytes[2 * row * stride..];
            let lower = &bytes[(2 * row + 1).min(height - 1) * stride..];
            match format {
                PixelFormat::Yuyv => {
                    let quads =
                        |line: &'_ [u8]| 4 * chroma_left..(4 * chroma_right).min(line.len());
                    let upper = upper[quads(upper)].as_chunks::<4>().0;
                    let lower = lower[quads(lower)].as_chunks::<4>().0;
                    for ((u, v), (a, b)) in targets.zip(upper.iter().zip(lower)) {
                        *u = mean(a[1], b[1]);
                        *v = mean(a[3], b[3]);
                    }
                }
                PixelFormat::Nv12 => {
                    let chroma = &bytes[(height + row) * stride..];
                    let pairs = chroma[2 * chroma_left..2 * chroma_right].as_chunks::<2>().0;
                    for ((u, v), pair) in targets.zip(pairs) {
                        (*u, *v) = (pair[0], pair[1]);
                    }
                }
                PixelFormat::Rgb => {
                    let pixels = |line: &'_ [u8]| 3 * left..line.len().min(3 * right);
                    let (upper, lower) = (&upper[pixels(upper)], &lower[pixels(lower)]);
                    chroma_of_rgb(upper, lower, target_u, target_v);
                }
                _ => targets.for_each(|(u, v)| (*u, *v) = (128, 128)),
            }
        }
    }
}

impl Plane {
    fn resize(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.bytes.resize(width * height, 0);
    }

    pub(super) fn row(&self, index: usize) -> &[u8] {
        &self.bytes[index * self.width..][..self.width]
    }

    fn stretch_mut(&mut self, row: usize, columns: &Range<usize>) -> &mut [u8] {
        &mut self.bytes[row * self.width..][columns.clone()]
    }

    /// Each pixel of a part the mean of four.
    fn halve(&mut self, larger: &Self, part: &Part) {
        for row in part.rows.clone() {
            let pairs = |row: usize| {
                let columns = 2 * part.columns.start..2 * part.columns.end;
                larger.row(row)[columns].as_chunks::<2>().0.iter()
            };
            let pairs = pairs(2 * row).zip(pairs(2 * row + 1));
            for (target, (a, b)) in self.stretch_mut(row, &part.columns).iter_mut().zip(pairs) {
                let sum = u16::from(a[0]) + u16::from(a[1]) + u16::from(b[0]) + u16::from(b[1]);
                *target = ((sum + 2) >> 2) as u8;
            }
        }
    }
}

fn mean(a: u8, b: u8) -> u8 {
    ((u16::from(a) + u16::from(b) + 1) >> 1) as u8
}

/// U and V of two lines of pixels; where their number is odd, the last pixels count twice.
fn chroma_of_rgb(upper: &[u8], lower: &[u8], u: &mut [u8], v: &mut [u8]) {
    let (upper, upper_rest) = upper.as_chunks::<6>();
    let (lower, lower_rest) = lower.as_chunks::<6>();
    let targets = u.iter_mut().zip(&mut *v);
    for ((u, v), (a, b)) in targets.zip(upper.iter().zip(lower)) {
        (*u, *v) = chroma_of_four(a, b);
    }
    if let ([red, green, blue], [red_below, green_below, blue_below]) = (upper_rest, lower_rest) {
        let a = [*red, *green, *blue, *red, *green, *blue];
        let b = [*red_below, *green_below, *blue_below, *red_below, *green_below, *blue_below];
        let last = upper.len();
        (u[last], v[last]) = chroma_of_four(&a, &b);
    }
}

/// U and V of full range by BT.601's weights in 1/256ths, of 2 × 2 pixels.
#[inline(always)]
fn chroma_of_four(upper: &[u8; 6], lower: &[u8; 6]) -> (u8, u8) {
    let sum = |channel: usize| {
        i32::from(upper[channel])
            + i32::from(upper[3 + channel])
            + i32::from(lower[channel])
            + i32::from(lower[3 + channel])
    };
    let (red, green, blue) = (sum(0), sum(1), sum(2));
    let scaled = |sum: i32| (((sum + 512) >> 10) + 128).clamp(0, 255) as u8;
    (scaled(-43 * red - 85 * green + 128 * blue), scaled(128 * red - 107 * green - 21 * blue))
}

/// Luma of full range by BT.601's weights in 1/256ths.
fn luma_of(red: u8, green: u8, blue: u8) -> u8 {
    ((77 * u16::from(red) + 150 * u16::from(green) + 29 * u16::from(blue) + 128) >> 8) as u8
}

/// Pixels of luma of a tile along each axis.
const TILE: usize = 64;
/// No level is smaller, so that a patch has something to lie on.
const LEVEL_SIDE_MIN: usize = 16;
/// Reductions by 1, 2, 4 … 32.
pub(super) const LEVELS_MAX: usize = 6;
