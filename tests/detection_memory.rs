//! Whose the memory is that a detection takes: nearly all of it must be in the account of the
//! plugin, also what the threads take that compute it. A binary of its own, for its allocator
//! knows besides what the whole process has, and nothing else may run meanwhile.
#![expect(unsafe_code, reason = "an allocator that counts for the whole process")]

use std::{
    alloc::{GlobalAlloc, Layout},
    path::Path,
    sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use keepsight::{
    config::{Config, Environment},
    loader::{Catalog, ProbeProgram},
    runtime::{Runtime, RuntimeOptions},
    sandbox::CountingAllocator,
};
use keepsight_contract::{
    CallContext, CaptureWish, Frame, FrameSize, Host, Pace, PixelBuffer, PixelFormat,
    PluginRegistration, Source, SourceError, SourceEvent, SourceInfo, SourceRegistration,
    SourceUri,
};
use keepsight_video_tracker::VideoTracker;

#[global_allocator]
static ALLOCATOR: Everything = Everything;

/// The allocator that the program has, and what all of the process holds, in bytes.
struct Everything;

static HELD: AtomicI64 = AtomicI64::new(0);

// SAFETY: each call is passed on unchanged.
unsafe impl GlobalAlloc for Everything {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size() as i64, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { CountingAllocator.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size() as i64, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { CountingAllocator.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as i64, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { CountingAllocator.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        HELD.fetch_add(new_size as i64 - layout.size() as i64, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { CountingAllocator.realloc(block, layout, new_size) }
    }
}

/// Frames that share their pixels, so that the source takes nothing while they are looked at.
struct Still {
    pixels: PixelBuffer,
    sequence: u64,
}

static ENOUGH: AtomicBool = AtomicBool::new(false);
const SIZE: FrameSize = FrameSize::new(640, 480);

impl Source for Still {
    fn open(
        _: &SourceUri,
        _: &CaptureWish,
        _: &CallContext,
        _: &Host,
    ) -> Result<Self, SourceError> {
        let pixels = (0..SIZE.pixel_count() * 2).map(|place| (place % 251) as u8);
        Ok(Self { pixels: PixelBuffer::from(pixels.collect::<Vec<_>>()), sequence: 0 })
    }

    fn info(&self) -> SourceInfo {
        SourceInfo {
            device: "a still".to_owned(),
            stable_id: None,
            format: PixelFormat::Yuyv,
            size: SIZE,
            rate: None,
            live: false,
        }
    }

    fn next(&mut self, _: &CallContext) -> Result<SourceEvent, SourceError> {
        if ENOUGH.load(Relaxed) {
            return Ok(SourceEvent::Ended);
        }
        let frame = Frame::builder(PixelFormat::Yuyv, SIZE, self.pixels.clone());
        let frame = frame.sequence(self.sequence).captured(Instant::now()).build();
        self.sequence += 1;
        Ok(SourceEvent::Frame(frame.expect("the buffer holds a frame")))
    }
}

#[test]
fn nine_tenths_of_what_a_detection_takes_are_the_plugins() {
    let plugins = [PluginRegistration::of::<VideoTracker>("keepsight-video-tracker")];
    let sources = [SourceRegistration::of::<Still>("test", &["still"])];
    let catalog = Catalog::new(plugins, sources, []).unwrap();
    let environment = Environment { plugins: &catalog.plugin_ids(), variable: &|_| None };
    let toml = "version = 1
         [plugins.tracker]
         use = \"video-tracker\"
         config = { gpu = \"off\", threads = 2 }
         [streams.s]
         source = \"still:\"
         mode = \"every\"
         plugins = [\"tracker\"]";
    let config = Config::parse(toml, Path::new("test.toml"), &environment).unwrap();
    let options = RuntimeOptions {
        probe_program: ProbeProgram::at(std::env::current_exe().unwrap()),
        pace: Pace::Unpaced,
        listeners: Vec::new(),
    };
    let runtime = Runtime::new(&config, &catalog, options).unwrap();
    runtime.begin();
    assert!(runtime.wait_loaded(LIMIT), "the plugin is loaded");
    let instance = runtime.registry().find("tracker").unwrap();
    let seen = || instance.report().statistics.success_count;
    let until = |frames: u64, look: &mut dyn FnMut()| {
        let began = Instant::now();
        while seen() < frames {
            assert!(began.elapsed() < LIMIT, "{:?}", instance.report());
            look();
        }
    };
    // What is made once and kept is made with the first frames.
    until(3, &mut || thread::yield_now());
    let mut samples = Vec::with_capacity(SAMPLES_MAX);
    until(11, &mut || {
        let held = HELD.load(Relaxed);
        let charged = instance.report().memory.expect("it is measured").bytes as i64;
        // While one was read the other may have changed.
        let again = HELD.load(Relaxed);
        if samples.len() < SAMPLES_MAX && (held - again).abs() < UNSETTLED {
            samples.push((held, charged));
        }
        thread::yield_now();
    });
    ENOUGH.store(true, Relaxed);
    runtime.shut_down();

    let least = |of: fn(&(i64, i64)) -> i64| samples.iter().map(of).min().unwrap();
    let (idle_held, idle_charged) = (least(|sample| sample.0), least(|sample| sample.1));
    let (mut taken, mut charged, mut most) = (0, 0, 0);
    for (held, of_it) in &samples {
        taken += held - idle_held;
        charged += of_it - idle_charged;
        most = most.max(held - idle_held);
    }
    assert!(most > 4 << 20, "a detection takes megabytes, and this took {most} bytes");
    let share = charged as f64 / taken as f64;
    assert!((0.9..1.1).contains(&share), "{share} of what a detection takes is the plugin's");
}

const LIMIT: Duration = Duration::from_secs(60);
const SAMPLES_MAX: usize = 1 << 20;
/// How far the accounts may be off for each thread.
const UNSETTLED: i64 = 64 << 10;
