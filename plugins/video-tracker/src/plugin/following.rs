use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use keepsight_contract::{Counter, Frame, Histogram, Host, TrackState};

use crate::{
    associate::{Expected, Followed, Sight, Target},
    follow::{CpuFollower, FollowConfig, Found, Lesson, Sought},
};

/// Follows a session's targets by what they look like.
#[derive(Debug)]
pub(super) struct Following {
    follower: CpuFollower,
    /// The filter of each followed target.
    slots: BTreeMap<u64, Slot>,
    /// Numbers of filters that are nobody's.
    free: Vec<usize>,
    sought: Vec<Sought>,
    found: Vec<Found>,
    lessons: Vec<Lesson>,
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
    /// Whether the follower has taken the frame in; `None` before it was asked to.
    taken: Option<bool>,
    spent: Duration,
}

impl Following {
    pub(super) fn new(host: &Host) -> Self {
        Self {
            follower: CpuFollower::new(FollowConfig::default()),
            slots: BTreeMap::new(),
            free: Vec::new(),
            sought: Vec::new(),
            found: Vec::new(),
            lessons: Vec::new(),
            follow_ms: host.histogram("follow_ms"),
            frames_refused: host.counter("follow_frames_refused"),
        }
    }

    /// With the eyes on `frame`.
    pub(super) fn looking<'a>(&'a mut self, frame: &'a Frame) -> Looking<'a> {
        Looking { following: self, frame, taken: None, spent: Duration::ZERO }
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
    /// detections, and from places that were found without doubt.
    pub(super) fn learn(mut self, targets: &[Target]) {
        self.following.retain(targets);
        let began = Instant::now();
        let has_lesson = targets.iter().any(|target| self.following.has_lesson(target));
        if has_lesson && self.take() {
            self.following.teach(targets);
        }
        self.spent += began.elapsed();
        self.following.follower.release();
        if self.taken.is_some() {
            self.following.follow_ms.record(self.spent.as_secs_f64() * 1e3);
        }
    }

    /// Whether the frame is taken in.
    fn take(&mut self) -> bool {
        let Self { following, frame, taken, .. } = self;
        *taken.get_or_insert_with(|| {
            let taken = following.follower.take(frame);
            if let Err(error) = &taken {
                tracing::debug!(%error, "could not look at a frame to follow targets");
                following.frames_refused.add(1);
            }
            taken.is_ok()
        })
    }
}

impl Following {
    /// Whether there is something to learn about a target from this frame.
    fn has_lesson(&self, target: &Target) -> bool {
        match self.slots.get(&target.id()) {
            Some(slot) => slot.is_clear || target.observation().is_some(),
            None => target.observation().is_some() && target.state() == TrackState::Confirmed,
        }
    }

    fn teach(&mut self, targets: &[Target]) {
        let Self { follower, slots, free, lessons, .. } = self;
        let FollowConfig { learning_rate, detection_learning_rate, .. } = *follower.config();
        lessons.clear();
        for target in targets {
            let is_seen = target.observation().is_some();
            let (slot, rate) = match slots.get_mut(&target.id()) {
                Some(slot) => {
                    let was_clear = std::mem::take(&mut slot.is_clear);
                    match (is_seen, was_clear) {
                        (true, _) => (slot.number, detection_learning_rate),
                        (false, true) => (slot.number, learning_rate),
                        (false, false) => continue,
                    }
                }
                None => {
                    let is_known = is_seen && target.state() == TrackState::Confirmed;
                    if !is_known || slots.len() == FOLLOWED_MAX {
                        continue;
                    }
                    // Without a free one, the numbers from 0 on are all in use.
                    let number = free.pop().unwrap_or(slots.len());
                    slots.insert(target.id(), Slot { number, is_clear: false });
                    (number, 1.0)
                }
            };
            lessons.push(Lesson { slot, bbox: target.bounding_box(), rate });
        }
        follower.learn(lessons);
    }
}

impl Sight for Looking<'_> {
    fn follow(&mut self, expected: &[Expected], followed: &mut Vec<Followed>) {
        let began = Instant::now();
        let Following { slots, sought, .. } = &mut *self.following;
        sought.clear();
        for target in expected {
            if let Some(slot) = slots.get_mut(&target.id) {
                slot.is_clear = false;
                sought.push(Sought { slot: slot.number, bbox: target.bbox });
            }
        }
        if !sought.is_empty() && self.take() {
            let Following { follower, slots, sought, found, .. } = &mut *self.following;
            follower.locate(sought, found);
            let mut found = found.iter();
            for target in expected {
                let Some(slot) = slots.get_mut(&target.id) else { continue };
                let found = found.next().expect("one for each that was sought");
                slot.is_clear = found.is_clear(follower.config());
                if found.is_there(follower.config()) {
                    followed.push(Followed { id: target.id, bbox: found.bbox });
                }
            }
        }
        self.spent += began.elapsed();
    }

    fn compare(&mut self, pairs: &[Expected], likeness: &mut Vec<Option<f32>>) {
        likeness.extend(pairs.iter().map(|_| None));
    }
}

/// The most targets with a filter at a time.
const FOLLOWED_MAX: usize = 128;
