//! Following 1, 8, 32 and 128 targets in a frame: finding each, and learning each anew.
//!
//! `follow/*` approximates a frame between two detections at 640×480, YUYV as cameras give it.
//! The GPU's figure is the whole way: what is looked at goes up, kernels, peaks read back. On a
//! software adapter it says nothing about GPUs; the adapter is printed.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use keepsight_contract::{BoundingBox, Frame, FrameSize, PixelBuffer, PixelFormat};
use keepsight_gpu::{AdapterChoice, Device};
use keepsight_video_tracker::follow::{FollowConfig, Follower, GpuFollower, Lesson, Sought};

const COUNTS: [usize; 4] = [1, 8, 32, 128];

/// Something with edges and colours everywhere.
fn yuyv() -> Frame {
    let size = FrameSize::new(640, 480);
    let bytes = (0..size.pixel_count() * 2)
        .map(|at| {
            let (x, y) = (at % 1280 / 2, at / 1280);
            ((x / 7 * 53 + y / 9 * 97) % 251) as u8
        })
        .collect::<Vec<_>>();
    Frame::builder(PixelFormat::Yuyv, size, PixelBuffer::from(bytes))
        .build()
        .expect("two bytes a pixel")
}

fn boxes(count: usize) -> Vec<BoundingBox> {
    (0..count)
        .map(|nth| {
            let (column, row) = ((nth % 16) as f32, (nth / 16) as f32);
            BoundingBox::new(8.0 + 38.0 * column, 10.0 + 45.0 * row, 40.0, 90.0)
        })
        .collect()
}

fn measure(criterion: &mut Criterion, name: &str, mut make: impl FnMut() -> Follower) {
    let mut group = criterion.benchmark_group("follow");
    group.sample_size(20);
    let frame = yuyv();
    for count in COUNTS {
        let boxes = boxes(count);
        let numbered = || boxes.iter().enumerate();
        let lessons = |rate| {
            numbered()
                .map(move |(slot, bbox)| Lesson { slot, bbox: *bbox, rate })
                .collect::<Vec<_>>()
        };
        let sought: Vec<_> = numbered().map(|(slot, bbox)| Sought { slot, bbox: *bbox }).collect();
        let (first, next) = (lessons(1.0), lessons(0.02));
        let mut follower = make();
        let mut found = Vec::new();
        follower.take(&frame).expect("the frame is whole");
        follower.learn(&first).expect("the device is there");
        group.bench_function(format!("{name}/{count} targets"), |bencher| {
            bencher.iter(|| {
                let deadline = Instant::now() + Duration::from_secs(60);
                follower.take(&frame).expect("the frame is whole");
                follower.locate(&sought, deadline, &mut found).expect("the device is there");
                follower.learn(&next).expect("the device is there");
                follower.release();
            });
        });
    }
}

fn follow(criterion: &mut Criterion) {
    let config = FollowConfig::default();
    measure(criterion, "cpu", || Follower::cpu(config));
    match Device::open(&AdapterChoice { allow_software: true, name: None }) {
        Ok(device) => {
            eprintln!("follow/gpu runs on {}", device.adapter());
            measure(criterion, "gpu", || {
                let follower = GpuFollower::new(&device, config).expect("it fits any adapter");
                Follower::Gpu(Box::new(follower))
            });
        }
        Err(error) => eprintln!("skipped follow/gpu: {error}"),
    }
}

criterion_group!(benches, follow);
criterion_main!(benches);
