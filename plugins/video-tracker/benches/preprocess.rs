//! From a captured frame to a model's input, on the CPU and on the GPU.
//!
//! `preprocess/*` approximates what a session does for each detection: YUYV as
//! cameras give it, letterboxed to 416 × 416. The GPU's figure is the whole way:
//! up, kernel, read back. On a software adapter it says nothing about GPUs; the
//! adapter is printed.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use keepsight_contract::{Frame, FrameSize, PixelBuffer, PixelFormat};
use keepsight_gpu::{AdapterChoice, Device};
use keepsight_video_tracker::preprocess::{
    ColorOrder, CpuPreprocess, GpuPreprocess, ModelInput, Padding,
};

const INPUT: ModelInput = ModelInput {
    width: 416,
    height: 416,
    color_order: ColorOrder::Bgr,
    scale: 1.0,
    offset: 0.0,
    padding: Padding::LetterboxTopLeft(114.0),
};

const SIZES: [FrameSize; 2] = [FrameSize::new(640, 480), FrameSize::new(1920, 1080)];

fn yuyv(size: FrameSize) -> Frame {
    let bytes = (0..size.pixel_count() * 2).map(|i| (i * 31 % 251) as u8).collect::<Vec<_>>();
    Frame::builder(PixelFormat::Yuyv, size, PixelBuffer::from(bytes))
        .build()
        .expect("two bytes a pixel")
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn preprocess(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("preprocess");
    let mut tensor = vec![0.0; INPUT.elements()];
    for size in SIZES {
        let frame = yuyv(size);
        let mut path = CpuPreprocess::new(&INPUT);
        group.bench_function(format!("cpu/yuyv {size}"), |bencher| {
            bencher.iter(|| path.run(&frame, &mut tensor).expect("the frame is whole"));
        });
    }
    let device = match Device::open(&AdapterChoice { allow_software: true, name: None }) {
        Ok(device) => device,
        Err(error) => {
            eprintln!("skipped preprocess/gpu: {error}");
            return;
        }
    };
    eprintln!("preprocess/gpu runs on {}", device.adapter());
    for size in SIZES {
        let frame = yuyv(size);
        let mut path = GpuPreprocess::new(&device, &INPUT).expect("the kernel fits any adapter");
        group.bench_function(format!("gpu/yuyv {size}"), |bencher| {
            bencher
                .iter(|| path.run(&frame, deadline(), &mut tensor).expect("the device is there"));
        });
    }
}

criterion_group!(benches, preprocess);
criterion_main!(benches);
