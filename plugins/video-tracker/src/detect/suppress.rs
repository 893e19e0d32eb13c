use keepsight_contract::BoundingBox;

/// A box that may become a detection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) bbox: BoundingBox,
    /// Finite, 0–1.
    pub(super) confidence: f32,
    /// Column of the class.
    pub(super) class: usize,
}

/// Greedy non-maximum suppression, each class by itself: the most confident
/// first, without those that overlap a better one of their class by more than
/// `overlap_max` (intersection over union). At most `kept_max` remain, sorted by
/// confidence; of the candidates, the best [`CANDIDATES_MAX`] are looked at.
///
/// Equal confidence keeps the order of the candidates, so that the same picture
/// gives the same boxes.
pub(super) fn suppress(candidates: &mut Vec<Candidate>, overlap_max: f32, kept_max: usize) {
    candidates.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    candidates.truncate(CANDIDATES_MAX);
    let mut kept = 0;
    for i in 0..candidates.len() {
        if kept == kept_max {
            break;
        }
        let candidate = candidates[i];
        let hidden = candidates[..kept].iter().any(|better| {
            better.class == candidate.class && better.bbox.iou(&candidate.bbox) > overlap_max
        });
        if !hidden {
            candidates[kept] = candidate;
            kept += 1;
        }
    }
    candidates.truncate(kept);
}

/// Candidates that are compared with each other.
pub(super) const CANDIDATES_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(x: f32, confidence: f32, class: usize) -> Candidate {
        Candidate { bbox: BoundingBox::new(x, 0.0, 10.0, 10.0), confidence, class }
    }

    #[track_caller]
    fn check(mut candidates: Vec<Candidate>, kept_max: usize, expected: &[f32]) {
        suppress(&mut candidates, 0.5, kept_max);
        let kept: Vec<_> = candidates.iter().map(|candidate| candidate.confidence).collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn the_best_of_a_heap_remains() {
        // IoU of neighbours 2 apart is 8/12, of those 4 apart 6/14.
        check(vec![candidate(0.0, 0.5, 0), candidate(2.0, 0.9, 0)], 9, &[0.9]);
        check(vec![candidate(0.0, 0.5, 0), candidate(4.0, 0.9, 0)], 9, &[0.9, 0.5]);
        // The middle one is gone, so the third isn't hidden by it.
        check(
            vec![candidate(0.0, 0.9, 0), candidate(2.0, 0.8, 0), candidate(4.0, 0.7, 0)],
            9,
            &[0.9, 0.7],
        );
    }

    #[test]
    fn classes_hide_their_own_only() {
        check(vec![candidate(0.0, 0.5, 0), candidate(0.0, 0.9, 1)], 9, &[0.9, 0.5]);
    }

    #[test]
    fn no_more_remain_than_were_asked_for() {
        let row = |n: usize| (0..n).map(|i| candidate(i as f32 * 20.0, 0.5, 0)).collect::<Vec<_>>();
        check(row(3), 2, &[0.5, 0.5]);
        check(row(3), 0, &[]);
        let mut many = row(CANDIDATES_MAX + 5);
        suppress(&mut many, 0.5, usize::MAX);
        assert_eq!(many.len(), CANDIDATES_MAX);
    }
}
