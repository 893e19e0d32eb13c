//! Decoding the SSD family: anchors were already applied inside the model.

use super::suppress::Candidate;
use crate::preprocess::{ModelInput, Placement};

/// The boxes worth looking at.
///
/// `boxes` is anchors × 4: top, left, bottom, right in shares of the input;
/// `best` is the place and the value of an anchor's highest score, 0–1. Each
/// anchor speaks for that column, where `wanted` has it.
pub(super) fn decode(
    boxes: &[f32],
    best: impl Fn(usize) -> Option<(usize, f32)>,
    input: &ModelInput,
    placement: &Placement,
    confidence_min: f32,
    wanted: impl Fn(usize) -> bool,
    candidates: &mut Vec<Candidate>,
) {
    let (width, height) = (input.width as f32, input.height as f32);
    let (boxes, _) = boxes.as_chunks::<4>();
    for (anchor, corners) in boxes.iter().enumerate() {
        let Some((class, confidence)) = best(anchor) else { continue };
        if confidence < confidence_min || !wanted(class) {
            continue;
        }
        let [top, left, bottom, right] = *corners;
        let corners = [left * width, top * height, right * width, bottom * height];
        if let Some(bbox) = placement.to_picture(corners) {
            candidates.push(Candidate { bbox, confidence, class });
        }
    }
}

/// The first of the highest scores, if it is at least `score_min`; numbers that
/// are none never are. At most 1, which rounding may pass.
pub(super) fn best(scores: &[f32], score_min: f32) -> Option<(usize, f32)> {
    let mut best = None;
    let mut highest = score_min;
    for (column, score) in scores.iter().enumerate() {
        if *score >= highest && (best.is_none() || *score > highest) {
            (best, highest) = (Some(column), *score);
        }
    }
    best.map(|column| (column, highest.min(1.0)))
}

#[cfg(test)]
mod tests {
    use keepsight_contract::{BoundingBox, FrameSize};

    use super::*;
    use crate::preprocess::{ColorOrder, Padding};

    const INPUT: ModelInput = ModelInput {
        width: 300,
        height: 300,
        color_order: ColorOrder::Rgb,
        scale: 1.0,
        offset: 0.0,
        padding: Padding::Stretch,
    };

    fn run(boxes: &[f32], scores: &[f32]) -> Vec<Candidate> {
        let placement = INPUT.placement(FrameSize::new(640, 480));
        let mut candidates = Vec::new();
        let wanted = |class| class != 2;
        let best = |anchor| best(&scores[anchor * 3..][..3], 0.0);
        decode(boxes, best, &INPUT, &placement, 0.5, wanted, &mut candidates);
        candidates
    }

    #[test]
    fn boxes_are_shares_of_the_picture() {
        let found = run(&[0.25, 0.5, 0.75, 1.0], &[0.1, 0.8, 0.2]);
        assert_eq!((found.len(), found[0].confidence, found[0].class), (1, 0.8, 1));
        let expected = BoundingBox::new(320.0, 120.0, 320.0, 240.0);
        assert!(found[0].bbox.iou(&expected) > 0.9999, "{found:?}");
    }

    #[test]
    fn the_faint_the_unwanted_and_the_broken_are_left_out() {
        let nan = f32::NAN;
        let whole = [0.0, 0.0, 1.0, 1.0];
        for (corners, scores) in [
            (whole, [0.4, 0.4, 0.4]),
            (whole, [0.6, 0.4, 0.9]),
            (whole, [nan, nan, nan]),
            ([nan, 0.0, 1.0, 1.0], [0.9, 0.0, 0.0]),
            ([0.0, 0.0, f32::INFINITY, 1.0], [0.9, 0.0, 0.0]),
            ([1.0, 1.0, 0.0, 0.0], [0.9, 0.0, 0.0]),
        ] {
            assert_eq!(run(&corners, &scores), [], "{corners:?} {scores:?}");
        }
    }

    #[test]
    fn the_best_score_is_the_first_highest_number() {
        assert_eq!(best(&[0.5, 0.7, 0.7], 0.5), Some((1, 0.7)));
        assert_eq!(best(&[f32::NAN, 0.5], 0.5), Some((1, 0.5)));
        assert_eq!(best(&[0.4, 1.000_001], 0.5), Some((1, 1.0)));
        assert_eq!(best(&[], 0.0), None);
    }
}
