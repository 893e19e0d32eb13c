//! From a camera's YUYV to RGB and to brightness at 1080p, on one thread, beside the crate `yuv`
//! on the same bytes. Both write into new memory, as a frame's pixels are; the last line is how
//! long ours take as a share of the crate's, which chooses AVX2 where the processor has it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use keepsight_contract::{Frame, FrameSize, PixelBuffer, PixelFormat};
use yuv::{YuvPackedImage, YuvRange, YuvStandardMatrix};

const SIZE: FrameSize = FrameSize::new(1920, 1080);

fn yuyv() -> Frame {
    let mut noise = 0x2545_f491_u32;
    let bytes: Vec<u8> = (0..SIZE.pixel_count() * 2)
        .map(|_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        })
        .collect();
    Frame::builder(PixelFormat::Yuyv, SIZE, PixelBuffer::from(bytes))
        .build()
        .expect("two bytes a pixel")
}

fn theirs(frame: &Frame) -> Vec<u8> {
    let image = YuvPackedImage {
        yuy: frame.pixels(),
        yuy_stride: SIZE.width * 2,
        width: SIZE.width,
        height: SIZE.height,
    };
    let mut rgb = vec![0; SIZE.pixel_count() as usize * 3];
    let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt601);
    yuv::yuyv422_to_rgb(&image, &mut rgb, SIZE.width * 3, range, matrix).expect("sizes agree");
    rgb
}

/// The crate keeps brightness only beside both colour planes, so this one is a plain loop.
fn plain_luma(frame: &Frame) -> Vec<u8> {
    frame.pixels().iter().step_by(2).copied().collect()
}

/// The median of 200 runs each, taken in turns, so that whatever slows one slows the other.
fn ratio<A, B>(mut ours: impl FnMut() -> A, mut theirs: impl FnMut() -> B) -> f64 {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..200 {
        let start = Instant::now();
        black_box(ours());
        let between = Instant::now();
        black_box(theirs());
        times[0].push(between - start);
        times[1].push(between.elapsed());
    }
    let [ours, theirs] = times.map(|mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    });
    ours / theirs
}

fn convert(c: &mut Criterion) {
    let frame = yuyv();
    let mut group = c.benchmark_group("yuyv_1080p");
    group.sample_size(30).warm_up_time(Duration::from_secs(1));
    group.measurement_time(Duration::from_secs(3));
    group.bench_function("rgb/ours", |b| b.iter(|| black_box(&frame).to_rgb().unwrap()));
    group.bench_function("rgb/yuv", |b| b.iter(|| theirs(black_box(&frame))));
    group.bench_function("luma/ours", |b| b.iter(|| black_box(&frame).luma().unwrap()));
    group.bench_function("luma/plain", |b| b.iter(|| plain_luma(black_box(&frame))));
    group.finish();
    eprintln!(
        "yuyv_1080p: ours take {:.2} times the crate's time to RGB, {:.2} times a plain loop's to luma",
        ratio(|| black_box(&frame).to_rgb(), || theirs(black_box(&frame))),
        ratio(|| black_box(&frame).luma(), || plain_luma(black_box(&frame))),
    );
}

criterion_group!(benches, convert);
criterion_main!(benches);
