//! What a whole frame costs, from its bytes to tracks, on this machine's processor.
//!
//! By pixels: a YUYV frame through the bundled detector and the association, as a session runs it.
//! By targets: the same without a detector, from given detections of as many people who walk about;
//! stands for what everything but the detector takes. On the frames between two looks of the
//! detector, targets are followed (`follow`) or only expected.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use keepsight_contract::{
    Frame, FrameSize, PixelBuffer, PixelFormat, Plugin, Request, StreamInfo,
    testing::{RecordingHost, call_context},
};
use keepsight_video_tracker::{Session, VideoTracker};
use serde_json::{Value, json};

criterion_group!(benches, by_pixels, by_targets);
criterion_main!(benches);

fn by_pixels(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame, by pixels");
    group.sample_size(10).measurement_time(Duration::from_secs(4));
    for (name, width, height) in
        [("640x480", 640, 480), ("1920x1080", 1920, 1080), ("3840x2160", 3840, 2160)]
    {
        let mut stream = Stream::new(&json!({"gpu": "off"}), width, height);
        group.bench_function(name, |bencher| bencher.iter(|| stream.track()));
    }
    group.finish();
}

fn by_targets(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let mut group = criterion.benchmark_group("frame, by targets");
    group.sample_size(20);
    for people in [1, 10, 50, 200] {
        let path = folder.path().join(format!("{people}.txt"));
        std::fs::write(&path, walkers(people)).expect("the file can be written");
        let given = json!({"detections": path});
        let mut stream = Stream::new(&given, 1920, 1080);
        let id = BenchmarkId::new("detections on every frame", people);
        group.bench_function(id, |bencher| bencher.iter(|| stream.track()));
        for (name, follow) in [("every second followed", true), ("every second expected", false)] {
            let mut settings = given.clone();
            (settings["detect_every"], settings["follow"]) = (json!(2), json!(follow));
            let mut stream = Stream::new(&settings, 1920, 1080);
            let id = BenchmarkId::new(name, people);
            group.bench_function(id, |bencher| bencher.iter(|| stream.track()));
        }
    }
    group.finish();
}

/// A stream at 30 frames a second that sees the same pixels again and again.
struct Stream {
    plugin: VideoTracker,
    session: Session,
    size: FrameSize,
    pixels: PixelBuffer,
    began: Instant,
    frames: u32,
}

impl Stream {
    fn new(settings: &Value, width: u32, height: u32) -> Self {
        let host = RecordingHost::new().host();
        let config = serde_json::from_value(settings.clone()).expect("a configuration");
        let plugin = VideoTracker::init(config, &host).expect("the tracker is built");
        let info = StreamInfo::new("bench").with_settings(settings.clone());
        let session = plugin.open(&info, &host).expect("the session is opened");
        let pixels = (0..width * height * 2).map(|place| (place * 7 % 251) as u8);
        let mut stream = Self {
            plugin,
            session,
            size: FrameSize::new(width, height),
            pixels: PixelBuffer::from(pixels.collect::<Vec<_>>()),
            began: Instant::now(),
            frames: 0,
        };
        // Everyone is confirmed and what is made once is made.
        (0..8).for_each(|_| stream.track());
        stream
    }

    fn track(&mut self) {
        // There and back, so that nobody jumps.
        let place = self.frames % (2 * FRAMES - 2);
        let sequence = if place < FRAMES { place } else { 2 * FRAMES - 2 - place };
        let captured = self.began + self.frames * Duration::from_millis(33);
        self.frames += 1;
        let frame = Frame::builder(PixelFormat::Yuyv, self.size, self.pixels.clone())
            .sequence(sequence.into())
            .captured(captured)
            .build()
            .expect("the buffer holds a frame");
        let request = Request::new("track").with_frame(frame);
        let call = call_context(Duration::from_secs(60));
        let response = self.plugin.run(&mut self.session, &request, &call);
        std::hint::black_box(response.expect("the frame is tracked"));
    }
}

/// Detections of people on a lattice who each walk in a circle, in MOT text.
fn walkers(people: u32) -> String {
    let mut text = String::new();
    for frame in 0..FRAMES {
        for person in 0..people {
            let (column, row) = (person % 20, person / 20);
            let (sin, cos) = (frame as f32 * 0.05 + person as f32).sin_cos();
            let (x, y) = (20.0 + 92.0 * column as f32 + 15.0 * cos, 20.0 + 105.0 * row as f32);
            let _ = writeln!(text, "{},-1,{x:.1},{:.1},36,90,0.9", frame + 1, y + 8.0 * sin);
        }
    }
    text
}

const FRAMES: u32 = 120;
