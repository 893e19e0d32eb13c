//! The plugin as the runtime drives it, without the runtime.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use keepsight_contract::{
    BoundingBox, CallError, Detections, Frame, FrameSize, InitError, OutputKind, OverlayShape,
    PixelBuffer, PixelFormat, Plugin, Request, Requirement, Response, StreamInfo, TrackState,
    Tracks,
    testing::{RecordingHost, call_context, frames},
};
use serde_json::{Value, json};

use super::{Config, Session, VideoTracker};

const LIMIT: Duration = Duration::from_secs(60);

/// An instance, its host, and a stream at 10 frames a second.
struct Bench {
    plugin: VideoTracker,
    recording: RecordingHost,
    session: Session,
    began: Instant,
}

impl Bench {
    fn new(config: Value) -> Self {
        let recording = RecordingHost::new();
        let plugin = init(&config, &recording).unwrap_or_else(|error| panic!("{error}"));
        let session = open(&plugin, &recording, config).unwrap_or_else(|error| panic!("{error}"));
        Self { plugin, recording, session, began: Instant::now() }
    }

    /// A stream whose detections are those of `text`, in MOT text.
    fn given(text: &str, config: Value) -> (tempfile::TempDir, Self) {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "det.txt", text);
        let config = StreamInfo::merge_settings(&config, &json!({"detections": path}));
        (folder, Self::new(config))
    }

    fn frame(&self, sequence: u64, width: u32, height: u32) -> Frame {
        let pixels = PixelBuffer::from(vec![128; (width * height) as usize]);
        Frame::builder(PixelFormat::Gray, FrameSize::new(width, height), pixels)
            .sequence(sequence)
            .captured(self.began + Duration::from_millis(100) * sequence as u32)
            .build()
            .unwrap()
    }

    fn call(&mut self, tool: &str, args: Value, frame: Frame) -> Result<Response, CallError> {
        let request = Request::new(tool).with_args(args).with_frame(frame);
        Plugin::run(&self.plugin, &mut self.session, &request, &call_context(LIMIT))
    }

    fn track(&mut self, sequence: u64) -> Response {
        let frame = self.frame(sequence, 200, 100);
        self.call("track", Value::Null, frame).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What the last event of a kind said.
    #[cfg(all(feature = "gpu", feature = "bundled-model"))]
    fn last_event(&self, wanted: &str) -> Value {
        let events = self.recording.events().into_iter().rev();
        let mut of_kind = events.filter(|(kind, _)| kind == wanted);
        of_kind.next().expect("there was one").1
    }

    /// Kinds, track ids and reasons of the events so far.
    fn events(&self) -> Vec<(String, u64, String)> {
        let events = self.recording.events().into_iter();
        events
            .map(|(kind, data)| {
                assert_eq!(data["stream"], "test");
                let reason = data["reason"].as_str().unwrap_or_default().to_owned();
                (kind, data["track_id"].as_u64().unwrap(), reason)
            })
            .collect()
    }
}

fn init(config: &Value, recording: &RecordingHost) -> Result<VideoTracker, InitError> {
    let config = serde_json::from_value(config.clone()).expect("a configuration");
    VideoTracker::init(config, &recording.host())
}

fn open(
    plugin: &VideoTracker,
    recording: &RecordingHost,
    settings: Value,
) -> Result<Session, CallError> {
    let stream = StreamInfo::new("test").with_settings(settings);
    Plugin::open(plugin, &stream, &recording.host())
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// One detection at `x` on each of the first `frames` frames, moving 5 px a frame.
fn walker(frames: u64, x: u64) -> String {
    let row = |frame| format!("{},-1,{},20,30,60,0.9\n", frame + 1, x + 5 * frame);
    (0..frames).map(row).collect()
}

#[track_caller]
fn tracks(response: &Response) -> Vec<(u64, TrackState)> {
    let tracks = response.output::<Tracks>().expect("tracks are there");
    tracks.0.iter().map(|track| (track.track_id, track.state)).collect()
}

#[test]
fn given_detections_become_tracks() {
    let (_folder, mut bench) = Bench::given(&walker(8, 10), json!({"classes": ["person"]}));
    for sequence in 0..8 {
        let response = bench.track(sequence);
        assert_eq!(tracks(&response), [(1, TrackState::Confirmed)]);
        assert_eq!(response.output::<Detections>().unwrap().0.len(), 1);
    }
    let response = bench.track(8);
    assert_eq!(tracks(&response), [(1, TrackState::Coasting)]);
    let track = &response.output::<Tracks>().unwrap().0[0];
    assert_eq!((&*track.class, track.class_id, track.age_frames), ("person", 0, 9));
    assert_eq!(track.first_sequence, 0);
    assert!((track.since_seconds - 0.8).abs() < 1e-9, "{} s", track.since_seconds);
    assert!((track.velocity[0] - 50.0).abs() < 5.0, "{} px/s", track.velocity[0]);
    for sequence in 9..19 {
        bench.track(sequence);
    }
    let told = |kind: &str, reason: &str| (kind.to_owned(), 1, reason.to_owned());
    assert_eq!(bench.events(), [told("track_started", ""), told("track_ended", "lost")]);
    assert_eq!(bench.recording.host().histogram("associate_ms").snapshot().count, 19);
}

#[test]
fn camera_motion_is_taken_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let jumps = "1,-1,10,20,30,60,0.9\n2,-1,130,20,30,60,0.9\n";
    let detections = write(folder.path(), "det.txt", jumps);
    let motion = write(folder.path(), "gmc.txt", "2 1 0 120 0 1 0\n");
    let mut bench = Bench::new(json!({"detections": detections, "camera_motion": motion}));
    bench.track(0);
    assert_eq!(tracks(&bench.track(1)), [(1, TrackState::Confirmed)]);
}

#[test]
fn between_detections_tracks_go_on() {
    let (_folder, mut bench) = Bench::given(&walker(9, 10), json!({"detect_every": 3}));
    for sequence in 0..9 {
        let response = bench.track(sequence);
        let detected = response.output::<Detections>().is_some();
        assert_eq!(detected, sequence % 3 == 0, "frame {sequence}");
        assert_eq!(tracks(&response), [(1, TrackState::Confirmed)]);
    }
}

#[test]
fn what_is_masked_is_not_there() {
    let text = "1,-1,10,20,30,60,0.9\n1,-1,150,20,30,60,0.9\n";
    let mask = json!([[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]);
    let (_folder, mut bench) = Bench::given(text, json!({"masks": [mask]}));
    let response = bench.track(0);
    assert_eq!(response.output::<Tracks>().unwrap().0[0].bbox.x, 150.0);
    assert_eq!(tracks(&response).len(), 1);
    let outline = vec![[0.0, 0.0], [100.0, 0.0], [100.0, 100.0], [0.0, 100.0], [0.0, 0.0]];
    let [OverlayShape::Line { points, .. }] = &response.overlay[..] else {
        panic!("{:?}", response.overlay)
    };
    assert_eq!(points, &outline);
}

#[test]
fn a_track_that_is_seen_leaves_a_trail() {
    let (_folder, mut bench) = Bench::given(&walker(50, 10), json!({}));
    let last = (0..50).map(|sequence| bench.track(sequence)).last().unwrap();
    let [OverlayShape::Line { points, .. }] = &last.overlay[..] else { panic!("no trail") };
    assert_eq!(points.len(), 32);
    assert!(points[31][0] > points[0][0] + 100.0);
}

#[test]
fn a_picture_of_another_size_is_another_scene() {
    let (_folder, mut bench) = Bench::given(&walker(4, 10), json!({}));
    bench.track(0);
    let wider = bench.frame(1, 300, 100);
    let response = bench.call("track", Value::Null, wider).unwrap();
    assert_eq!(tracks(&response), [(2, TrackState::Confirmed)]);
    let kinds: Vec<_> = bench.events().into_iter().map(|(kind, id, _)| (kind, id)).collect();
    let told = |kind: &str, id| (kind.to_owned(), id);
    let expected = [told("track_started", 1), told("track_ended", 1), told("track_started", 2)];
    assert_eq!(kinds, expected);
}

#[test]
fn a_stream_opened_anew_uses_no_id_twice() {
    let (folder, mut bench) = Bench::given(&walker(2, 10), json!({}));
    assert_eq!(tracks(&bench.track(0)), [(1, TrackState::Confirmed)]);
    let settings = json!({"detections": folder.path().join("det.txt")});
    bench.session = open(&bench.plugin, &bench.recording, settings).unwrap();
    assert_eq!(tracks(&bench.track(0)), [(2, TrackState::Confirmed)]);
}

#[test]
fn only_confident_detections_are_reported() {
    let text = "1,-1,10,20,30,60,0.9\n1,-1,150,20,30,60,0.3\n";
    let (_folder, mut bench) = Bench::given(text, json!({}));
    for (args, expected) in [
        (Value::Null, 1),
        (json!({}), 1),
        (json!({"confidence": 0.2}), 2),
        (json!({"confidence": 1}), 0),
    ] {
        let frame = bench.frame(0, 200, 100);
        let response = bench.call("detect", args, frame).unwrap();
        assert_eq!(response.output::<Detections>().unwrap().0.len(), expected);
        assert!(response.output::<Tracks>().is_none());
    }
    let frame = bench.frame(0, 200, 100);
    let error = bench.call("detect", json!({"confidence": 2}), frame).unwrap_err();
    assert!(matches!(error, CallError::BadArguments(_)), "{error}");
}

#[test]
fn calls_that_ask_for_what_there_is_not_are_refused() {
    let (_folder, mut bench) = Bench::given("", json!({}));
    let frame = bench.frame(0, 200, 100);
    let unknown = bench.call("segment", Value::Null, frame).unwrap_err();
    assert!(matches!(unknown, CallError::BadArguments(_)), "{unknown}");
    let request = Request::new("track");
    let none = Plugin::run(&bench.plugin, &mut bench.session, &request, &call_context(LIMIT));
    assert!(matches!(none, Err(CallError::BadArguments(_))));
}

#[test]
fn files_that_cannot_be_read_fail_init_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let broken = write(folder.path(), "det.txt", "1,-1,x\n");
    for (config, said) in [
        (json!({"detections": broken}), "line 1, column 3: \"x\" is not a number"),
        (json!({"detections": "/nonexistent/det.txt"}), "can't open /nonexistent/det.txt"),
    ] {
        let Err(error) = init(&config, &RecordingHost::new()) else { panic!("it reads {config}") };
        assert!(matches!(error, InitError::Failed(_)));
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn configurations_that_make_no_sense_are_refused() {
    let unknown = serde_json::from_value::<Config>(json!({"modle": "x"})).unwrap_err();
    assert!(unknown.to_string().contains("modle"), "{unknown}");
    for config in [
        json!({"thresholds": {"high": 0.5, "low": 0.6, "new": 0.7}}),
        json!({"thresholds": {"high": 0.5, "low": 0.1, "new": 0.4}}),
        json!({"lost_after": "2min"}),
        json!({"detections_max": 1_001}),
        json!({"gpu": "required"}),
    ] {
        let config = StreamInfo::merge_settings(&config, &json!({"detections": "/dev/null"}));
        let error = init(&config, &RecordingHost::new());
        assert!(matches!(error, Err(InitError::Failed(_))), "{config} was taken");
    }
}

#[test]
fn a_stream_cannot_change_what_is_the_instances() {
    let parse = |config: Value| serde_json::from_value::<Config>(config).unwrap();
    let instance = parse(json!({"gpu": "off"}));
    let check = |stream: Value| {
        VideoTracker::check_stream(&instance, &parse(stream)).map_err(|error| error.to_string())
    };
    assert_eq!(check(json!({"gpu": "off", "detect_every": 3, "classes": ["car"]})), Ok(()));
    for (key, value) in [
        ("gpu", json!("auto")),
        ("adapter", json!("x")),
        ("software_gpu", json!(true)),
        ("model", json!("x.onnx")),
        ("threads", json!(1)),
    ] {
        let mut stream = json!({"gpu": "off"});
        stream[key] = value;
        let error = check(stream).unwrap_err();
        assert!(error.starts_with(&format!("{key} is the whole instance's")), "{error}");
    }
    assert!(check(json!({"gpu": "off", "lost_after": "5min"})).is_err());
}

#[test]
fn what_is_needed_follows_from_the_configuration() {
    let kinds = |config: Value| -> Vec<_> {
        let config = serde_json::from_value(config).unwrap();
        VideoTracker::requirements(&config).iter().map(Requirement::kind).collect()
    };
    assert_eq!(kinds(json!({})), [""; 0]);
    assert_eq!(kinds(json!({"model": "x.onnx", "gpu": "required"})), ["model_file", "gpu"]);
}

#[test]
fn a_missing_model_is_unmet_and_not_a_failure() {
    let error = init(&json!({"model": "/nonexistent/x.onnx"}), &RecordingHost::new());
    let Err(InitError::Unmet(finding)) = error else { panic!("there is no such file") };
    assert_eq!(finding.code, "dependency.model_missing");
}

#[test]
fn the_manifest_names_what_a_stream_runs() {
    let manifest = VideoTracker::manifest();
    assert_eq!(manifest.stream_tool.as_deref(), Some("track"));
    assert_eq!(manifest.produces, [OutputKind::Detections, OutputKind::Tracks]);
    let tools: Vec<_> = manifest.tools.iter().map(|tool| tool.id.as_str()).collect();
    assert_eq!(tools, ["detect", "track"]);
}

#[test]
fn a_model_that_gives_no_numbers_costs_the_frames_for_which_it_does() {
    use crate::detect::onnx_fixture::{roots, write_model};

    let folder = tempfile::tempdir().unwrap();
    let (bytes, description) = roots();
    let model = write_model(folder.path(), &bytes, description);
    let mut bench = Bench::new(json!({"gpu": "off", "threads": 1, "model": model}));
    let mut track = |sequence, shade: u8| {
        let frame = keepsight_contract::testing::frames::gray(32, 32, |_, _| shade);
        bench.call("track", Value::Null, frame.renumbered(sequence))
    };
    assert_eq!(tracks(&track(0, 200).unwrap()), [(1, TrackState::Confirmed)]);
    for sequence in 1..3 {
        let error = track(sequence, 20).unwrap_err();
        assert!(matches!(error, CallError::Failed(_)), "{error}");
        assert!(error.to_string().contains("147 numbers that are none"), "{error}");
    }
    assert_eq!(tracks(&track(3, 200).unwrap()), [(1, TrackState::Confirmed)]);
}

/// More than are taken, all at once and of all sizes: the best of them are tracked.
#[test]
fn thousands_of_detections_become_as_many_tracks_as_are_wanted() {
    let rows = (0..5_000).map(|index| {
        let (x, y) = (20 * (index % 100), 30 * (index / 100));
        format!("1,-1,{x},{y},18,28,{}\n2,-1,{x},{y},18,28,0.9\n", 0.7 + f64::from(index) / 2e4)
    });
    let (_folder, mut bench) =
        Bench::given(&rows.collect::<String>(), json!({"detections_max": 1_000}));
    for sequence in 0..2 {
        let frame = bench.frame(sequence, 2_000, 1_500);
        let response = bench.call("track", Value::Null, frame).unwrap();
        let found = tracks(&response);
        assert!((1_000..=2_000).contains(&found.len()), "{} tracks", found.len());
    }
    assert_eq!(bench.recording.host().counter("inputs_refused").value(), 8_000);
}

#[cfg(feature = "bundled-model")]
mod with_the_bundled_model {
    use keepsight_contract::{CallContext, CancelToken, testing::frames};

    use super::*;

    #[test]
    fn any_format_and_size_goes_through() {
        let mut bench = Bench::new(json!({"gpu": "off", "threads": 1}));
        assert_eq!(bench.recording.degraded(), []);
        let yuyv = |size: u32| vec![128; (size * size * 2) as usize];
        for frame in [
            frames::gray(64, 48, |x, _| x as u8),
            frames::rgb(200, 333, |x, y| [x as u8, y as u8, 0]),
            frames::from_bytes(PixelFormat::Yuyv, 32, 32, yuyv(32)),
            frames::from_bytes(PixelFormat::Nv12, 31, 17, vec![128; 32 * 17 + 32 * 9]),
        ] {
            let format = frame.format();
            let response = bench.call("track", Value::Null, frame);
            let response = response.unwrap_or_else(|error| panic!("{format:?}: {error}"));
            assert!(response.output::<Detections>().is_some());
        }
        let host = bench.recording.host();
        assert_eq!(host.histogram("detect_ms").snapshot().count, 4);
        let damaged = frames::from_bytes(PixelFormat::Mjpeg, 8, 8, vec![0xFF]);
        let error = bench.call("track", Value::Null, damaged).unwrap_err();
        assert!(matches!(error, CallError::Failed(_)), "{error}");
    }

    #[test]
    fn classes_are_the_models() {
        let config = json!({"gpu": "off", "threads": 1, "classes": ["person", "unicorn"]});
        let Err(error) = init(&config, &RecordingHost::new()) else { panic!("it knows unicorns") };
        assert!(error.to_string().contains("no \"unicorn\"; it knows person, "), "{error}");
    }

    #[test]
    fn nobody_waits_for_a_cancelled_call() {
        let mut bench = Bench::new(json!({"gpu": "off", "threads": 1}));
        let token = CancelToken::default();
        token.cancel();
        let call = CallContext::new(Instant::now() + LIMIT, token);
        let request = Request::new("track").with_frame(bench.frame(0, 64, 64));
        let answer = Plugin::run(&bench.plugin, &mut bench.session, &request, &call);
        assert!(matches!(answer, Err(CallError::Cancelled)));
    }

    /// With the driver there is: the kernel's path, or a reason for the CPU's.
    #[cfg(feature = "gpu")]
    /// The host's probes found no GPU in their own process, so this one doesn't look.
    #[cfg(feature = "gpu")]
    #[test]
    fn automatic_choice_believes_the_hosts_probes() {
        let none = keepsight_contract::Finding::unmet(
            "dependency.gpu_missing",
            "GPU",
            "none seen",
            "buy one",
        );
        let recording = RecordingHost::with_finding(none);
        init(&json!({}), &recording).expect("the CPU does it");
        let degraded = recording.degraded();
        assert_eq!(
            (degraded[0].reason.as_str(), degraded[0].hint.as_str()),
            ("none seen", "buy one")
        );
    }

    #[test]
    fn automatic_choice_works_or_says_why_not() {
        let mut bench = Bench::new(json!({"threads": 1}));
        for degraded in bench.recording.degraded() {
            assert_eq!(degraded.code, "gpu.cpu_fallback");
            assert!(!degraded.reason.is_empty() && !degraded.hint.is_empty());
        }
        let frame = bench.frame(0, 64, 64);
        bench.call("track", Value::Null, frame).unwrap();
    }

    /// The device is lost under a running stream: the frame is answered all the same.
    #[cfg(feature = "gpu")]
    #[test]
    fn a_lost_gpu_costs_no_frame() {
        let config = json!({"gpu": "required", "software_gpu": true, "threads": 1});
        if keepsight_gpu::survey().adapters.is_empty() {
            eprintln!("skipped: this machine has no graphics adapter, not even lavapipe");
            return;
        }
        let mut bench = Bench::new(config.clone());
        bench.track(0);
        assert_eq!(bench.recording.degraded(), []);

        let device = bench.plugin.eye.as_ref().and_then(|eye| eye.path.device());
        device.expect("the GPU was required").retire();
        bench.track(1);
        let [degraded] = &bench.recording.degraded()[..] else { panic!("it was not told") };
        assert_eq!(degraded.code, "gpu.cpu_fallback");

        bench.session = open(&bench.plugin, &bench.recording, config).unwrap();
        bench.track(2);
        assert_eq!(bench.recording.host().histogram("detect_ms").snapshot().count, 3);

        // Another device is opened beside the stream, which then goes back to it.
        bench.plugin.eye.as_ref().unwrap().path.hurry();
        let deadline = Instant::now() + LIMIT;
        for sequence in 3.. {
            bench.track(sequence);
            if bench.recording.degraded().is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "it stays on the CPU");
        }
        let last = bench.last_event("detector_chosen");
        assert_eq!(last["path"], "gpu");
        assert!(last["adapter"]["driver"].is_string(), "{last}");
    }
}

/// A patterned card on a plain ground, which turns a corner.
fn card(frame: u64) -> [f32; 4] {
    let frame = frame as f32;
    [40.0 + 7.0 * frame.min(6.0), 20.0 + 7.0 * (frame - 6.0).max(0.0), 30.0, 40.0]
}

#[track_caller]
fn check_corner(config: Value, expected: impl Fn(f32) -> bool) {
    let row = |frame| {
        let [x, y, width, height] = card(frame);
        format!("{},-1,{x},{y},{width},{height},0.9\n", frame + 1)
    };
    let (_folder, mut bench) = Bench::given(&(0..12).map(row).collect::<String>(), config);
    let mut overlap = 0.0;
    for sequence in 0..12 {
        let [x, y, width, height] = card(sequence);
        let picture = frames::rgb(200, 150, |column, row| {
            let (u, v) = ((column as f32 - x) / width, (row as f32 - y) / height);
            if (0.0..1.0).contains(&u) && (0.0..1.0).contains(&v) {
                let field = (u * 4.0) as u32 * 5 + (v * 5.0) as u32 * 7;
                [(field * 53 % 256) as u8, (field * 97 % 256) as u8, (field * 31 % 256) as u8]
            } else {
                [120; 3]
            }
        });
        let frame = Frame::builder(PixelFormat::Rgb, picture.size(), picture.buffer().clone())
            .sequence(sequence)
            .captured(bench.began + Duration::from_millis(100) * sequence as u32)
            .build()
            .unwrap();
        let response = bench.call("track", Value::Null, frame).unwrap_or_else(|e| panic!("{e}"));
        let tracks = response.output::<Tracks>().unwrap();
        let there = BoundingBox::new(x, y, width, height);
        overlap = tracks.0.iter().map(|track| track.bbox.iou(&there)).fold(0.0, f32::max);
    }
    assert!(expected(overlap), "{overlap}");
}

#[test]
fn who_turns_a_corner_between_detections_is_followed() {
    check_corner(json!({"detect_every": 6}), |overlap| overlap > 0.6);
    check_corner(json!({"detect_every": 6, "follow": false}), |overlap| overlap < 0.3);
}
