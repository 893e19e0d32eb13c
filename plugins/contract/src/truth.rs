use serde::{Deserialize, Serialize};

use crate::BoundingBox;

/// What is really in a frame, where a source knows it: a generated scene, an annotated data set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// Every object of which some part lies inside the picture.
    pub objects: Vec<TruthObject>,
}

/// One object that is really there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TruthObject {
    /// The same in every frame; never reused.
    pub id: u64,
    /// The whole object's box, hidden parts included, clipped to the picture.
    #[serde(flatten)]
    pub bbox: BoundingBox,
    /// Name of what it is, as detectors call it: `person`, `cat` …
    pub class: String,
    /// Share of the object's pixels that nothing hides and the picture's edge doesn't cut, 0..=1.
    pub visibility: f32,
}
