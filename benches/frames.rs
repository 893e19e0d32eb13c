//! What a frame's way to a plugin takes: a 1080p YUYV frame from the moment its source gives it
//! until the plugin's `run` begins on the session's thread, through the stream's state, the check
//! for a frozen picture, the mailbox and the sandbox. No pixel is copied on the way: the plugin
//! sees the buffer that the source gave, which each round asserts. Budget: 20 µs.
//!
//! Frames are given one at a time, each after the one before was seen, so that the session waits
//! for it, as one does behind a camera; most of what is measured is the system waking its thread.

use std::{
    hint::black_box,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError, mpsc},
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use keepsight::{
    config::{Config, Environment},
    loader::{Catalog, ProbeProgram},
    runtime::{Runtime, RuntimeOptions},
    sandbox::CountingAllocator,
};
use keepsight_contract::{
    CallContext, CallError, CaptureWish, Frame, FrameSize, Host, InitError, Manifest, Pace,
    PixelBuffer, PixelFormat, Plugin, PluginRegistration, Request, Response, Source, SourceError,
    SourceEvent, SourceInfo, SourceRegistration, SourceUri, StreamInfo, Tool,
};
use serde::Deserialize;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

criterion_group!(benches, hand_over, against_budget);
criterion_main!(benches);

fn hand_over(criterion: &mut Criterion) {
    let _runtime = runtime();
    criterion.bench_function("hand-over of a 1080p frame", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| one_frame()).sum::<Duration>());
    });
}

/// The figure that the budget names, beside what waking a thread takes here at all.
fn against_budget(_: &mut Criterion) {
    let _runtime = runtime();
    const ROUNDS: usize = 20_000;
    let times = |one: &mut dyn FnMut() -> Duration| {
        (0..1000).for_each(|_| {
            one();
        });
        let mut times: Vec<_> = (0..ROUNDS).map(|_| one().as_nanos() as f64 / 1e3).collect();
        times.sort_by(f64::total_cmp);
        (times[ROUNDS / 2], times[ROUNDS * 99 / 100])
    };
    let (sender, received) = mpsc::sync_channel::<Instant>(1);
    let (answer, answered) = mpsc::sync_channel(1);
    let waiting = std::thread::spawn(move || {
        for sent in received {
            answer.send(sent.elapsed()).expect("the bench waits for it");
        }
    });
    let bare = times(&mut || {
        sender.send(Instant::now()).expect("the thread lives");
        answered.recv().expect("the thread answers")
    });
    drop(sender);
    waiting.join().expect("the thread ends");
    let ours = times(&mut one_frame);
    eprintln!(
        "hand-over of a 1080p frame: {:.1} µs (p99 {:.1}), budget 20 µs; a bare channel between \
         two threads: {:.1} µs (p99 {:.1})",
        ours.0, ours.1, bare.0, bare.1
    );
}

/// Has the source give a frame and waits until the plugin has seen it; how long that took.
fn one_frame() -> Duration {
    let wires = WIRES.get().expect("the runtime was started");
    let of = |address: &Mutex<mpsc::Receiver<Seen>>| {
        address.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(PATIENCE)
    };
    wires.give.send(()).expect("the source lives as long as the process");
    let Seen { took, address } = of(&wires.seen).expect("the plugin sees the frame");
    assert!(wires.addresses.contains(&address), "the pixels were copied");
    took
}

/// What connects the bench with its source and its plugin.
struct Wires {
    give: mpsc::Sender<()>,
    given: Mutex<mpsc::Receiver<()>>,
    see: mpsc::Sender<Seen>,
    seen: Mutex<mpsc::Receiver<Seen>>,
    buffers: [PixelBuffer; 2],
    addresses: [usize; 2],
}

struct Seen {
    took: Duration,
    address: usize,
}

static WIRES: OnceLock<Wires> = OnceLock::new();

fn wires() -> Wires {
    let ((give, given), (see, seen)) = (mpsc::channel(), mpsc::channel());
    // Two in turn that differ everywhere, as a camera's do.
    let buffers = [16_u8, 17].map(|shade| PixelBuffer::from(vec![shade; 1920 * 1080 * 2]));
    let addresses = buffers.each_ref().map(|buffer| buffer.as_ref().as_ptr().addr());
    Wires { give, given: Mutex::new(given), see, seen: Mutex::new(seen), buffers, addresses }
}

/// Gives a frame whenever it is told to.
struct OnDemand {
    sequence: u64,
}

impl Source for OnDemand {
    fn open(
        _: &SourceUri,
        _: &CaptureWish,
        _: &CallContext,
        _: &Host,
    ) -> Result<Self, SourceError> {
        Ok(Self { sequence: 0 })
    }

    fn info(&self) -> SourceInfo {
        SourceInfo {
            device: "on demand".to_owned(),
            stable_id: None,
            format: PixelFormat::Yuyv,
            size: SIZE,
            rate: None,
            live: true,
        }
    }

    fn next(&mut self, _: &CallContext) -> Result<SourceEvent, SourceError> {
        let wires = WIRES.get().expect("made before the runtime");
        let given = wires.given.lock().unwrap_or_else(PoisonError::into_inner);
        if given.recv_timeout(Duration::from_millis(200)).is_err() {
            return Ok(SourceEvent::Pending);
        }
        let pixels = wires.buffers[(self.sequence % 2) as usize].clone();
        let frame = Frame::builder(PixelFormat::Yuyv, SIZE, pixels).sequence(self.sequence);
        self.sequence += 1;
        let frame = frame.captured(Instant::now()).build().expect("the buffer holds a frame");
        Ok(SourceEvent::Frame(frame))
    }
}

/// Says when it sees a frame.
struct Seer;

/// Nothing can be configured.
#[derive(Deserialize)]
struct Nothing {}

impl Plugin for Seer {
    type Config = Nothing;
    type Session = ();

    fn manifest() -> Manifest {
        Manifest::new("seer", "Seer", "1.0.0", "says when it sees a frame")
            .tool(Tool::new("see", "See", "says when it sees a frame"))
            .stream_tool("see")
    }

    fn init(_: Nothing, _: &Host) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn open(&self, _: &StreamInfo, _: &Host) -> Result<(), CallError> {
        Ok(())
    }

    fn run(&self, (): &mut (), request: &Request, _: &CallContext) -> Result<Response, CallError> {
        let frame = request.frame().ok_or_else(|| CallError::bad_arguments("frames only"))?;
        let took = frame.captured().elapsed();
        let address = black_box(frame.pixels()).as_ptr().addr();
        WIRES.get().expect("made before the runtime").see.send(Seen { took, address })?;
        Ok(Response::new())
    }
}

/// A stream of frames on demand into the plugin, at work; one for the process.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Arc<Runtime>> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        WIRES.get_or_init(wires);
        let plugins = [PluginRegistration::of::<Seer>("bench")];
        let sources = [SourceRegistration::of::<OnDemand>("bench", &["demand"])];
        let catalog = Catalog::new(plugins, sources, []).expect("nothing is here twice");
        let environment = Environment { plugins: &catalog.plugin_ids(), variable: &|_| None };
        let toml = "version = 1\n[plugins.seer]\n[streams.s]\nsource = \"demand:\"\n\
                    plugins = [\"seer\"]";
        let config = Config::parse(toml, Path::new("bench.toml"), &environment)
            .unwrap_or_else(|error| panic!("{error}"));
        let program = std::env::current_exe().expect("the program knows where it is");
        let options = RuntimeOptions {
            probe_program: ProbeProgram::at(program),
            pace: Pace::Native,
            listeners: Vec::new(),
        };
        let runtime = Runtime::new(&config, &catalog, options).expect("the configuration fits");
        runtime.begin();
        assert!(runtime.wait_loaded(PATIENCE), "the plugin is loaded");
        // The first frame opens the session.
        one_frame();
        Arc::new(runtime)
    })
}

const SIZE: FrameSize = FrameSize::new(1920, 1080);
const PATIENCE: Duration = Duration::from_secs(30);
