use keepsight_contract::BoundingBox;

use super::FollowConfig;

/// A target to look for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sought {
    /// The number of its filter, which has learnt.
    pub slot: usize,
    /// Where it should be, in pixels of the frame.
    pub bbox: BoundingBox,
}

/// What a filter found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Where the target is, in pixels of the frame.
    pub bbox: BoundingBox,
    /// How much that looks like it: about 1 for a perfect fit.
    pub likeness: f32,
    /// How far that place stands out of its surroundings, in their standard deviations.
    pub sidelobe_ratio: f32,
}

/// Something for a filter to learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lesson {
    /// The number of the filter.
    pub slot: usize,
    /// Where its target is, in pixels of the frame.
    pub bbox: BoundingBox,
    /// How much of what it knew this replaces, in 0..=1; 1 begins anew.
    pub rate: f32,
}

impl Found {
    /// Whether the target is there at all.
    pub fn is_there(&self, config: &FollowConfig) -> bool {
        self.likeness >= config.likeness_min && self.sidelobe_ratio >= config.sidelobe_ratio_min
    }

    /// Whether it shows so clearly that its filter may learn from it.
    pub fn is_clear(&self, config: &FollowConfig) -> bool {
        self.likeness >= config.learn_likeness_min
            && self.sidelobe_ratio >= config.learn_sidelobe_ratio_min
    }
}
