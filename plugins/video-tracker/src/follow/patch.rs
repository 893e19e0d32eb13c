use super::picture::{LEVELS_MAX, Level, Part, Picture, Plane};
use super::{CHROMA_SIDE, LUMA_SIDE, PATCH_SIDE};

/// The part of a frame that a filter looks at, in the frame's pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Region {
    pub(super) center: [f32; 2],
    pub(super) size: [f32; 2],
}

/// A region, sampled: whatever its size, it is `PATCH_SIDE` samples wide and high.
#[derive(Debug)]
pub(super) struct Patch {
    /// `LUMA_SIDE²` levels of 0–255: one more than the region at each edge, for gradients.
    pub(super) luma: Box<[f32; LUMA_SIDE * LUMA_SIDE]>,
    /// U, V: `CHROMA_SIDE²` levels of 0–255.
    pub(super) chroma: Box<[[f32; CHROMA_SIDE * CHROMA_SIDE]; 2]>,
    columns: Vec<Tap>,
    blended: Vec<f32>,
}

/// Where a sample reads along one axis: between `index` and `next`, `weight` of the way.
#[derive(Clone, Copy, Debug)]
struct Tap {
    index: u32,
    next: u32,
    weight: f32,
}

impl Patch {
    pub(super) fn new() -> Self {
        Self {
            luma: Box::new([0.0; _]),
            chroma: Box::new([[0.0; _]; 2]),
            columns: Vec::with_capacity(LUMA_SIDE),
            blended: Vec::new(),
        }
    }

    /// Samples a region, of which any part may lie outside of the picture: there the pixel at
    /// its edge counts.
    pub(super) fn sample(&mut self, picture: &mut Picture, region: &Region) {
        let index = region.level().min(picture.level_count() - 1);
        let taken = region.scaled(1.0 / (1 << index) as f32);
        let part = taken.part(picture.level_size(index));
        let Level { luma, chroma, .. } = picture.level(index, &part);
        let Self { columns, blended, .. } = self;
        taken.sample(luma, 1, columns, blended, &mut self.luma[..], LUMA_SIDE);
        let halved = taken.scaled(0.5);
        for (plane, target) in chroma.iter().zip(self.chroma.iter_mut()) {
            halved.sample(plane, 0, columns, blended, &mut target[..], CHROMA_SIDE);
        }
    }
}

impl Region {
    /// The level of the picture at which a sample is one to two pixels, in the middle of both
    /// axes.
    pub(super) fn level(&self) -> usize {
        let step = self.size[0] * self.size[1] / (PATCH_SIDE * PATCH_SIDE) as f32;
        // 4, 16, 64 … are the squares of 2, 4, 8 …
        (1..LEVELS_MAX).take_while(|level| step >= (1 << (2 * level)) as f32).count()
    }

    pub(super) fn scaled(&self, factor: f32) -> Self {
        let scaled = |[x, y]: [f32; 2]| [x * factor, y * factor];
        Self { center: scaled(self.center), size: scaled(self.size) }
    }

    /// What of a picture of `size` sampling reads, chroma's neighbours included.
    pub(super) fn part(&self, size: [usize; 2]) -> Part {
        let range = |axis: usize| {
            let reach = self.size[axis] * (0.5 + 1.0 / PATCH_SIDE as f32) + 4.0;
            let last = (size[axis] - 1) as f32;
            let start = (self.center[axis] - reach).clamp(0.0, last);
            let end = (self.center[axis] + reach).clamp(0.0, last);
            start as usize..end as usize + 1
        };
        Part { columns: range(0), rows: range(1) }
    }

    /// `side²` samples, of which `margin` lie outside of the region at each edge.
    fn sample(
        &self,
        plane: &Plane,
        margin: usize,
        columns: &mut Vec<Tap>,
        blended: &mut Vec<f32>,
        target: &mut [f32],
        side: usize,
    ) {
        let inside = (side - 2 * margin) as f32;
        let position = |axis: usize, nth: usize| {
            let share = (nth as f32 - margin as f32 + 0.5) / inside - 0.5;
            self.center[axis] + share * self.size[axis] - 0.5
        };
        columns.clear();
        columns.extend((0..side).map(|nth| Tap::new(position(0, nth), plane.width)));
        let first = columns[0].index as usize;
        let last = columns[side - 1].next as usize;
        blended.clear();
        blended.resize(last + 1 - first, 0.0);
        for (nth, target) in target.chunks_exact_mut(side).enumerate() {
            let line = Tap::new(position(1, nth), plane.height);
            let upper = &plane.row(line.index as usize)[first..=last];
            let lower = &plane.row(line.next as usize)[first..=last];
            for (blended, (a, b)) in blended.iter_mut().zip(upper.iter().zip(lower)) {
                let (a, b) = (f32::from(*a), f32::from(*b));
                *blended = a + (b - a) * line.weight;
            }
            for (target, tap) in target.iter_mut().zip(&*columns) {
                let a = blended[tap.index as usize - first];
                let b = blended[tap.next as usize - first];
                *target = a + (b - a) * tap.weight;
            }
        }
    }
}

impl Tap {
    fn new(position: f32, count: usize) -> Self {
        let position = position.clamp(0.0, (count - 1) as f32);
        let index = position as u32;
        Self { index, next: (index + 1).min(count as u32 - 1), weight: position - index as f32 }
    }
}
