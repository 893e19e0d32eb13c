/// How targets are followed.
///
/// The defaults were chosen for all sequences at hand together (two of OTB with three targets, ten
/// generated scenes), amid neighbours that do about as well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FollowConfig {
    /// How much of its surroundings belongs to the target's region, in shares of its mean side
    /// (the square root of its area), half of it at either edge.
    pub padding: f32,
    /// Whose shape the region has: 0 is a square as large as the target, 1 the target's own.
    pub anisotropy: f32,
    /// Standard deviation of the wanted response, in cells.
    pub sigma: f32,
    /// Keeps the filter from relying on frequencies that are hardly there; in squared features.
    pub regularization: f32,
    /// How much a filter learns from a frame in which it found its target, in 0..=1.
    pub learning_rate: f32,
    /// How much it learns where a detector saw the target, in 0..=1.
    pub detection_learning_rate: f32,
    /// Ratio of the sizes that a frame is looked at in.
    pub scale_step: f32,
    /// What the response at another size counts for, so that sizes don't flicker; in 0..=1.
    pub scale_reluctance: f32,
    /// The share of a change of size that is believed, in 0..=1.
    pub scale_trust: f32,
    /// Weight of the colour channels against the gradients'.
    pub colour_weight: f32,
    /// Weight of the brightness channel.
    pub gray_weight: f32,
    /// The chroma, 0..=1, that counts as half gray and half a hue.
    pub saturation_half: f32,
    /// Below this likeness the target is not there.
    pub likeness_min: f32,
    /// Below this peak-to-sidelobe ratio, neither.
    pub sidelobe_ratio_min: f32,
    /// From this likeness on it shows clearly enough to be learnt.
    pub learn_likeness_min: f32,
    /// The same of the peak-to-sidelobe ratio; both are needed.
    pub learn_sidelobe_ratio_min: f32,
}

impl Default for FollowConfig {
    fn default() -> Self {
        Self {
            padding: 0.95,
            anisotropy: 0.5,
            sigma: 0.65,
            regularization: 0.2,
            learning_rate: 0.018,
            detection_learning_rate: 0.2,
            scale_step: 1.03,
            scale_reluctance: 0.99,
            scale_trust: 0.5,
            colour_weight: 1.0,
            gray_weight: 0.5,
            saturation_half: 0.15,
            likeness_min: 0.28,
            sidelobe_ratio_min: 5.0,
            learn_likeness_min: 0.5,
            learn_sidelobe_ratio_min: 15.0,
        }
    }
}
