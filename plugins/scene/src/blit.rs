//! Draws a figure, turned and scaled, and counts what of it can be seen.

use crate::background::Backdrop;
use crate::random::{cosine, sine};
use crate::sprite::{LOW_BYTES, Level, Texel};

/// A picture being drawn, and which object each of its pixels shows.
pub(crate) struct Layers {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// `height × width × 3`.
    pub(crate) rgb: Vec<u8>,
    /// `height × width`: one more than the object's place in `seen`, 0 for the background.
    owners: Vec<u8>,
    seen: Vec<Seen>,
}

/// What was drawn of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// First column and row and one after the last of its pixels, before others hide some.
    pub(crate) edges: [usize; 4],
    /// Pixels within the picture, hidden ones included.
    pub(crate) drawn: u32,
    /// Pixels that nothing hides.
    pub(crate) visible: u32,
}

/// Where a figure goes, in pixels.
pub(crate) struct Placement {
    /// The middle of its lower edge.
    pub(crate) foot: [f64; 2],
    /// Pixels of the picture per pixel of the level.
    pub(crate) scale: f64,
    /// Clockwise, in turns.
    pub(crate) tilt: f64,
    pub(crate) mirrored: bool,
    /// Red, green and blue in 256ths, each at most 256.
    pub(crate) light: [u32; 3],
}

impl Layers {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            rgb: vec![0; width * height * 3],
            owners: vec![0; width * height],
            seen: Vec::new(),
        }
    }

    /// Begins a picture: a part of the backdrop whose first pixel lies at `corner`, and nobody
    /// there.
    pub(crate) fn begin(&mut self, backdrop: &Backdrop, corner: [usize; 2]) {
        let [left, top] = corner;
        let rows = backdrop.rgb.chunks_exact(backdrop.width * 3).skip(top);
        for (row, from) in self.rgb.chunks_exact_mut(self.width * 3).zip(rows) {
            row.copy_from_slice(&from[left * 3..(left + self.width) * 3]);
        }
        self.owners.fill(0);
        self.seen.clear();
    }

    /// What was drawn, in the order in which it was.
    pub(crate) fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Darkens the ground around a foot: an ellipse, darkest in its middle. Radii in pixels.
    pub(crate) fn shade(&mut self, [x, y]: [f64; 2], [across, along]: [f64; 2]) {
        let rows = clipped(y - along, y + along, self.height);
        let columns = clipped(x - across, x + across, self.width);
        for row in rows {
            let dy = (row as f64 + 0.5 - y) / along;
            let start = (row * self.width + columns.start) * 3;
            let pixels = &mut self.rgb[start..start + columns.len() * 3];
            for (pixel, column) in pixels.chunks_exact_mut(3).zip(columns.clone()) {
                let dx = (column as f64 + 0.5 - x) / across;
                let depth = 1.0 - dx * dx - dy * dy;
                if depth > 0.0 {
                    let light = 256 - (depth * 120.0) as u32;
                    for channel in pixel {
                        *channel = ((u32::from(*channel) * light) >> 8) as u8;
                    }
                }
            }
        }
    }

    /// Draws a figure over what is there.
    ///
    /// Coordinates in the figure are kept in 1/65536 of its pixels and step evenly along a row;
    /// the colour between pixels is interpolated in both directions.
    pub(crate) fn draw(&mut self, level: &Level, place: &Placement) {
        let owner = self.seen.len() as u8 + 1;
        let mut seen = Seen { edges: [self.width, self.height, 0, 0], drawn: 0, visible: 0 };

        // From the picture into the figure: undo the place, turn back, undo the scale.
        let (cos, sin) = (cosine(place.tilt) / place.scale, sine(place.tilt) / place.scale);
        let flip = if place.mirrored { -1.0 } else { 1.0 };
        let [foot_x, foot_y] = place.foot;
        let u_at = |x: f64, y: f64| {
            flip * (cos * (x - foot_x) + sin * (y - foot_y)) + f64::from(level.width) / 2.0
        };
        let v_at =
            |x: f64, y: f64| -sin * (x - foot_x) + cos * (y - foot_y) + f64::from(level.height);
        let fixed = |value: f64| (value * 65536.0).round() as i64;
        let (u_step, v_step) = (fixed(flip * cos), fixed(-sin));
        let stride = level.width as usize + 2;
        let (u_end, v_end) = (i64::from(level.width + 1) << 16, i64::from(level.height + 1) << 16);

        // No corner is farther from the foot than the figure's diagonal.
        let reach = f64::from(level.width.pow(2) + level.height.pow(2)).sqrt() * place.scale + 2.0;
        for y in clipped(foot_y - reach, foot_y + reach, self.height) {
            // The margin adds one pixel, the middle of a pixel takes half a one away.
            let u_start = fixed(u_at(0.5, y as f64 + 0.5) + 0.5);
            let v_start = fixed(v_at(0.5, y as f64 + 0.5) + 0.5);
            let (from_u, to_u) = span(u_start, u_step, u_end);
            let (from_v, to_v) = span(v_start, v_step, v_end);
            let from = from_u.max(from_v).max(0);
            let to = to_u.min(to_v).min(self.width as i64);
            if from >= to {
                continue;
            }
            // Of the rows of the figure that are crossed, only what is not transparent.
            let ends = [v_start + from * v_step, v_start + (to - 1) * v_step].map(|v| v >> 16);
            let crossed = ends[0].min(ends[1]) as usize..=ends[0].max(ends[1]) as usize + 1;
            let there = level.rows[crossed].iter();
            let [first, last] = there
                .fold([u32::MAX, 0], |[first, last], row| [first.min(row[0]), last.max(row[1])]);
            let (low, high) = ((i64::from(first) - 1) << 16, i64::from(last) << 16);
            let (from_u, to_u) = span(u_start - low, u_step, high - low);
            let (from, to) = (from.max(from_u), to.min(to_u));
            if first >= last || from >= to {
                continue;
            }
            let (mut u, mut v) = (u_start + from * u_step, v_start + from * v_step);
            let start = y * self.width;
            let columns = from as usize..to as usize;
            let pixels = &mut self.rgb[(start + columns.start) * 3..(start + columns.end) * 3];
            let owners = &mut self.owners[start + columns.start..start + columns.end];
            let (mut first, mut last) = (usize::MAX, 0);
            for (nth, (pixel, now)) in
                pixels.as_chunks_mut::<3>().0.iter_mut().zip(owners).enumerate()
            {
                let at = (v >> 16) as usize * stride + (u >> 16) as usize;
                let above = &level.texels[at..at + 2];
                let below = &level.texels[at + stride..at + stride + 2];
                let (across, down) = ((u >> 8 & 255) as Texel, (v >> 8 & 255) as Texel);
                u += u_step;
                v += v_step;
                if above[0] | above[1] | below[0] | below[1] == 0 {
                    continue;
                }
                let texel =
                    mix(mix(above[0], above[1], across), mix(below[0], below[1], across), down);
                let lit = |channel: usize| {
                    (((texel >> (16 * channel)) as u32 & 255) * place.light[channel]) >> 8
                };
                let opacity = (texel >> 48) as u32;
                if opacity == 255 {
                    // Most of a figure: nothing of what is under it can be seen.
                    *pixel = [lit(0) as u8, lit(1) as u8, lit(2) as u8];
                } else {
                    let rest = 256 - opacity - (opacity >> 7);
                    for (channel, value) in pixel.iter_mut().enumerate() {
                        let under = (u32::from(*value) * rest) >> 8;
                        *value = (under + lit(channel)).min(255) as u8;
                    }
                }
                if opacity >= 128 {
                    if *now > 0 {
                        self.seen[usize::from(*now) - 1].visible -= 1;
                    }
                    *now = owner;
                    seen.drawn += 1;
                    first = first.min(nth);
                    last = nth;
                }
            }
            if first <= last {
                let [left, top, right, bottom] = seen.edges;
                seen.edges = [
                    left.min(columns.start + first),
                    top.min(y),
                    right.max(columns.start + last + 1),
                    bottom.max(y + 1),
                ];
            }
        }
        seen.visible = seen.drawn;
        self.seen.push(seen);
    }
}

/// Rows or columns `low..high`, as far as they lie in `0..extent`.
fn clipped(low: f64, high: f64, extent: usize) -> std::ops::Range<usize> {
    let low = low.floor().clamp(0.0, extent as f64) as usize;
    let high = high.ceil().clamp(0.0, extent as f64) as usize;
    low..high.max(low)
}

/// The first `n` and the one after the last for which `start + n × step` lies in `0..end`.
fn span(start: i64, step: i64, end: i64) -> (i64, i64) {
    let ceil_div = |a: i64, b: i64| a.div_euclid(b) + i64::from(a.rem_euclid(b) > 0);
    match step {
        0 if (0..end).contains(&start) => (i64::MIN, i64::MAX),
        0 => (0, 0),
        1.. => (ceil_div(-start, step), ceil_div(end - start, step)),
        // start - n × |step| < end and ≥ 0.
        _ => ((start - end).div_euclid(-step) + 1, start.div_euclid(-step) + 1),
    }
}

/// Two texels mixed: `share` 256ths of `b`.
///
/// It is `a × (256 - share) + b × share`, with one multiplication instead of two. What the
/// difference borrows from a higher value, the sum gives back: each ends below 65,536.
fn mix(a: Texel, b: Texel, share: Texel) -> Texel {
    (a << 8).wrapping_add(b.wrapping_sub(a).wrapping_mul(share)) >> 8 & LOW_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sprite::texel;

    /// A fully opaque white block.
    fn block(width: u32, height: u32) -> Level {
        Level::new(width, height, &vec![LOW_BYTES; (width * height) as usize])
    }

    fn upright(x: f64, y: f64) -> Placement {
        Placement { foot: [x, y], scale: 1.0, tilt: 0.0, mirrored: false, light: [256; 3] }
    }

    #[test]
    fn an_upright_figure_covers_its_pixels_exactly() {
        let mut layers = Layers::new(40, 30);
        layers.draw(&block(10, 8), &upright(20.0, 25.0));
        let seen = layers.seen()[0];
        assert_eq!(seen.edges, [15, 17, 25, 25]);
        assert_eq!((seen.drawn, seen.visible), (80, 80));
        let white = layers.rgb.chunks(3).filter(|pixel| *pixel == [255; 3]).count();
        assert_eq!(white, 80);
    }

    #[test]
    fn mirrored_and_turned_a_block_is_still_where_it_was() {
        for (tilt, edges) in
            [(0.0, [15, 17, 25, 25]), (0.5, [15, 25, 25, 33]), (0.25, [20, 20, 28, 30])]
        {
            for mirrored in [false, true] {
                let mut layers = Layers::new(40, 40);
                layers.draw(&block(10, 8), &Placement { tilt, mirrored, ..upright(20.0, 25.0) });
                let found = layers.seen()[0].edges;
                let near =
                    found.iter().zip(edges).all(|(a, b): (&usize, usize)| a.abs_diff(b) <= 1);
                assert!(near, "{tilt} turns, mirrored {mirrored}: {found:?}");
            }
        }
    }

    #[test]
    fn what_is_hidden_is_counted() {
        let mut layers = Layers::new(40, 30);
        layers.draw(&block(10, 8), &upright(20.0, 25.0));
        layers.draw(&block(10, 8), &upright(25.0, 25.0));
        layers.draw(&block(4, 4), &upright(25.0, 25.0));
        let visible: Vec<u32> = layers.seen().iter().map(|seen| seen.visible).collect();
        assert_eq!(visible, [40, 80 - 16, 16]);
        layers.begin(&Backdrop { width: 40, rgb: vec![9; 40 * 30 * 3] }, [0, 0]);
        assert!(layers.seen().is_empty() && layers.owners.iter().all(|owner| *owner == 0));
    }

    #[test]
    fn beyond_the_edge_nothing_is_drawn() {
        let mut layers = Layers::new(40, 30);
        layers.draw(&block(10, 8), &upright(0.0, 4.0));
        let cut = layers.seen()[0];
        assert_eq!((cut.edges, cut.drawn), ([0, 0, 5, 4], 20));
        layers.draw(&block(10, 8), &upright(-500.0, 1e9));
        assert_eq!(layers.seen()[1].drawn, 0);
    }

    #[test]
    fn spans_hold_exactly_what_lies_inside() {
        for start in -30..30 {
            for step in -7..=7 {
                let (from, to) = span(start, step, 20);
                for n in -60..60 {
                    let inside = (0..20).contains(&(start + n * step));
                    assert_eq!(inside, n >= from && n < to, "{start} + {n} × {step}");
                }
            }
        }
    }

    #[test]
    fn mixing_is_between_its_colours() {
        let (a, b) = (texel([0x80, 0, 0xff, 0x10]), texel([0, 0x80, 0, 0x20]));
        assert_eq!(mix(a, b, 0), a);
        assert_eq!(mix(a, b, 128), texel([0x40, 0x40, 0x7f, 0x18]));
        assert_eq!(mix(LOW_BYTES, LOW_BYTES, 77), LOW_BYTES);
    }
}
