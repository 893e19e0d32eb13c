use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use keepsight_contract::{BoundingBox, Counter, Frame, Histogram, Host, TrackState};
use serde_json::json;

use crate::{
    associate::{Expected, Followed, Sight, Target},
    follow::{FILTERS_MAX, FollowConfig, FollowError, Follower, Found, Lesson, Sought},
};

/// Follows a session's targets by what they look like.
#[derive(Debug)]
pub(super) struct Following {
    follower: Follower,
    host: Host,
    /// The filter of each followed target.
    slots: BTreeMap<u64, Slot>,
    /// Numbers of filters that are nobody's.
    free: Vec<usize>,
    /// Ids of those that are looked for.
    followable: Vec<u64>,
    sought: Vec<Sought>,
    found: Vec<Found>,
    lessons: Vec<Lesson>,
    /// Indices of targets to learn, and the rates.
    plans: Vec<(usize, f32)>,
    follow_ms: Histogram,
    frames_refused: Counter,
}

/// A target's filter.
#[derive(Clone, Copy, Debug)]
struct Slot {
    number: usize,
    /// Whether the frame shows the target clearly enough to learn from.
    is_clear: bool,
}

/// A session's filters and the frame of the moment.
#[derive(Debug)]
pub(super) struct Looking<'a> {
    following: &'a mut Following,
    frame: &'a Frame,
    /// Whether all targets are followed, or only those learnt that others are near.
    everybody: bool,
    /// Until then a GPU is waited for.
    deadline: Instant,
    /// Whether the follower has taken the frame in; `None` before it was asked to.
    taken: Option<bool>,
    spent: Duration,
}

impl Following {
    pub(super) fn new(follower: Follower, host: &Host) -> Self {
        Self {
            follower,
            host: host.clone(),
            slots: BTreeMap::new(),
            free: Vec::new(),
            followable: Vec::new(),
            sought: Vec::new(),
            found: Vec::new(),
            lessons: Vec::new(),
            plans: Vec::new(),
            follow_ms: host.histogram("follow_ms"),
            frames_refused: host.counter("follow_frames_refused"),
        }
    }

    /// With the eyes on `frame`.
    pub(super) fn looking<'a>(
        &'a mut self,
        frame: &'a Frame,
        everybody: bool,
        deadline: Instant,
    ) -> Looking<'a> {
        Looking { following: self, frame, everybody, deadline, taken: None, spent: Duration::ZERO }
    }

    /// Forgets what everybody looks like.
    pub(super) fn clear(&mut self) {
        let slots = std::mem::take(&mut self.slots);
        self.free.extend(slots.values().map(|slot| slot.number));
    }

    /// Lets go of filters whose targets have ended.
    fn retain(&mut self, targets: &[Target]) {
        let Self { slots, free, .. } = self;
        // Targets are in the order of their ids.
        slots.retain(|id, slot| {
            let lives = targets.binary_search_by_key(id, Target::id).is_ok();
            if !lives {
                free.push(slot.number);
            }
            lives
        });
    }
}

impl Looking<'_> {
    /// Teaches the filters what their targets look like now, where that is known: from
    /// detections, and from places that were found without doubt. Says how long looking and
    /// teaching took.
    pub(super) fn learn(mut self, targets: &[Target]) -> Duration {
        self.following.retain(targets);
        let began = Instant::now();
        self.following.plan(targets, self.everybody);
        if !self.following.plans.is_empty() && self.take() {
            self.following.teach(targets);
        }
        self.spent += began.elapsed();
        self.following.follower.release();
        if self.taken.is_some() {
            self.following.follow_ms.record(self.spent.as_secs_f64() * 1e3);
        }
        self.spent
    }

    /// Whether the frame is taken in.
    fn take(&mut self) -> bool {
        let Self { following, frame, taken, .. } = self;
        if taken.is_none() {
            let outcome = following.follower.take(frame);
            self.taken = Some(self.following.succeeded(outcome));
        }
        self.taken == Some(true)
    }
}

impl Following {
    /// Whether something went well. Where it did not and the GPU is to blame, the CPU goes on, and
    /// what everybody looks like is learnt anew.
    fn succeeded(&mut self, outcome: Result<(), FollowError>) -> bool {
        let Err(error) = outcome else { return true };
        self.frames_refused.add(1);
        if error.is_gpu_fault() {
            tracing::warn!(%error, "targets are followed on the CPU from here on");
            self.host.event("follow_fell_back", json!({ "reason": error.to_string() }));
            self.follower.fall_back();
            self.clear();
        } else {
            tracing::debug!(%error, "could not look at a frame to follow targets");
        }
        false
    }

    /// Decides what is learnt of whom, in order of `targets`: indices and rates.
    fn plan(&mut self, targets: &[Target], everybody: bool) {
        let Self { follower, slots, plans, .. } = self;
        let FollowConfig { learning_rate, detection_learning_rate, .. } = *follower.config();
        plans.clear();
        for (index, target) in targets.iter().enumerate() {
            let is_seen = target.observation().is_some();
            let rate = match slots.get_mut(&target.id()) {
                Some(slot) => {
                    let was_clear = std::mem::take(&mut slot.is_clear);
                    match (is_seen, was_clear) {
                        (true, _) => detection_learning_rate,
                        (false, true) => learning_rate,
                        (false, false) => continue,
                    }
                }
                None if is_seen && target.state() == TrackState::Confirmed => 1.0,
                None => continue,
            };
            let others = targets.iter().filter(|other| other.state() != TrackState::Lost);
            let others = others.map(|other| (other.id(), other.bounding_box()));
            let surroundings = Surroundings::of(target.id(), &target.bounding_box(), others);
            let is_wanted = everybody || surroundings.is_crowded;
            let most = if rate == 1.0 { HIDDEN_FIRST_MAX } else { HIDDEN_LEARN_MAX };
            if is_wanted && surroundings.hidden <= most {
                plans.push((index, rate));
            }
        }
    }

    fn teach(&mut self, targets: &[Target]) {
        let Self { follower, slots, free, lessons, plans, .. } = self;
        lessons.clear();
        for (index, rate) in plans.drain(..) {
            let target = &targets[index];
            let slot = match slots.get(&target.id()) {
                Some(slot) => slot.number,
                None if slots.len() == FILTERS_MAX => continue,
                None => {
                    // Without a free one, the numbers from 0 on are all in use.
                    let number = free.pop().unwrap_or(slots.len());
                    slots.insert(target.id(), Slot { number, is_clear: false });
                    number
                }
            };
            lessons.push(Lesson { slot, bbox: target.bounding_box(), rate });
        }
        let outcome = follower.learn(lessons);
        self.succeeded(outcome);
    }
}

/// Who is around a target.
struct Surroundings {
    /// Whether another one is so near that the two may soon be mistaken for each other.
    is_crowded: bool,
    /// The largest share of the target that one nearer to the camera hides.
    hidden: f32,
}

impl Surroundings {
    /// Of the target `id` in `own`, among all boxes, its own too.
    fn of(id: u64, own: &BoundingBox, all: impl Iterator<Item = (u64, BoundingBox)>) -> Self {
        let [left, top, right, foot] = own.corners();
        let mut found = Self { is_crowded: false, hidden: 0.0 };
        for (_, other) in all.filter(|(other, _)| *other != id) {
            let [other_left, other_top, other_right, other_foot] = other.corners();
            // Below 0 is a gap.
            let width = right.min(other_right) - left.max(other_left);
            let height = foot.min(other_foot) - top.max(other_top);
            let gap = NEAR * own.width.min(other.width);
            found.is_crowded |= width > -gap && height > -gap;
            if width > 0.0 && height > 0.0 && other_foot > foot {
                found.hidden = found.hidden.max(width * height / own.area());
            }
        }
        found
    }
}

impl Sight for Looking<'_> {
    fn follow(&mut self, expected: &[Expected], followed: &mut Vec<Followed>) {
        if !self.everybody {
            return;
        }
        let began = Instant::now();
        let Following { slots, sought, followable, .. } = &mut *self.following;
        sought.clear();
        followable.clear();
        for target in expected {
            let Some(slot) = slots.get_mut(&target.id) else { continue };
            slot.is_clear = false;
            let all = expected.iter().map(|other| (other.id, other.bbox));
            if Surroundings::of(target.id, &target.bbox, all).hidden <= HIDDEN_FOLLOW_MAX {
                followable.push(target.id);
                sought.push(Sought { slot: slot.number, bbox: target.bbox });
            }
        }
        if !sought.is_empty() && self.take() {
            let Following { follower, sought, found, .. } = &mut *self.following;
            let outcome = follower.locate(sought, self.deadline, found);
            if !self.following.succeeded(outcome) {
                self.taken = Some(false);
                return;
            }
            let Following { follower, slots, found, followable, .. } = &mut *self.following;
            for (id, found) in followable.iter().zip(found) {
                let slot = slots.get_mut(id).expect("it was there a moment ago");
                slot.is_clear = found.is_clear(follower.config());
                if found.is_there(follower.config()) {
                    followed.push(Followed { id: *id, bbox: found.bbox });
                }
            }
        }
        self.spent += began.elapsed();
    }

    fn compare(&mut self, pairs: &[Expected], likeness: &mut Vec<Option<f32>>) {
        let began = Instant::now();
        let Following { slots, sought, .. } = &mut *self.following;
        let known = |pair: &Expected| Some((slots.get(&pair.id)?.number, pair.bbox));
        sought.clear();
        sought.extend(pairs.iter().filter_map(known).map(|(slot, bbox)| Sought { slot, bbox }));
        if !sought.is_empty() && self.take() {
            let Following { follower, sought, found, .. } = &mut *self.following;
            let outcome = follower.compare(sought, self.deadline, found);
            if !self.following.succeeded(outcome) {
                self.taken = Some(false);
                likeness.extend(pairs.iter().map(|_| None));
                return;
            }
            let Following { slots, found, .. } = &mut *self.following;
            let mut found = found.iter();
            likeness.extend(pairs.iter().map(|pair| {
                slots.get(&pair.id)?;
                let found = found.next().expect("one for each that was sought");
                Some(likeness_at(&pair.bbox, found))
            }));
        } else {
            likeness.extend(pairs.iter().map(|_| None));
        }
        self.spent += began.elapsed();
    }
}

/// How much what is in `bbox` looks like what was found near it: what looks like the target but
/// stands beside the box is likely another one.
fn likeness_at(bbox: &BoundingBox, found: &Found) -> f32 {
    let ([x, y], [found_x, found_y]) = (bbox.center(), found.bbox.center());
    let (right, down) = ((found_x - x) / bbox.width, (found_y - y) / bbox.height);
    let apart = (right * right + down * down) / (OFF_CENTER * OFF_CENTER);
    found.likeness.clamp(0.0, 1.0) * (-0.5 * apart).exp()
}

/// Standard deviation of a detection's centre against what is seen there, in shares of its size.
const OFF_CENTER: f32 = 0.2;

/// The largest hidden share of a target that is looked for: of one of which less is to be seen,
/// who hides it would be found.
const HIDDEN_FOLLOW_MAX: f32 = 0.5;
/// The same of one from which is learnt, and of one whose filter begins.
const HIDDEN_LEARN_MAX: f32 = 0.3;
const HIDDEN_FIRST_MAX: f32 = 0.5;
/// Two targets are near when the gap between them is less than this share of the smaller one's
/// size, along both axes.
const NEAR: f32 = 1.0;
