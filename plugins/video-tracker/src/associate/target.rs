use keepsight_contract::{BoundingBox, TrackState};

use super::{Affine, MotionNoise, Observation, motion::BoxFilter};

/// Something that is being tracked.
#[derive(Clone, Debug)]
pub struct Target {
    id: u64,
    class_id: u32,
    confidence: f32,
    state: TrackState,
    filter: BoxFilter,
    first_sequence: u64,
    first_seconds: f64,
    age_frames: u32,
    unseen_seconds: f32,
    observation: Option<u32>,
}

impl Target {
    pub(super) fn new(
        id: u64,
        first: &Observation,
        index: u32,
        sequence: u64,
        seconds: f64,
        noise: &MotionNoise,
    ) -> Self {
        Self {
            id,
            class_id: first.class_id,
            confidence: first.confidence,
            state: TrackState::Tentative,
            filter: BoxFilter::new(&first.bbox, noise),
            first_sequence: sequence,
            first_seconds: seconds,
            age_frames: 1,
            unseen_seconds: 0.0,
            observation: Some(index),
        }
    }

    /// Never given to another target of the same associator.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The class of its detections.
    pub fn class_id(&self) -> u32 {
        self.class_id
    }

    /// Of the latest detection that was this target's, in 0..=1.
    pub fn confidence(&self) -> f32 {
        self.confidence
    }

    /// Tentative until further detections agree; confirmed while each run of the detector sees
    /// it, also on the frames between two runs, and for a moment more while a seen one hides it;
    /// then coasting, and later lost.
    pub fn state(&self) -> TrackState {
        self.state
    }

    /// Where it is, smoothed; predicted where no detection says so. It may reach beyond the
    /// picture.
    pub fn bounding_box(&self) -> BoundingBox {
        self.filter.bounding_box()
    }

    /// Of its centre, in pixels per second.
    pub fn velocity(&self) -> [f32; 2] {
        self.filter.velocity()
    }

    /// The sequence number of the frame on which it was first seen.
    pub fn first_sequence(&self) -> u64 {
        self.first_sequence
    }

    /// When it was first seen, in seconds since the associator's first step.
    pub fn first_seconds(&self) -> f64 {
        self.first_seconds
    }

    /// Frames since it was first seen, that one included.
    pub fn age_frames(&self) -> u32 {
        self.age_frames
    }

    /// The index of this step's observation that was this target's, if one was.
    pub fn observation(&self) -> Option<usize> {
        self.observation.map(|index| index as usize)
    }

    pub(super) fn advance(&mut self, elapsed: f32, motion: Option<&Affine>, noise: &MotionNoise) {
        self.observation = None;
        self.age_frames = self.age_frames.saturating_add(1);
        if let Some(motion) = motion {
            self.filter.follow_camera(motion);
        }
        self.filter.predict(elapsed, noise);
    }

    pub(super) fn see(&mut self, observation: &Observation, index: u32, noise: &MotionNoise) {
        self.filter.correct(&observation.bbox, 1.0, noise);
        self.confidence = observation.confidence;
        self.observation = Some(index);
        self.unseen_seconds = 0.0;
    }

    /// Found without a detector.
    pub(super) fn follow(&mut self, bbox: &BoundingBox, noise: &MotionNoise) {
        self.filter.correct(bbox, noise.measurement / noise.following, noise);
    }

    pub(super) fn confirm(&mut self) {
        self.state = TrackState::Confirmed;
    }

    /// Goes on as `other`, which turned out to be the same.
    pub(super) fn take_over(&mut self, other: &Self) {
        self.confidence = other.confidence;
        self.state = other.state;
        self.filter = other.filter;
        self.unseen_seconds = other.unseen_seconds;
        self.observation = other.observation;
    }

    /// The detector ran and did not see it for another `elapsed` seconds.
    pub(super) fn miss(&mut self, elapsed: f32, coast_seconds: f32) {
        self.filter.hold_size();
        self.unseen_seconds += elapsed;
        self.state = if self.unseen_seconds <= coast_seconds {
            TrackState::Coasting
        } else {
            TrackState::Lost
        };
    }

    /// Another one is in front of it, so that it is still there.
    pub(super) fn hide(&mut self) {
        self.state = TrackState::Confirmed;
    }

    /// Confirmed, and seen at the detector's previous run.
    pub(super) fn is_seen(&self) -> bool {
        self.state == TrackState::Confirmed && self.unseen_seconds == 0.0
    }

    /// Once confirmed, and not seen at the detector's previous run.
    pub(super) fn is_unseen(&self) -> bool {
        self.state != TrackState::Tentative && self.unseen_seconds > 0.0
    }

    pub(super) fn unseen_seconds(&self) -> f32 {
        self.unseen_seconds
    }
}
