use keepsight_contract::BoundingBox;

/// A detection as the association sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// Pixels of the captured picture.
    pub bbox: BoundingBox,
    /// 0..=1.
    pub confidence: f32,
    /// Only targets of the same class match.
    pub class_id: u32,
}

/// How many inputs of a step were refused, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    /// Boxes that are not finite, without area, or beyond ±65,536 pixels.
    pub boxes: u32,
    /// Confidences outside 0..=1.
    pub confidences: u32,
    /// Detections beyond `detections_max`, the least confident.
    pub surplus: u32,
    /// Targets not begun because of `targets_max`.
    pub targets: u32,
    /// Times between frames that are negative, not finite or over ten seconds; taken as the
    /// nearest permitted.
    pub intervals: u32,
    /// Camera motions that no camera makes; taken as none.
    pub camera_motions: u32,
}

impl Rejections {
    /// All of them together.
    pub fn total(&self) -> u32 {
        [self.boxes, self.confidences, self.surplus, self.targets, self.intervals]
            .iter()
            .fold(self.camera_motions, |sum, n| sum.saturating_add(*n))
    }
}

impl Observation {
    /// Counts and refuses what no detector means.
    pub(super) fn is_acceptable(&self, rejections: &mut Rejections) -> bool {
        let extent = self.bbox.corners().iter().fold(0.0, |most: f32, c| most.max(c.abs()));
        if !self.bbox.is_valid() || !extent.is_finite() || extent > COORDINATE_MAX {
            rejections.boxes += 1;
            false
        } else if !(0.0..=1.0).contains(&self.confidence) {
            rejections.confidences += 1;
            false
        } else {
            true
        }
    }
}

const COORDINATE_MAX: f32 = 65_536.0;
