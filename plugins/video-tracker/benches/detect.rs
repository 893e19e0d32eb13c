//! A detector from a frame to detections: the engine on the CPU, on 1 and 2 threads and on as many
//! as there are, and the executor on the GPU.
//!
//! It approximates what a session does for each detection: YUYV at 640 × 480 as cameras give it.
//! The GPU's figure is the whole way, with the upload and the read-back; what the device itself
//! took by its own clock is printed behind it, beside the operations done and the bytes moved. On a
//! software adapter that says nothing about GPUs; the adapter is printed.
//!
//! `KEEPSIGHT_TEST_YOLOX` may name an ONNX file of the YOLOX family, with its description beside
//! it, which is then measured too.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use keepsight_contract::testing::RecordingHost;
use keepsight_contract::{Frame, FrameSize, PixelBuffer, PixelFormat};
use keepsight_video_tracker::detect::{
    DetectOptions, DetectPath, DetectScratch, Detector, GpuOffer, GpuPolicy, GpuWish, ModelFile,
    choose,
};

const SIZE: FrameSize = FrameSize::new(640, 480);

fn yuyv() -> Frame {
    let bytes = (0..SIZE.pixel_count() * 2).map(|i| (i * 31 % 251) as u8).collect::<Vec<_>>();
    Frame::builder(PixelFormat::Yuyv, SIZE, PixelBuffer::from(bytes))
        .build()
        .expect("two bytes a pixel")
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn detect(criterion: &mut Criterion) {
    let mut files = vec![("ssdlite", ModelFile::bundled())];
    match std::env::var_os("KEEPSIGHT_TEST_YOLOX") {
        Some(path) => {
            files.push(("yolox", ModelFile::read(path.as_ref()).expect("a model that is there")));
        }
        None => eprintln!("skipped detect/yolox: KEEPSIGHT_TEST_YOLOX names no model"),
    }
    let mut group = criterion.benchmark_group("detect");
    group.sample_size(10);
    let frame = yuyv();
    let recording = RecordingHost::new();
    let (host, scope) = (recording.host(), recording.host().scope());
    let options = DetectOptions::default();
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    for (name, file) in files {
        let mut threads = vec![1, 2, all];
        threads.dedup();
        for threads in threads {
            let detector =
                Detector::load(file.clone(), threads, &scope).expect("it was tried before");
            let mut scratch = DetectScratch::default();
            let mut path = DetectPath::cpu(detector.input());
            group.bench_function(format!("{name}/cpu, {threads} threads"), |bencher| {
                bencher.iter(|| {
                    detector
                        .detect(&mut scratch, &mut path, &frame, &options, deadline())
                        .expect("the model was tried at load")
                });
            });
        }
        let wish = GpuWish { policy: GpuPolicy::Required, adapter: None, software_allowed: true };
        let offer = GpuOffer::new(wish, &file);
        let detector = Detector::load(file, 1, &scope).expect("it was tried before");
        let choice = match choose(offer, &detector) {
            Ok(choice) => choice,
            Err(error) => {
                eprintln!("skipped detect/{name}/gpu: {error}");
                continue;
            }
        };
        let device = choice.path.device().expect("a GPU was required");
        let label = format!("{name}/gpu, {}", device.adapter());
        let (mut session, _) = choice.path.session(&host);
        session.with(deadline(), |path| {
            let mut scratch = DetectScratch::default();
            let (mut shortest, mut runs) = ((Duration::MAX, Duration::MAX), 0);
            group.bench_function(&label, |bencher| {
                bencher.iter(|| {
                    let found = detector
                        .detect(&mut scratch, path, &frame, &options, deadline())
                        .expect("the device is there");
                    if let Some((preprocess, network)) = path.device_times() {
                        shortest = (shortest.0.min(preprocess), shortest.1.min(network));
                        runs += 1;
                    }
                    found
                });
            });
            if let (Some(work), 1..) = (path.work(), runs) {
                let seconds = shortest.1.as_secs_f64();
                eprintln!(
                    "detect/{label}: by the device's clock, at best of {runs}: preprocess {:.2?}, \
                     network {:.2?}; {} steps, {:.2} GMAC ({:.1} GMAC/s), {:.1} MB read and \
                     written ({:.1} GB/s), {:.1} MB of memory",
                    shortest.0,
                    shortest.1,
                    work.steps,
                    work.multiply_adds as f64 / 1e9,
                    work.multiply_adds as f64 / 1e9 / seconds,
                    work.bytes as f64 / 1e6,
                    work.bytes as f64 / 1e9 / seconds,
                    work.arena_bytes as f64 / 1e6,
                );
            }
        });
    }
}

criterion_group!(benches, detect);
criterion_main!(benches);
