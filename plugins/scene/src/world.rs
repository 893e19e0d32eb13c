//! Who is where at which moment.

use crate::random::{Random, sine};
use crate::settings::Figures;

/// The kinds of figures there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    Astronaut,
    Admiral,
    Cameraman,
    Cat,
    Disc,
    Card,
}

impl Figures {
    /// Every one that may be seen.
    pub(crate) fn all(self) -> &'static [Figure] {
        use Figure::{Admiral, Astronaut, Cameraman, Card, Cat, Disc};
        match self {
            Self::Photographs => &[Astronaut, Admiral, Cameraman, Cat],
            Self::Shapes => &[Disc, Card],
            Self::Mixed => &[Astronaut, Admiral, Cameraman, Cat, Disc, Card],
        }
    }
}

/// One object at one moment. Lengths are in shares of the picture's height, so that the scene is
/// the same at every size; x is counted from the picture's middle, y from its upper edge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pose {
    /// Never given to another object.
    pub(crate) id: u64,
    pub(crate) figure: Figure,
    /// The middle of the figure's lower edge.
    pub(crate) foot: [f64; 2],
    /// Height of the upright figure.
    pub(crate) height: f64,
    /// Clockwise, in turns.
    pub(crate) tilt: f64,
    /// Looks the other way.
    pub(crate) mirrored: bool,
    /// Red, green and blue in 256ths: the light on it, by which equal figures differ.
    pub(crate) light: [u32; 3],
    /// 0 is far, 1 near: who is nearer hides the others.
    pub(crate) nearness: f64,
}

/// A square with a fixed number of objects, each a function of time alone.
///
/// Of every two objects one strolls within the picture for ever; the other crosses it from side
/// to side, and when it has left, a new one comes.
pub(crate) struct World {
    seed: u64,
    targets: u32,
    /// Half the picture's width, in shares of its height.
    half_width: f64,
    figures: Figures,
    /// How far they turn to either side, in turns.
    turn: f64,
}

impl World {
    /// A world of people and cats for pictures of `aspect` (width over height).
    pub(crate) fn new(seed: u64, targets: u32, aspect: f64) -> Self {
        let figures = Figures::Photographs;
        Self { seed, targets, half_width: aspect / 2.0, figures, turn: 0.0 }
    }

    /// The same world with other figures in it, which turn by so many turns to either side.
    pub(crate) fn with_figures(self, figures: Figures, turn: f64) -> Self {
        Self { figures, turn, ..self }
    }

    /// All objects `seconds` after the scene's start, the farthest first.
    pub(crate) fn poses(&self, seconds: f64) -> Vec<Pose> {
        let mut poses: Vec<Pose> =
            (0..self.targets).map(|slot| self.pose(u64::from(slot), seconds)).collect();
        poses.sort_by(|a, b| a.nearness.total_cmp(&b.nearness).then(a.id.cmp(&b.id)));
        poses
    }

    fn pose(&self, slot: u64, seconds: f64) -> Pose {
        let pose = if slot.is_multiple_of(2) {
            self.stroller(slot, seconds)
        } else {
            self.passer(slot, seconds)
        };
        if self.turn == 0.0 {
            return pose;
        }
        let mut random = Random::of(&[self.seed, 0x7475_726e, pose.id]);
        let [period, early] = [random.between(4.0, 9.0), random.between(0.0, 1.0)];
        Pose { tilt: pose.tilt + self.turn * sine(seconds / period + early), ..pose }
    }

    /// Who walks in a slot.
    fn figure(&self, slot: u64, random: &mut Random) -> Figure {
        let photograph = figure(slot, random);
        let shape = if slot / 4 % 2 == slot % 2 { Figure::Disc } else { Figure::Card };
        match self.figures {
            Figures::Shapes => shape,
            Figures::Mixed if slot / 2 % 2 == 1 => shape,
            Figures::Photographs | Figures::Mixed => photograph,
        }
    }

    fn stroller(&self, slot: u64, seconds: f64) -> Pose {
        let mut random = Random::of(&[self.seed, slot]);
        let figure = self.figure(slot, &mut random);
        let (mirrored, light) = (random.below(2) == 1, light(&mut random));
        let stride = seconds / random.between(0.45, 0.7);
        // Two swings of different length: where they meet again is far away in time.
        let mut swing = |reach: f64, shortest: f64, longest: f64| {
            let [first, second] =
                [random.between(shortest, longest), random.between(shortest, longest)];
            let [early, late] = [random.between(0.0, 1.0), random.between(0.0, 1.0)];
            reach * (0.65 * sine(seconds / first + early) + 0.35 * sine(seconds / second + late))
        };
        // Strollers' homes are spread over the picture, and each visits its neighbours'.
        let count = u64::from(self.targets).div_ceil(2);
        let home = (2 * (slot / 2) + 1) as f64 / count as f64 - 1.0;
        let x = self.half_width * (0.8 * home + swing(0.45, 9.0, 19.0));
        let nearness = 0.5 + swing(0.5, 13.0, 29.0);
        let tilt = swing(0.017, 3.0, 7.0);
        let id = slot + 1;
        Pose { id, figure, tilt, mirrored, light, ..standing(figure, x, nearness, stride) }
    }

    fn passer(&self, slot: u64, seconds: f64) -> Pose {
        let mut random = Random::of(&[self.seed, slot]);
        let crossing_seconds = random.between(8.0, 14.0);
        // At the start each is somewhere within the picture.
        let progress = seconds / crossing_seconds + random.between(0.2, 0.8);
        let round = progress.floor();
        let share = progress - round;

        let mut random = Random::of(&[self.seed, slot, round as u64]);
        let figure = self.figure(slot, &mut random);
        let (mirrored, light) = (random.below(2) == 1, light(&mut random));
        let direction = if mirrored { -1.0 } else { 1.0 };
        // Far enough outside that nothing of the largest figure is left.
        let reach = self.half_width + 0.35;
        let x = direction * reach * (2.0 * share - 1.0);
        let lane = random.between(0.1, 0.9);
        let drift = random.between(-0.25, 0.25);
        let nearness = (lane + drift * (share - 0.5)).clamp(0.0, 1.0);
        let tilt = 0.008 * sine(seconds / random.between(2.0, 4.0));
        let stride = seconds / random.between(0.4, 0.6);
        let id = 1 + slot + u64::from(self.targets) * round as u64;
        Pose { id, figure, tilt, mirrored, light, ..standing(figure, x, nearness, stride) }
    }
}

/// A figure on the ground: the nearer, the larger and the lower in the picture. `stride` counts
/// its steps.
fn standing(figure: Figure, x: f64, nearness: f64, stride: f64) -> Pose {
    let height = match figure {
        Figure::Cat => 0.35 + 0.08 * nearness,
        Figure::Disc => 0.16 + 0.14 * nearness,
        _ => 0.32 + (HEIGHT_MAX - 0.32) * nearness,
    };
    let bounce = 0.012 * height * sine(stride);
    let foot = [x, 0.58 + 0.4 * nearness + bounce];
    Pose { id: 0, figure, foot, height, tilt: 0.0, mirrored: false, light: [256; 3], nearness }
}

/// The first five objects show every figure; later ones are mostly people.
fn figure(slot: u64, random: &mut Random) -> Figure {
    let people = [Figure::Astronaut, Figure::Admiral, Figure::Cameraman];
    match slot {
        0 => Figure::Astronaut,
        2 => Figure::Cameraman,
        3 => Figure::Cat,
        4 => Figure::Admiral,
        _ if slot > 4 && random.below(8) == 0 => Figure::Cat,
        _ => people[random.below(3) as usize],
    }
}

/// How high the highest figure stands when it is nearest, in shares of the picture's height.
pub(crate) const HEIGHT_MAX: f64 = 0.47;

/// Daylight, a little darker or warmer.
fn light(random: &mut Random) -> [u32; 3] {
    let brightness = random.between(0.78, 1.0);
    let warmth = random.between(0.82, 1.0);
    [1.0, 0.5 + 0.5 * warmth, warmth].map(|share| (256.0 * brightness * share) as u32)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn the_same_seed_is_the_same_world_and_another_is_another() {
        let world = World::new(3, 7, 4.0 / 3.0);
        assert_eq!(world.poses(12.3), World::new(3, 7, 4.0 / 3.0).poses(12.3));
        assert_ne!(world.poses(12.3), World::new(4, 7, 4.0 / 3.0).poses(12.3));
    }

    #[test]
    fn an_object_moves_without_jumps_and_keeps_its_figure() {
        let world = World::new(1, 12, 4.0 / 3.0);
        let mut last: HashMap<u64, Pose> = HashMap::new();
        let mut gone = HashSet::new();
        for frame in 0..3000 {
            let poses = world.poses(f64::from(frame) / 30.0);
            assert_eq!(poses.len(), 12);
            let present: HashSet<u64> = poses.iter().map(|pose| pose.id).collect();
            assert_eq!(present.len(), 12, "two objects with one id in frame {frame}");
            for pose in poses {
                assert!(!gone.contains(&pose.id), "{} came back", pose.id);
                if let Some(before) = last.insert(pose.id, pose) {
                    assert_eq!((before.figure, before.light), (pose.figure, pose.light));
                    let step = (pose.foot[0] - before.foot[0]).abs();
                    assert!(step < 0.02, "{} went {step} in a frame", pose.id);
                    assert!((pose.height - before.height).abs() < 0.005);
                    assert!(pose.height <= HEIGHT_MAX);
                } else if frame > 0 {
                    let beyond = pose.foot[0].abs() - world.half_width;
                    assert!(beyond > 0.22, "{} appeared at {:?}", pose.id, pose.foot);
                }
            }
            gone.extend(last.keys().copied().filter(|id| !present.contains(id)));
            last.retain(|id, _| present.contains(id));
        }
        assert!(gone.len() > 30, "only {} objects left in 100 seconds", gone.len());
    }

    #[test]
    fn objects_meet() {
        let world = World::new(1, 5, 4.0 / 3.0);
        let meetings = (0..900).filter(|frame| {
            let poses = world.poses(f64::from(*frame) / 30.0);
            poses.iter().enumerate().any(|(nth, a)| {
                poses[nth + 1..].iter().any(|b| (a.foot[0] - b.foot[0]).abs() < 0.1)
            })
        });
        assert!(meetings.count() > 100);
    }
}
