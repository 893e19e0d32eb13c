use super::MotionNoise;

/// What decides which detection belongs to which target.
///
/// The defaults are for the bundled detector; [`for_given_detections`](Self::for_given_detections)
/// has those for confidences that come from a strong one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AssociateConfig {
    /// From this confidence on a detection takes part in the first stage; in 0..=1.
    pub high_score: f32,
    /// Detections between this and `high_score` may only continue a target; in 0..=1.
    pub low_score: f32,
    /// From this confidence on an unclaimed detection begins a target; in 0..=1.
    pub new_score: f32,
    /// First stage: the least IoU × confidence of a match, in 0..1.
    pub first_similarity_min: f32,
    /// Second stage: the least IoU, in 0..1.
    pub second_iou_min: f32,
    /// The least IoU × confidence that confirms a tentative target, in 0..1.
    pub tentative_similarity_min: f32,
    /// For how many seconds a tentative target must be seen before it is confirmed; twice at
    /// least.
    pub confirm_seconds: f32,
    /// Above this IoU, an unseen target and a seen one that began since are the same, and the
    /// younger one ends.
    pub duplicate_iou: f32,
    /// Of which share of an unseen target a seen one must cover for it to count as hidden, in
    /// 0..=1.
    pub hidden_share: f32,
    /// For how many seconds an unseen target that is hidden stays confirmed: it is known to be
    /// there.
    pub hidden_seconds: f32,
    /// For how many seconds an unseen target is coasting: reported where it should be.
    pub coast_seconds: f32,
    /// After how many seconds unseen a target ends.
    pub lost_seconds: f32,
    /// How targets and detections wander.
    pub motion: MotionNoise,
    /// The most detections taken from a frame, the most confident first.
    pub detections_max: usize,
    /// The most targets kept at a time; at it, none begins.
    pub targets_max: usize,
}

impl Default for AssociateConfig {
    fn default() -> Self {
        Self {
            high_score: 0.5,
            low_score: 0.2,
            new_score: 0.65,
            first_similarity_min: 0.2,
            second_iou_min: 0.5,
            tentative_similarity_min: 0.3,
            confirm_seconds: 0.04,
            duplicate_iou: 0.7,
            hidden_share: 0.7,
            hidden_seconds: 0.3,
            coast_seconds: 0.5,
            lost_seconds: 1.0,
            motion: MotionNoise::default(),
            detections_max: 1_000,
            targets_max: 2_000,
        }
    }
}

impl AssociateConfig {
    /// The defaults with `ByteTrack`'s thresholds, for detections from elsewhere.
    pub fn for_given_detections() -> Self {
        Self { high_score: 0.6, low_score: 0.1, new_score: 0.7, ..Self::default() }
    }
}
