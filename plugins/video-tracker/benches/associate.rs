//! What a frame's association costs, against trackforge's trackers on the same detections.
//!
//! The scene approximates a busy square: people 40–120 px high walk about a picture of
//! 1920 × 1080, a tenth of them unseen in each frame, boxes off by a pixel or two, confidences
//! from 0.3 to 0.95. With 1,000 of them the boxes cover the picture more than once.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use keepsight_contract::BoundingBox;
use keepsight_video_tracker::associate::{AssociateConfig, Associator, Observation, Step};
use trackforge::trackers::{
    botsort::{BotSort, BotSortParams},
    byte_track::ByteTrack,
    sort::Sort,
    tracktrack::TrackTrack,
};

/// A detection as trackforge takes it: left, top, width, height; confidence; class.
type Row = ([f32; 4], f32, i64);

fn associate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("associate");
    group.sample_size(20);
    for people in [10, 50, 200, 1_000] {
        let frames = square(people);
        let observations: Vec<Vec<_>> =
            frames.iter().map(|rows| rows.iter().map(observation).collect()).collect();

        let mut associator = Associator::new(AssociateConfig::for_given_detections());
        let mut sequence = 0;
        let mut step = |observations: &[Observation]| {
            sequence += 1;
            let observations = Some(observations);
            let elapsed = 1.0 / FRAME_RATE;
            associator.step(&Step { sequence, elapsed, observations, camera_motion: None })
        };
        observations.iter().for_each(|frame| drop(step(frame)));
        let mut next = there_and_back(&observations);
        group.bench_function(BenchmarkId::new("keepsight", people), |bencher| {
            bencher.iter_batched(&mut next, |frame| black_box(step(frame)), BatchSize::SmallInput);
        });

        let mut other = |name: &str, update: &mut dyn FnMut(Vec<Row>)| {
            frames.iter().for_each(|frame| update(frame.clone()));
            let mut next = there_and_back(&frames);
            group.bench_function(BenchmarkId::new(name, people), |bencher| {
                bencher.iter_batched(|| next().clone(), &mut *update, BatchSize::SmallInput);
            });
        };
        let mut sort = Sort::new(30, 3, 0.3);
        other("trackforge-sort", &mut |rows| drop(black_box(sort.update(rows))));
        let mut byte = ByteTrack::new(0.6, 30, 0.8, 0.7);
        other("trackforge-bytetrack", &mut |rows| drop(black_box(byte.update(rows))));
        let mut bot = BotSort::from_params(BotSortParams::default());
        other("trackforge-botsort", &mut |rows| drop(black_box(bot.update(rows, &[]))));
        let mut track = TrackTrack::new();
        other("trackforge-tracktrack", &mut |rows| drop(black_box(track.update(rows, &[]))));
    }
    group.finish();
}

/// Frames forwards, then backwards, so that nobody ever jumps.
fn there_and_back<'a, T>(frames: &'a [T]) -> impl FnMut() -> &'a T + use<'a, T> {
    let last = frames.len() - 1;
    let mut position = last;
    move || {
        position = (position + 1) % (2 * last);
        &frames[if position <= last { position } else { 2 * last - position }]
    }
}

fn observation(&([x, y, width, height], confidence, _): &Row) -> Observation {
    Observation { bbox: BoundingBox::new(x, y, width, height), confidence, class_id: 0 }
}

/// The detections of [`FRAMES`] frames with so many people.
fn square(people: usize) -> Vec<Vec<Row>> {
    let mut random = Random(0x5EED ^ people as u64);
    let mut walkers: Vec<_> = (0..people)
        .map(|_| {
            let height = random.between(40.0, 120.0);
            let at = [random.between(0.0, 1_900.0), random.between(0.0, 1_000.0)];
            let pace = [random.between(-3.0, 3.0), random.between(-1.0, 1.0)];
            (at, pace, height)
        })
        .collect();
    let frame = |_| {
        let mut rows = Vec::new();
        for ([x, y], pace, _) in &mut walkers {
            let [across, down] = pace;
            for (coordinate, pace, end) in [(x, across, 1_900.0), (y, down, 1_000.0)] {
                *coordinate += *pace;
                if !(0.0..end).contains(coordinate) {
                    *pace = -*pace;
                }
            }
        }
        for ([x, y], _, height) in &walkers {
            if random.between(0.0, 1.0) < 0.9 {
                let mut jitter = || random.between(-1.5, 1.5);
                let tlwh = [x + jitter(), y + jitter(), height * 0.4 + jitter(), height + jitter()];
                rows.push((tlwh, random.between(0.3, 0.95), 0));
            }
        }
        rows
    };
    (0..FRAMES).map(frame).collect()
}

/// Seeded numbers (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn between(&mut self, low: f32, high: f32) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40;
        low + (high - low) * (bits as f32 / (1u64 << 24) as f32)
    }
}

const FRAMES: usize = 120;
const FRAME_RATE: f64 = 30.0;

criterion_group!(benches, associate);
criterion_main!(benches);
