//! The figures: pictures with transparency, in several sizes.

use std::collections::BTreeMap;

use keepsight_jpeg::decode_picture;

use crate::settings::Figures;
use crate::textures;
use crate::world::Figure;

/// A figure to draw.
pub(crate) struct Sprite {
    /// What a detector calls it.
    pub(crate) class: &'static str,
    /// Each half the size of the one before.
    levels: Vec<Level>,
}

/// A picture with transparency.
pub(crate) struct Level {
    /// Columns and rows, without the margin.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// `(height + 2) × (width + 2)` [`Texel`]s. One transparent pixel surrounds the picture, so
    /// that its edges blend.
    pub(crate) texels: Vec<Texel>,
    /// Of each row of those, the first that is not transparent and one after the last.
    pub(crate) rows: Vec<[u32; 2]>,
    /// Pixels that are more than half opaque.
    pub(crate) solid: u32,
}

/// Red, green, blue, already multiplied by their opacity, and the opacity, from the lowest bits
/// up, each in 16 bits of which it uses 8: so all four are scaled by one multiplication.
pub(crate) type Texel = u64;

/// The sprites of the figures that a scene can show.
pub(crate) struct Sprites(BTreeMap<Figure, Sprite>);

impl Sprites {
    /// Those of `figures`, as large as figures of `height` pixels need.
    pub(crate) fn of(figures: Figures, height: f64) -> Self {
        let sprite = |figure| (figure, Sprite::of(figure).trimmed(height));
        Self(figures.all().iter().copied().map(sprite).collect())
    }

    pub(crate) fn sprite(&self, figure: Figure) -> &Sprite {
        self.0.get(&figure).expect("a world shows figures of its own kind")
    }
}

impl Sprite {
    fn of(figure: Figure) -> Self {
        let (class, picture, mask): (_, &[u8], &[u8]) = match figure {
            Figure::Astronaut => (
                "person",
                include_bytes!("../assets/astronaut.jpg"),
                include_bytes!("../assets/astronaut.mask.png"),
            ),
            Figure::Admiral => (
                "person",
                include_bytes!("../assets/admiral.jpg"),
                include_bytes!("../assets/admiral.mask.png"),
            ),
            Figure::Cameraman => (
                "person",
                include_bytes!("../assets/cameraman.jpg"),
                include_bytes!("../assets/cameraman.mask.png"),
            ),
            Figure::Cat => (
                "cat",
                include_bytes!("../assets/cat.jpg"),
                include_bytes!("../assets/cat.mask.png"),
            ),
            Figure::Disc => return Self::of_levels("shape", textures::disc()),
            Figure::Card => return Self::of_levels("shape", textures::card()),
        };
        Self::load(class, picture, mask)
    }

    /// Without the levels that are larger than figures of `height` pixels need.
    fn trimmed(mut self, height: f64) -> Self {
        let enough = self.levels.iter().rposition(|level| f64::from(level.height) >= height);
        self.levels.drain(..enough.unwrap_or(0));
        self
    }

    /// The smallest level that need not be enlarged to stand `height` pixels high, or the largest
    /// there is.
    pub(crate) fn level_for(&self, height: f64) -> &Level {
        let fitting = self.levels.iter().rev().find(|level| f64::from(level.height) >= height);
        fitting.unwrap_or(&self.levels[0])
    }

    fn load(class: &'static str, picture: &[u8], mask: &[u8]) -> Self {
        let picture = decode_picture(picture).expect("the bundled picture is whole");
        let mask = decode_picture(mask).expect("the bundled mask is whole");
        assert_eq!(picture.size(), mask.size(), "a bundled mask fits its picture");
        let pixels = picture.rgb().chunks_exact(3).zip(mask.rgb().chunks_exact(3));
        let texels = pixels.map(|(rgb, mask)| {
            let opacity = u32::from(mask[0]);
            let scaled = |channel: u8| (u32::from(channel) * opacity + 127) / 255;
            texel([scaled(rgb[0]), scaled(rgb[1]), scaled(rgb[2]), opacity])
        });
        let texels: Vec<Texel> = texels.collect();
        Self::of_levels(class, Level::new(picture.width(), picture.height(), &texels))
    }

    fn of_levels(class: &'static str, largest: Level) -> Self {
        let mut levels = vec![largest];
        while let Some(smaller) = levels.last().and_then(Level::halved) {
            levels.push(smaller);
        }
        Self { class, levels }
    }
}

impl Level {
    /// A level of `height × width` texels.
    pub(crate) fn new(width: u32, height: u32, texels: &[Texel]) -> Self {
        let stride = width as usize + 2;
        let mut padded = vec![0; stride * (height as usize + 2)];
        for (y, row) in texels.chunks_exact(width as usize).enumerate() {
            let start = (y + 1) * stride + 1;
            padded[start..start + width as usize].copy_from_slice(row);
        }
        let opaque = |texel: &Texel| *texel != 0;
        let ends = |row: &[Texel]| match row.iter().position(opaque) {
            Some(first) => {
                let last = row.iter().rposition(opaque).expect("one is not transparent");
                [first as u32, last as u32 + 1]
            }
            None => [u32::MAX, 0],
        };
        let rows = padded.chunks_exact(stride).map(ends).collect();
        let solid = texels.iter().filter(|texel| **texel >> 48 >= 128).count() as u32;
        Self { width, height, texels: padded, rows, solid }
    }

    /// Half the size, each pixel the mean of four; `None` once that is too small to be seen.
    fn halved(&self) -> Option<Self> {
        let (width, height) = (self.width / 2, self.height / 2);
        if height < 20 {
            return None;
        }
        let stride = self.width as usize + 2;
        let mut texels = Vec::with_capacity((width * height) as usize);
        for y in 0..height as usize {
            for x in 0..width as usize {
                let at = (2 * y + 1) * stride + 2 * x + 1;
                let four = [at, at + 1, at + stride, at + stride + 1].map(|at| self.texels[at]);
                let sum = four.iter().sum::<Texel>() + 0x0002_0002_0002_0002;
                texels.push(sum >> 2 & LOW_BYTES);
            }
        }
        Some(Self::new(width, height, &texels))
    }
}

/// A texel of four values of 0–255.
pub(crate) fn texel(values: [u32; 4]) -> Texel {
    values.iter().rev().fold(0, |texel, value| texel << 16 | Texel::from(*value))
}

/// The bits that a texel's values use.
pub(crate) const LOW_BYTES: Texel = 0x00ff_00ff_00ff_00ff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_a_shape_of_their_own() {
        for sprite in Figures::Mixed.all().iter().copied().map(Sprite::of) {
            let largest = &sprite.levels[0];
            let share = f64::from(largest.solid) / f64::from(largest.width * largest.height);
            assert!((0.4..=1.0).contains(&share), "{}: {share} is solid", sprite.class);
            for level in &sprite.levels {
                let premultiplied = level.texels.iter().all(|texel| {
                    (0..3).all(|channel| texel >> (channel * 16) & 255 <= texel >> 48)
                });
                assert!(premultiplied, "no channel is stronger than its opacity");
                assert!(level.texels.iter().all(|texel| texel & !LOW_BYTES == 0));
            }
        }
    }

    #[test]
    fn the_level_is_the_smallest_that_is_large_enough() {
        let sprite = Sprite::of(Figure::Astronaut);
        let full = sprite.levels[0].height;
        assert_eq!(sprite.level_for(f64::from(full) * 3.0).height, full);
        assert_eq!(sprite.level_for(f64::from(full) * 0.7).height, full);
        assert_eq!(sprite.level_for(f64::from(full) * 0.45).height, full / 2);
        assert_eq!(sprite.level_for(1.0).height, sprite.levels.last().unwrap().height);
    }

    #[test]
    fn what_no_figure_needs_is_not_kept() {
        let whole = Sprite::of(Figure::Disc);
        let full = whole.levels[0].height;
        let trimmed = Sprite::of(Figure::Disc).trimmed(f64::from(full) * 0.3);
        assert_eq!(trimmed.levels.len(), whole.levels.len() - 1);
        for share in [0.01, 0.1, 0.2, 0.3] {
            let height = f64::from(full) * share;
            assert_eq!(trimmed.level_for(height).height, whole.level_for(height).height);
        }
        assert_eq!(Sprite::of(Figure::Disc).trimmed(9e9).levels[0].height, full);

        let shown = |figures| Sprites::of(figures, 100.0).0.into_keys().collect::<Vec<_>>();
        assert_eq!(shown(Figures::Shapes), [Figure::Disc, Figure::Card]);
        assert_eq!(shown(Figures::Photographs).len() + 2, shown(Figures::Mixed).len());
    }
}
