use keepsight_contract::BoundingBox;

use super::*;
use crate::associate::random::Random;

/// An associator at 10 frames a second, and what it said.
struct Scene {
    associator: Associator,
    sequence: u64,
    events: Vec<TargetEvent>,
    rejections: Rejections,
}

impl Scene {
    fn new() -> Self {
        Self::with(AssociateConfig::default())
    }

    fn with(config: AssociateConfig) -> Self {
        Self {
            associator: Associator::new(config),
            sequence: 0,
            events: Vec::new(),
            rejections: Rejections::default(),
        }
    }

    fn step(&mut self, step: Step<'_>) -> &mut Self {
        self.sequence += 1;
        let outcome = self.associator.step(&Step { sequence: self.sequence, ..step });
        self.events = outcome.events;
        self.rejections = outcome.rejections;
        self
    }

    fn see(&mut self, observations: &[Observation]) -> &mut Self {
        self.step(Step { elapsed: 0.1, observations: Some(observations), ..Step::default() })
    }

    fn look_away(&mut self) -> &mut Self {
        self.step(Step { elapsed: 0.1, ..Step::default() })
    }

    #[track_caller]
    fn check(&self, expected: &[(u64, TrackState)]) {
        let found: Vec<_> =
            self.associator.targets().iter().map(|target| (target.id(), target.state())).collect();
        assert_eq!(found, expected, "at frame {}", self.sequence);
    }
}

fn person(x: f32, confidence: f32) -> Observation {
    Observation { bbox: BoundingBox::new(x, 100.0, 50.0, 120.0), confidence, class_id: 0 }
}

use TargetEvent::{Ended, Started};
use TrackState::{Coasting, Confirmed, Lost, Tentative};

#[test]
fn what_the_first_run_sees_starts_at_once() {
    let mut scene = Scene::new();
    scene.look_away().see(&[person(0.0, 0.9)]);
    scene.check(&[(1, Confirmed)]);
    assert_eq!(scene.events, [Started { id: 1 }]);
    assert_eq!(scene.associator.targets()[0].first_sequence(), 2);
}

#[test]
fn later_ones_start_when_seen_twice() {
    let mut scene = Scene::new();
    scene.see(&[]).see(&[person(0.0, 0.9)]);
    scene.check(&[(1, Tentative)]);
    assert_eq!(scene.events, []);
    scene.see(&[person(3.0, 0.9)]);
    scene.check(&[(1, Confirmed)]);
    assert_eq!(scene.events, [Started { id: 1 }]);
    assert_eq!(scene.associator.targets()[0].age_frames(), 2);
}

#[test]
fn a_flash_is_forgotten_and_its_id_never_used_again() {
    let mut scene = Scene::new();
    scene.see(&[]).see(&[person(0.0, 0.9)]).see(&[]);
    scene.check(&[]);
    assert_eq!(scene.events, []);
    scene.see(&[person(0.0, 0.9)]);
    scene.check(&[(2, Tentative)]);
}

#[test]
fn an_unseen_one_coasts_is_lost_and_ends() {
    let (coast_seconds, lost_seconds) = (0.55, 1.05);
    let config = AssociateConfig { coast_seconds, lost_seconds, ..Default::default() };
    let mut scene = Scene::with(config);
    scene.see(&[person(0.0, 0.9)]);
    for frame in 1..=10 {
        scene.see(&[]);
        scene.check(&[(1, if frame <= 5 { Coasting } else { Lost })]);
        assert_eq!(scene.events, []);
    }
    scene.see(&[]);
    scene.check(&[]);
    assert_eq!(scene.events, [Ended { id: 1, reason: EndReason::Lost }]);
}

#[test]
fn a_lost_one_comes_back_as_itself() {
    let mut scene = Scene::new();
    scene.see(&[person(0.0, 0.9)]);
    for _ in 0..8 {
        scene.see(&[]);
    }
    scene.check(&[(1, Lost)]);
    scene.see(&[person(4.0, 0.9)]);
    scene.check(&[(1, Confirmed)]);
    assert_eq!(scene.events, []);
}

#[test]
fn frames_without_the_detector_are_no_evidence() {
    let mut scene = Scene::new();
    for frame in 0..6 {
        scene.see(&[person(20.0 * frame as f32, 0.9)]);
    }
    let before = scene.associator.targets()[0].bounding_box().x;
    scene.look_away().look_away();
    scene.check(&[(1, Confirmed)]);
    let moved = scene.associator.targets()[0].bounding_box().x - before;
    assert!((moved - 40.0).abs() < 6.0, "moved {moved} px");
    assert_eq!(scene.associator.targets()[0].observation(), None);
    // The whole gap counts as unseen once the detector looks again.
    scene.look_away().look_away().look_away().see(&[]);
    scene.check(&[(1, Lost)]);
}

#[test]
fn low_confidence_continues_but_neither_starts_nor_revives() {
    let mut scene = Scene::new();
    scene.see(&[person(0.0, 0.9), person(500.0, 0.3)]);
    scene.check(&[(1, Confirmed)]);
    scene.see(&[person(2.0, 0.3)]);
    scene.check(&[(1, Confirmed)]);
    assert_eq!(scene.associator.targets()[0].observation(), Some(0));
    scene.see(&[]).see(&[person(2.0, 0.3)]);
    scene.check(&[(1, Coasting)]);
}

#[test]
fn between_the_thresholds_nothing_begins() {
    let mut scene = Scene::new();
    scene.see(&[person(0.0, 0.55)]);
    scene.check(&[]);
}

#[test]
fn classes_do_not_mix() {
    let mut scene = Scene::new();
    scene.see(&[person(0.0, 0.9)]);
    scene.see(&[Observation { class_id: 1, ..person(0.0, 0.9) }]);
    scene.check(&[(1, Coasting), (2, Tentative)]);
}

#[test]
fn two_who_cross_keep_their_ids() {
    let mut scene = Scene::new();
    for frame in 0..40 {
        let x = 12.0 * frame as f32;
        scene.see(&[person(x, 0.9), person(480.0 - x, 0.8)]);
    }
    let [first, second] = scene.associator.targets() else { panic!("not two") };
    assert_eq!((first.id(), second.id()), (1, 2));
    assert!(first.bounding_box().x > 400.0 && second.bounding_box().x < 80.0);
}

/// Everyone of a crowd is out of sight for a second, one after the other, and comes back as
/// himself, at any frame rate. Boxes are off by some of their size, as a detector's are.
#[test]
fn who_was_hidden_for_a_second_comes_back_as_himself() {
    for rate in [5u32, 10, 25, 30, 60] {
        let mut random = Random::new(rate.into());
        let mut associator = Associator::new(AssociateConfig::default());
        let seconds = |frame: u32| frame as f32 / rate as f32;
        for frame in 0..14 * rate {
            let visible = |person: u32| {
                let hidden = 2.0 + f64::from(person) * 2.0..3.0 + f64::from(person) * 2.0;
                !hidden.contains(&(f64::from(frame) / f64::from(rate)))
            };
            let mut see = |person: u32| {
                let (lane, pace) = (person as f32 * 90.0, 20.0 + 12.0 * person as f32);
                let mut off = |size: f32| 0.02 * size * (random.below(2.0) - 1.0);
                let x = 40.0 + pace * seconds(frame) + off(50.0);
                let bbox =
                    BoundingBox::new(x, lane + off(120.0), 50.0 + off(50.0), 120.0 + off(120.0));
                Observation { bbox, confidence: 0.9, class_id: 0 }
            };
            let crowd: Vec<_> = (0..6).filter(|person| visible(*person)).map(&mut see).collect();
            associator.step(&Step {
                sequence: frame.into(),
                elapsed: 1.0 / f64::from(rate),
                observations: Some(&crowd),
                camera_motion: None,
            });
        }
        let ids: Vec<_> = associator.targets().iter().map(Target::id).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6], "at {rate} frames a second");
        assert!(associator.targets().iter().all(|target| target.state() == Confirmed));
    }
}

#[test]
fn who_is_hidden_by_somebody_seen_is_confirmed_for_a_moment_more() {
    let mut scene = Scene::new();
    let behind = Observation { bbox: BoundingBox::new(5.0, 110.0, 40.0, 80.0), ..person(0.0, 0.8) };
    for x in [75.0, 60.0, 45.0, 30.0, 15.0] {
        scene.see(&[person(x, 0.9), behind]);
        scene.check(&[(1, Confirmed), (2, Confirmed)]);
    }
    for state in [Confirmed, Confirmed, Confirmed, Coasting] {
        scene.see(&[person(0.0, 0.9)]);
        scene.check(&[(1, Confirmed), (2, state)]);
        assert_eq!(scene.associator.targets()[1].observation(), None);
    }
}

#[test]
fn a_camera_that_jumps_loses_nobody_who_knows_the_jump() {
    let jump = Affine { rows: [[1.0, 0.0, 300.0], [0.0, 1.0, 0.0]] };
    for (camera_motion, expected) in
        [(Some(jump), &[(1, Confirmed)][..]), (None, &[(1, Coasting), (2, Tentative)][..])]
    {
        let mut scene = Scene::new();
        scene.see(&[person(0.0, 0.9)]);
        let moved = [person(300.0, 0.9)];
        scene.step(Step {
            elapsed: 0.1,
            observations: Some(&moved),
            camera_motion,
            ..Step::default()
        });
        scene.check(expected);
    }
}

#[test]
fn the_younger_of_two_on_one_spot_ends() {
    let mut scene = Scene::new();
    scene.see(&[person(0.0, 0.9)]);
    // It is seen too far away to be itself, and comes back to where it should be.
    for step in 1..=8 {
        scene.see(&[person(45.0 - 6.0 * step as f32, 0.9)]);
        if scene.events == [(Ended { id: 2, reason: EndReason::Duplicate })] {
            scene.check(&[(1, Confirmed)]);
            assert_eq!(scene.associator.targets()[0].observation(), Some(0));
            return;
        }
    }
    panic!("both live: {:?}", scene.associator.targets());
}

#[test]
fn two_who_were_seen_together_stay_two_on_one_spot() {
    let mut scene = Scene::new();
    scene.see(&[person(0.0, 0.9), person(60.0, 0.9)]);
    for step in 1..=5 {
        scene.see(&[person(12.0 * step as f32, 0.9)]);
        let [first, second] = scene.associator.targets() else { panic!("{:?}", scene.events) };
        assert_eq!((first.id(), second.id()), (1, 2));
    }
    scene.see(&[person(60.0, 0.9), person(62.0, 0.9)]);
    scene.check(&[(1, Confirmed), (2, Confirmed)]);
}

#[test]
fn a_restart_ends_all_who_started_and_ids_go_on() {
    let mut scene = Scene::new();
    scene.see(&[person(0.0, 0.9)]).see(&[person(0.0, 0.9), person(300.0, 0.9)]);
    scene.check(&[(1, Confirmed), (2, Tentative)]);
    let events = scene.associator.restart();
    assert_eq!(events, [Ended { id: 1, reason: EndReason::Restarted }]);
    scene.see(&[person(0.0, 0.9)]);
    scene.check(&[(3, Confirmed)]);
    assert_eq!(scene.associator.id_next(), 4);
    assert_eq!(Associator::with_first_id(AssociateConfig::default(), 4).id_next(), 4);
}

#[test]
fn hostile_observations_are_refused_and_counted() {
    let mut scene = Scene::new();
    let odd = |x, y, width, height, confidence| Observation {
        bbox: BoundingBox::new(x, y, width, height),
        confidence,
        class_id: 0,
    };
    scene.see(&[
        odd(f32::NAN, 0.0, 1.0, 1.0, 0.9),
        odd(0.0, f32::INFINITY, 1.0, 1.0, 0.9),
        odd(0.0, 0.0, -5.0, 1.0, 0.9),
        odd(0.0, 0.0, 1.0, 0.0, 0.9),
        odd(0.0, 0.0, f32::MAX, 1.0, 0.9),
        odd(-1e30, 0.0, 1.0, 1.0, 0.9),
        odd(0.0, 0.0, 1.0, 1.0, f32::NAN),
        odd(0.0, 0.0, 1.0, 1.0, 1.5),
        odd(0.0, 0.0, 1.0, 1.0, -0.1),
        person(0.0, 0.9),
    ]);
    assert_eq!(scene.rejections, Rejections { boxes: 6, confidences: 3, ..Rejections::default() });
    scene.check(&[(1, Confirmed)]);
}

#[test]
fn hostile_times_and_motions_are_refused_and_counted() {
    for (elapsed, seconds) in
        [(f64::NAN, 0.0), (-1.0, 0.0), (f64::INFINITY, 10.0), (1e9, 10.0), (f64::NEG_INFINITY, 0.0)]
    {
        let mut scene = Scene::new();
        scene.see(&[person(0.0, 0.9)]);
        let camera_motion = Some(Affine { rows: [[f32::NAN; 3]; 2] });
        scene.step(Step { elapsed, camera_motion, ..Step::default() });
        let expected = Rejections { intervals: 1, camera_motions: 1, ..Rejections::default() };
        assert_eq!(scene.rejections, expected);
        assert_eq!(scene.rejections.total(), 2);
        assert_eq!(scene.associator.seconds(), seconds);
        assert!(scene.associator.targets()[0].bounding_box().is_valid());
    }
}

#[test]
fn ten_thousand_detections_become_the_most_confident_ones() {
    let mut random = Random::new(5);
    let crowd: Vec<_> = (0..10_000)
        .map(|index| person(random.below(50_000.0), if index % 100 == 0 { 0.95 } else { 0.7 }))
        .collect();
    let mut scene = Scene::with(AssociateConfig { detections_max: 100, ..Default::default() });
    scene.see(&crowd);
    assert_eq!(scene.rejections, Rejections { surplus: 9_900, ..Rejections::default() });
    assert_eq!(scene.associator.targets().len(), 100);
    assert!(scene.associator.targets().iter().all(|target| target.confidence() == 0.95));
}

#[test]
fn the_number_of_targets_is_bounded() {
    let crowd: Vec<_> = (0..30).map(|index| person(200.0 * index as f32, 0.9)).collect();
    let mut scene = Scene::with(AssociateConfig { targets_max: 20, ..Default::default() });
    scene.see(&crowd);
    assert_eq!(scene.rejections, Rejections { targets: 10, ..Rejections::default() });
    assert_eq!(scene.associator.targets().len(), 20);
}

/// Whatever comes, in whatever order: valid boxes, ids that only grow, ends after starts.
#[test]
fn invariants_hold_on_random_input_and_runs_repeat() {
    let run = || {
        let mut random = Random::new(99);
        let mut scene = Scene::new();
        let (mut started, mut trace) = (Vec::new(), Vec::new());
        for _ in 0..300 {
            let crowd: Vec<_> = (0..random.below(40.0) as usize)
                .map(|_| Observation {
                    bbox: BoundingBox::new(
                        random.below(700.0) - 50.0,
                        random.below(500.0) - 50.0,
                        random.below(200.0) - 4.0,
                        random.below(300.0) - 4.0,
                    ),
                    confidence: random.below(1.05),
                    class_id: random.below(2.0) as u32,
                })
                .collect();
            let observations = (random.below(1.0) < 0.8).then_some(&crowd[..]);
            let elapsed = f64::from(random.below(0.3));
            scene.step(Step { elapsed, observations, ..Step::default() });
            for event in &scene.events {
                match *event {
                    Started { id } => started.push(id),
                    Ended { id, .. } => {
                        let position = started.iter().position(|other| *other == id);
                        started.remove(position.expect("ended without start"));
                    }
                }
            }
            let targets = scene.associator.targets();
            assert!(targets.windows(2).all(|pair| pair[0].id() < pair[1].id()));
            assert!(targets.iter().all(|target| target.bounding_box().is_valid()));
            let lives = targets.iter().filter(|target| target.state() != Tentative);
            assert_eq!(lives.map(Target::id).collect::<Vec<_>>(), {
                started.sort_unstable();
                started.clone()
            });
            trace.extend(targets.iter().map(|t| (t.id(), t.bounding_box().x.to_bits())));
        }
        trace
    };
    let trace = run();
    assert!(trace.len() > 1_000);
    assert_eq!(trace, run());
}

/// Sees each target some way to the right of where it should be, and knows who is who by where
/// they stand.
struct Eyes {
    right: f32,
    /// Ids, and from where to where each one's looks are.
    looks: Vec<(u64, std::ops::Range<f32>)>,
    asked: usize,
}

impl Sight for Eyes {
    fn follow(&mut self, expected: &[Expected], found: &mut Vec<Followed>) {
        found.extend(expected.iter().map(|Expected { id, bbox }| Followed {
            id: *id,
            bbox: BoundingBox::new(bbox.x + self.right, bbox.y, bbox.width, bbox.height),
        }));
        // Who is not known, and boxes that are none, are passed over.
        found.push(Followed { id: 999, bbox: BoundingBox::new(0.0, 0.0, 1.0, 1.0) });
        found.extend(expected.iter().map(|Expected { id, .. }| Followed {
            id: *id,
            bbox: BoundingBox::new(f32::NAN, 0.0, 1.0, 1.0),
        }));
    }

    fn compare(&mut self, pairs: &[Expected], likeness: &mut Vec<Option<f32>>) {
        self.asked += pairs.len();
        likeness.extend(pairs.iter().map(|pair| {
            let (_, place) = self.looks.iter().find(|(id, _)| *id == pair.id)?;
            Some(if place.contains(&pair.bbox.x) { 0.9 } else { 0.1 })
        }));
    }
}

#[test]
fn what_is_followed_is_where_it_was_found() {
    let mut scene = Scene::new();
    scene.see(&[person(100.0, 0.9)]).see(&[person(100.0, 0.9)]);
    let mut eyes = Eyes { right: 10.0, looks: Vec::new(), asked: 0 };
    let step = Step { sequence: 3, elapsed: 0.1, ..Step::default() };
    scene.associator.step_with(&step, &mut eyes);
    let followed = scene.associator.targets()[0].bounding_box().x;
    assert!(followed > 105.0 && followed <= 110.0, "{followed}");
    scene.check(&[(1, Confirmed)]);
}

#[test]
fn looks_decide_between_rivals_and_nobody_asks_without_any() {
    let mut scene = Scene::new();
    let apart = [person(100.0, 0.9), person(130.0, 0.9)];
    scene.see(&apart).see(&apart);
    let mut eyes = Eyes { right: 0.0, looks: vec![(1, 115.0..120.0), (2, 110.0..115.0)], asked: 0 };
    let met = [person(112.0, 0.9), person(118.0, 0.9)];
    let step = Step { sequence: 3, elapsed: 0.1, observations: Some(&met), ..Step::default() };
    let mut by_place = Scene::new();
    by_place.see(&apart).see(&apart).see(&met);
    let claims = |associator: &Associator| -> Vec<_> {
        associator.targets().iter().map(|target| target.observation()).collect()
    };
    assert_eq!(claims(&by_place.associator), [Some(0), Some(1)]);
    scene.associator.step_with(&step, &mut eyes);
    assert_eq!(claims(&scene.associator), [Some(1), Some(0)]);
    assert_eq!(eyes.asked, 4);

    let mut scene = Scene::new();
    let far = [person(100.0, 0.9), person(400.0, 0.9)];
    scene.see(&far).see(&far);
    let mut eyes = Eyes { right: 0.0, looks: Vec::new(), asked: 0 };
    let step = Step { sequence: 3, elapsed: 0.1, observations: Some(&far), ..Step::default() };
    scene.associator.step_with(&step, &mut eyes);
    assert_eq!(eyes.asked, 0);
}
