/// Where one output element reads along one axis: between `index` and the pixel
/// after it, `weight / 256` of the way.
///
/// A table of these is what the CPU path and the kernel share, so that both
/// read the very same pixels with the very same weights. The weight is 0 at the
/// last pixel, which has none after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tap {
    pub(super) index: u32,
    /// 0–255.
    pub(super) weight: u32,
}

impl Tap {
    /// The tap in one number, as the kernel reads it: position × 256.
    #[cfg(any(feature = "gpu", test))]
    pub(super) fn packed(self) -> u32 {
        self.index << 8 | self.weight
    }

    /// The same place in a plane of half as many samples, each of which stands
    /// for two pixels: between two pixels of one sample nothing is to be
    /// blended.
    pub(super) fn halved(self) -> Self {
        let weight = if self.index.is_multiple_of(2) { 0 } else { self.weight };
        Self { index: self.index / 2, weight }
    }
}

/// The taps that scale `source` pixels to `content` elements, pixel centres on
/// pixel centres: element `i` reads at `(i + ½) · source / content − ½`,
/// rounded to 1/256 pixel and clamped to the picture.
pub(super) fn taps(source: u32, content: u32) -> Vec<Tap> {
    let (source, content) = (i64::from(source), i64::from(content));
    (0..content)
        .map(|i| {
            let doubled = ((2 * i + 1) * source - content) * 256;
            // Rounded: ⌊x / 2c + ½⌋ = ⌊(x + c) / 2c⌋.
            let position = (doubled + content).div_euclid(2 * content);
            let position = position.clamp(0, (source - 1) * 256);
            Tap { index: (position / 256) as u32, weight: (position % 256) as u32 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(source: u32, content: u32) -> Vec<f32> {
        taps(source, content).iter().map(|tap| tap.packed() as f32 / 256.0).collect()
    }

    #[test]
    fn centres_lie_on_centres() {
        assert_eq!(positions(4, 4), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(positions(4, 2), [0.5, 2.5]);
        assert_eq!(positions(2, 4), [0.0, 0.25, 0.75, 1.0]);
        assert_eq!(positions(1, 3), [0.0, 0.0, 0.0]);
        assert_eq!(positions(3, 1), [1.0]);
    }

    #[test]
    fn no_tap_reaches_beyond_the_picture() {
        for (source, content) in [(1, 416), (2, 416), (641, 300), (65_535, 416), (7, 4096)] {
            for tap in taps(source, content) {
                assert!(
                    tap.index + u32::from(tap.weight > 0) < source,
                    "{source} {content} {tap:?}"
                );
            }
        }
    }

    #[test]
    fn halving_repeats_each_sample_twice() {
        // Chroma 10, 20 stands for pixels 10 10 20 20.
        let chroma = [10.0, 20.0, 20.0];
        for (index, expected) in [(0, 10.0), (1, 15.0), (2, 20.0)] {
            let Tap { index, weight } = Tap { index, weight: 128 }.halved();
            let weight = weight as f32 / 256.0;
            let read =
                chroma[index as usize] * (1.0 - weight) + chroma[index as usize + 1] * weight;
            assert_eq!(read, expected);
        }
    }
}
