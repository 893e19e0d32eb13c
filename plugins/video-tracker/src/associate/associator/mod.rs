use keepsight_contract::TrackState;

use super::{
    Affine, AssociateConfig, Expected, Followed, Observation, Rejections, Sight, Target,
    grid::Edges, matching::Matching, sight::Blind,
};

/// Links the detections of successive frames to targets.
///
/// After Zhang et al., `ByteTrack` (ECCV 2022): detections of high confidence are matched first,
/// by IoU × confidence, to all confirmed targets; then those of low confidence, by IoU, to
/// targets that are still without; what is left of the high ones confirms tentative targets or
/// begins new ones. Matching is exact assignment, as in there, but over groups of boxes that
/// overlap. Motion is predicted in seconds, so that nothing depends on the frame rate.
///
/// The same steps give the same targets, bit for bit.
#[derive(Debug)]
pub struct Associator {
    config: AssociateConfig,
    targets: Vec<Target>,
    id_next: u64,
    seconds: f64,
    /// Since the latest run of the detector.
    seconds_undetected: f32,
    has_stepped: bool,
    has_detected: bool,
    matching: Matching,
    scratch: Scratch,
}

/// What is new with a frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Step<'a> {
    /// The frame's sequence number.
    pub sequence: u64,
    /// Seconds since the previous step's frame was captured; not looked at in the first step.
    pub elapsed: f64,
    /// What the detector found, or `None` if it did not look at this frame.
    pub observations: Option<&'a [Observation]>,
    /// How the camera moved since the previous step's frame, where that is known.
    pub camera_motion: Option<Affine>,
}

/// What a step did, apart from moving the targets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepOutcome {
    /// Beginnings and ends, in this order.
    pub events: Vec<TargetEvent>,
    /// What of the input was refused.
    pub rejections: Rejections,
}

/// A target began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetEvent {
    /// Confirmed for the first time.
    Started {
        /// The target's id.
        id: u64,
    },
    /// Gone for good; only targets that started end.
    Ended {
        /// The target's id.
        id: u64,
        /// Why.
        reason: EndReason,
    },
}

/// Why a target ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Unseen for longer than `lost_seconds`.
    Lost,
    /// It turned out to be the same as another one.
    Duplicate,
    /// [`Associator::restart`] was called.
    Restarted,
}

/// Buffers kept between steps; indices into the step's observations or into `targets`.
#[derive(Debug, Default)]
struct Scratch {
    high: Vec<u32>,
    low: Vec<u32>,
    candidates: Vec<u32>,
    seen: Vec<bool>,
    claimed: Vec<bool>,
    dropped: Vec<bool>,
    expected: Vec<Expected>,
    followed: Vec<Followed>,
}

impl Associator {
    /// An associator without targets, whose first id is 1.
    pub fn new(config: AssociateConfig) -> Self {
        Self::with_first_id(config, 1)
    }

    /// An associator without targets, whose first id is `id`: it goes on where another ended.
    pub fn with_first_id(config: AssociateConfig, id: u64) -> Self {
        Self {
            config,
            targets: Vec::new(),
            id_next: id,
            seconds: 0.0,
            seconds_undetected: 0.0,
            has_stepped: false,
            has_detected: false,
            matching: Matching::default(),
            scratch: Scratch::default(),
        }
    }

    /// All targets there are after the latest step, in the order in which they began.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Seconds from the first step's frame to the latest one's.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// The id that the next target gets; none from it on was given yet.
    pub fn id_next(&self) -> u64 {
        self.id_next
    }

    /// Ends all targets, for what comes is another scene. Time and ids go on.
    pub fn restart(&mut self) -> Vec<TargetEvent> {
        self.has_detected = false;
        let started = self.targets.drain(..).filter(|t| t.state() != TrackState::Tentative);
        let reason = EndReason::Restarted;
        started.map(|target| TargetEvent::Ended { id: target.id(), reason }).collect()
    }

    /// Takes in the next frame.
    pub fn step(&mut self, step: &Step<'_>) -> StepOutcome {
        self.step_with(step, &mut Blind)
    }

    /// Takes in the next frame, of which `sight` sees the pixels.
    pub fn step_with(&mut self, step: &Step<'_>, sight: &mut dyn Sight) -> StepOutcome {
        let mut outcome = StepOutcome::default();
        self.advance(step, &mut outcome.rejections);
        self.follow(sight);
        if let Some(observations) = step.observations {
            self.select(observations, &mut outcome.rejections);
            self.continue_confirmed(observations, sight);
            self.continue_with_low(observations, sight);
            self.settle_tentative(observations, &mut outcome.events);
            self.age_unseen(&mut outcome.events);
            self.begin(observations, step.sequence, &mut outcome);
            self.compare_with_unseen(&mut outcome.events);
            self.has_detected = true;
            self.seconds_undetected = 0.0;
        }
        outcome
    }

    /// Moves all targets to the time of this step's frame.
    fn advance(&mut self, step: &Step<'_>, rejections: &mut Rejections) {
        let mut elapsed = if self.has_stepped { step.elapsed } else { 0.0 };
        self.has_stepped = true;
        if !(0.0..=ELAPSED_MAX).contains(&elapsed) {
            rejections.intervals += 1;
            // A number that is none counts as no time at all.
            elapsed = if elapsed > ELAPSED_MAX { ELAPSED_MAX } else { 0.0 };
        }
        let motion = step.camera_motion.filter(|motion| {
            let plausible = motion.is_plausible();
            rejections.camera_motions += u32::from(!plausible);
            plausible
        });
        self.seconds += elapsed;
        let elapsed = elapsed as f32;
        self.seconds_undetected += elapsed;
        for target in &mut self.targets {
            target.advance(elapsed, motion.as_ref(), &self.config.motion);
        }
    }

    /// Corrects the targets by what is found of them without a detector, also where one looked:
    /// who moved on unexpectedly is then still where its detection is. One that is lost is not
    /// looked for: what would be found is somebody else.
    fn follow(&mut self, sight: &mut dyn Sight) {
        let Scratch { expected, followed, .. } = &mut self.scratch;
        expected.clear();
        followed.clear();
        let known = |t: &&Target| matches!(t.state(), TrackState::Confirmed | TrackState::Coasting);
        let place = |target: &Target| Expected { id: target.id(), bbox: target.bounding_box() };
        expected.extend(self.targets.iter().filter(known).map(place));
        if expected.is_empty() {
            return;
        }
        sight.follow(expected, followed);
        for Followed { id, bbox } in followed {
            // Targets are in the order of their ids.
            let found = self.targets.binary_search_by_key(id, Target::id);
            if let Ok(index) = found
                && bbox.is_valid()
            {
                self.targets[index].follow(bbox, &self.config.motion);
            }
        }
    }

    /// Sorts the acceptable observations into high and low.
    fn select(&mut self, observations: &[Observation], rejections: &mut Rejections) {
        let Scratch { high, low, seen, claimed, .. } = &mut self.scratch;
        high.clear();
        low.clear();
        for (index, observation) in observations.iter().enumerate() {
            if !observation.is_acceptable(rejections) {
                continue;
            }
            if observation.confidence >= self.config.high_score {
                high.push(index as u32);
            } else if observation.confidence >= self.config.low_score {
                low.push(index as u32);
            }
        }
        let most = self.config.detections_max;
        let surplus = (high.len() + low.len()).saturating_sub(most);
        if surplus > 0 {
            rejections.surplus += surplus as u32;
            keep_most_confident(high, observations, most);
            keep_most_confident(low, observations, most - high.len());
        }
        seen.clear();
        seen.resize(self.targets.len(), false);
        claimed.clear();
        claimed.resize(observations.len(), false);
    }

    fn continue_confirmed(&mut self, observations: &[Observation], sight: &mut dyn Sight) {
        self.choose(|target, _| target.state() != TrackState::Tentative);
        let least = self.config.first_similarity_min;
        self.pair(observations, Pool::High, sight, |iou, observation| {
            iou * observation.confidence - least
        });
    }

    /// Only targets seen at the detector's previous run: what has been gone for longer would
    /// come back as somebody else's shadow.
    fn continue_with_low(&mut self, observations: &[Observation], sight: &mut dyn Sight) {
        self.choose(|target, seen| !seen && target.is_seen());
        let least = self.config.second_iou_min;
        self.pair(observations, Pool::Low, sight, |iou, _| iou - least);
    }

    /// Confirms the tentative targets that are seen again, and forgets the others.
    fn settle_tentative(&mut self, observations: &[Observation], events: &mut Vec<TargetEvent>) {
        self.choose(|target, _| target.state() == TrackState::Tentative);
        let least = self.config.tentative_similarity_min;
        self.pair(observations, Pool::High, &mut Blind, |iou, observation| {
            iou * observation.confidence - least
        });
        let seen = &self.scratch.seen;
        for (target, seen) in self.targets.iter_mut().zip(seen) {
            if !seen {
                continue;
            }
            if target.state() == TrackState::Tentative {
                let known = self.seconds - target.first_seconds();
                if known + TOLERANCE < self.config.confirm_seconds.into() {
                    continue;
                }
                events.push(TargetEvent::Started { id: target.id() });
            }
            target.confirm();
        }
    }

    /// Lets unseen targets coast, then be lost, then end.
    fn age_unseen(&mut self, events: &mut Vec<TargetEvent>) {
        let Scratch { seen, dropped, .. } = &mut self.scratch;
        dropped.clear();
        dropped.resize(self.targets.len(), false);
        for ((target, seen), dropped) in self.targets.iter_mut().zip(seen).zip(&mut *dropped) {
            if *seen {
                continue;
            }
            if target.state() == TrackState::Tentative {
                *dropped = true;
                continue;
            }
            target.miss(self.seconds_undetected, self.config.coast_seconds);
            if target.unseen_seconds() > self.config.lost_seconds + TOLERANCE as f32 {
                *dropped = true;
                events.push(TargetEvent::Ended { id: target.id(), reason: EndReason::Lost });
            }
        }
        self.remove_dropped();
    }

    /// Makes targets of the confident observations nobody claimed. Those of the detector's first
    /// run are confirmed at once: everything is new then.
    fn begin(&mut self, observations: &[Observation], sequence: u64, outcome: &mut StepOutcome) {
        for &index in &self.scratch.high {
            let observation = &observations[index as usize];
            let wanted = observation.confidence >= self.config.new_score;
            if self.scratch.claimed[index as usize] || !wanted {
                continue;
            }
            if self.targets.len() >= self.config.targets_max {
                outcome.rejections.targets += 1;
                continue;
            }
            let noise = &self.config.motion;
            let id = self.id_next;
            self.id_next += 1;
            let mut target = Target::new(id, observation, index, sequence, self.seconds, noise);
            if !self.has_detected {
                target.confirm();
                outcome.events.push(TargetEvent::Started { id });
            }
            self.targets.push(target);
        }
    }

    /// Where a seen target has almost the box of an unseen one and began after that was last
    /// seen, it ends and the older one is what was seen; two who were seen together stay two,
    /// however they overlap. Where a seen one covers most of an unseen one, it hides it.
    fn compare_with_unseen(&mut self, events: &mut Vec<TargetEvent>) {
        let least = self.config.duplicate_iou;
        let hidden_share = self.config.hidden_share;
        let hidden_seconds = self.config.hidden_seconds + TOLERANCE as f32;
        let Scratch { candidates, high: confirmed, low: hidden, dropped, .. } = &mut self.scratch;
        let indices = |of: &mut Vec<u32>, keep: &dyn Fn(&Target) -> bool| {
            of.clear();
            of.extend((0..).zip(&self.targets).filter(|(_, t)| keep(t)).map(|(index, _)| index));
        };
        indices(candidates, &Target::is_unseen);
        indices(confirmed, &Target::is_seen);
        hidden.clear();
        if candidates.is_empty() || confirmed.is_empty() {
            return;
        }
        let edges = |index: &u32| Edges::new(&self.targets[*index as usize].bounding_box());
        dropped.clear();
        dropped.resize(self.targets.len(), false);
        let pairs = self.matching.solve(
            candidates.iter().map(edges),
            confirmed.iter().map(edges),
            |unseen, seen, iou| {
                let index = candidates[unseen as usize];
                let unseen = &self.targets[index as usize];
                let seen = &self.targets[confirmed[seen as usize] as usize];
                if unseen.unseen_seconds() <= hidden_seconds {
                    let area = unseen.bounding_box().area();
                    let both = area + seen.bounding_box().area();
                    if iou / (1.0 + iou) * both >= hidden_share * area {
                        hidden.push(index);
                    }
                }
                let last_seen = self.seconds - f64::from(unseen.unseen_seconds());
                let is_newer = seen.first_seconds() > last_seen + TOLERANCE;
                if is_newer && unseen.class_id() == seen.class_id() { iou - least } else { 0.0 }
            },
        );
        for &(unseen, seen) in pairs {
            let (unseen, seen) =
                (candidates[unseen as usize] as usize, confirmed[seen as usize] as usize);
            let [older, younger] = self
                .targets
                .get_disjoint_mut([unseen, seen])
                .expect("a target is either seen or unseen");
            older.take_over(younger);
            dropped[seen] = true;
            let id = younger.id();
            events.push(TargetEvent::Ended { id, reason: EndReason::Duplicate });
        }
        for index in &self.scratch.low {
            self.targets[*index as usize].hide();
        }
        self.remove_dropped();
    }

    fn choose(&mut self, wanted: impl Fn(&Target, bool) -> bool) {
        let Scratch { candidates, seen, .. } = &mut self.scratch;
        candidates.clear();
        for (index, (target, seen)) in self.targets.iter().zip(seen).enumerate() {
            if wanted(target, *seen) {
                candidates.push(index as u32);
            }
        }
    }

    /// Matches the chosen targets with what is left of a pool, and updates both.
    fn pair(
        &mut self,
        observations: &[Observation],
        pool: Pool,
        sight: &mut dyn Sight,
        gain: impl Fn(f32, &Observation) -> f32,
    ) {
        let Scratch { high, low, candidates, seen, claimed, expected, .. } = &mut self.scratch;
        let pool = match pool {
            Pool::High => high,
            Pool::Low => low,
        };
        pool.retain(|index| !claimed[*index as usize]);
        if candidates.is_empty() || pool.is_empty() {
            return;
        }
        let pairs = self.matching.solve_with(
            candidates
                .iter()
                .map(|index| Edges::new(&self.targets[*index as usize].bounding_box())),
            pool.iter().map(|index| Edges::new(&observations[*index as usize].bbox)),
            |target, detection, iou| {
                let target = &self.targets[candidates[target as usize] as usize];
                let observation = &observations[pool[detection as usize] as usize];
                if target.class_id() == observation.class_id { gain(iou, observation) } else { 0.0 }
            },
            |pairs, likeness| {
                expected.clear();
                expected.extend(pairs.iter().map(|(target, detection)| Expected {
                    id: self.targets[candidates[*target as usize] as usize].id(),
                    bbox: observations[pool[*detection as usize] as usize].bbox,
                }));
                sight.compare(expected, likeness);
            },
        );
        for &(target, detection) in pairs {
            let target = candidates[target as usize] as usize;
            let index = pool[detection as usize];
            self.targets[target].see(&observations[index as usize], index, &self.config.motion);
            seen[target] = true;
            claimed[index as usize] = true;
        }
    }

    fn remove_dropped(&mut self) {
        let mut dropped = self.scratch.dropped.iter();
        self.targets.retain(|_| !dropped.next().expect("one flag for each target"));
    }
}

/// Which of the selected observations.
#[derive(Clone, Copy)]
enum Pool {
    High,
    Low,
}

/// Keeps the `most` of highest confidence, earlier ones first among equals, in their old order.
fn keep_most_confident(indices: &mut Vec<u32>, observations: &[Observation], most: usize) {
    if indices.len() > most {
        let confidence = |index: &u32| observations[*index as usize].confidence;
        indices.sort_by(|a, b| confidence(b).total_cmp(&confidence(a)));
        indices.truncate(most);
        indices.sort_unstable();
    }
}

/// By how much times in seconds may be off where they are compared: sums of many are rounded.
const TOLERANCE: f64 = 1e-3;
/// Longer gaps between two frames are taken as this one, in seconds.
const ELAPSED_MAX: f64 = 10.0;

#[cfg(test)]
mod tests;
