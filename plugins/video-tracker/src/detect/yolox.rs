//! Decoding the YOLOX family: anchor-free, on three grids.
//!
//! Ge et al., "YOLOX: Exceeding YOLO Series in 2021", section 2.1, in the
//! published models' export without decoding.

use super::suppress::Candidate;
use crate::preprocess::{ModelInput, Placement};

/// Cells of all grids, which is the rows of the output.
pub(super) fn cells(input: &ModelInput) -> usize {
    STRIDES.iter().map(|stride| (input.width / stride * (input.height / stride)) as usize).sum()
}

/// The boxes worth looking at.
///
/// `numbers` are the first five of a cell's row, see
/// [`Family::Yolox`](super::Family::Yolox), `best` is the place and the value of
/// its highest class. A box's confidence is its objectness times that.
pub(super) fn decode(
    numbers: impl Fn(usize) -> [f32; 5],
    best: impl Fn(usize) -> Option<(usize, f32)>,
    input: &ModelInput,
    placement: &Placement,
    confidence_min: f32,
    wanted: impl Fn(usize) -> bool,
    candidates: &mut Vec<Candidate>,
) {
    let mut next = 0;
    for stride in STRIDES {
        for cell_y in 0..input.height / stride {
            for cell_x in 0..input.width / stride {
                let cell = next;
                next += 1;
                let [x, y, width, height, objectness] = numbers(cell);
                if objectness.is_nan() || objectness < confidence_min {
                    continue;
                }
                let Some((class, score)) = best(cell) else { continue };
                let confidence = (objectness * score).min(1.0);
                if confidence < confidence_min || !wanted(class) {
                    continue;
                }
                let stride = stride as f32;
                let (x, y) = ((x + cell_x as f32) * stride, (y + cell_y as f32) * stride);
                let (half_width, half_height) =
                    (width.exp() * stride / 2.0, height.exp() * stride / 2.0);
                let corners = [x - half_width, y - half_height, x + half_width, y + half_height];
                if let Some(bbox) = placement.to_picture(corners) {
                    candidates.push(Candidate { bbox, confidence, class });
                }
            }
        }
    }
}

const STRIDES: [u32; 3] = [8, 16, 32];

#[cfg(test)]
mod tests {
    use keepsight_contract::{BoundingBox, FrameSize};

    use super::*;
    use crate::detect::ssd::best;
    use crate::preprocess::{ColorOrder, Padding};

    const INPUT: ModelInput = ModelInput {
        width: 416,
        height: 416,
        color_order: ColorOrder::Bgr,
        scale: 1.0,
        offset: 0.0,
        padding: Padding::LetterboxTopLeft(114.0),
    };

    fn run(cell: usize, row: [f32; 7]) -> Vec<Candidate> {
        let mut rows = vec![0.0; cells(&INPUT) * 7];
        rows[cell * 7..][..7].copy_from_slice(&row);
        let placement = INPUT.placement(FrameSize::new(832, 832));
        let mut candidates = Vec::new();
        let numbers = |cell| *rows[cell * 7..].first_chunk().unwrap();
        let best = |cell| best(&rows[cell * 7 + 5..][..2], 0.0);
        decode(numbers, best, &INPUT, &placement, 0.5, |class| class == 1, &mut candidates);
        candidates
    }

    #[test]
    fn the_published_input_has_its_cells() {
        assert_eq!(cells(&INPUT), 3549);
    }

    #[test]
    fn cells_know_their_place_and_stride() {
        // Cell (3, 1) of the second grid, 26 × 26 cells of 16 pixels after
        // 52 × 52: centre (3.5, 1.5) · 16, size e⁰ · 16, and twice that in a
        // picture of twice the size.
        let found = run(52 * 52 + 26 + 3, [0.5, 0.5, 0.0, 0.0, 0.9, 0.1, 0.8]);
        let bbox = BoundingBox::new(96.0, 32.0, 32.0, 32.0);
        assert_eq!(found, [Candidate { bbox, confidence: 0.9 * 0.8, class: 1 }]);
    }

    #[test]
    fn the_faint_the_unwanted_and_the_broken_are_left_out() {
        let nan = f32::NAN;
        for row in [
            [0.5, 0.5, 0.0, 0.0, 0.4, 0.0, 1.0],
            [0.5, 0.5, 0.0, 0.0, 0.7, 0.0, 0.7],
            [0.5, 0.5, 0.0, 0.0, 0.9, 0.9, 0.8],
            [0.5, 0.5, 0.0, 0.0, nan, 0.0, 1.0],
            [0.5, 0.5, 0.0, 0.0, 1.0, nan, nan],
            [nan, 0.5, 0.0, 0.0, 1.0, 0.0, 1.0],
            [0.5, 0.5, 1e9, 0.0, 1.0, 0.0, 1.0],
            [0.5, 0.5, -1e9, 0.0, 1.0, 0.0, 1.0],
        ] {
            assert_eq!(run(0, row), [], "{row:?}");
        }
    }
}
