//! The choice, the GPU's path against the CPU's, and the way back after a fault, on every adapter
//! there is. Without any, the tests say so by name and pass.

use std::thread;
use std::time::{Duration, Instant};

use keepsight_contract::testing::{RecordingHost, frames};
use keepsight_contract::{Detection, Frame, InitError};
use keepsight_gpu::{GpuFault, survey};

use super::*;
use crate::detect::onnx_fixture::{GraphFixture, Set};
use crate::detect::{DetectError, DetectOptions, DetectScratch, Detector, ModelFile};
use crate::preprocess::PreprocessError;

/// Which adapter to take: each there is.
fn wishes(test: &str) -> Vec<GpuWish> {
    let adapters = survey().adapters;
    if adapters.is_empty() {
        eprintln!("skipped {test}: this machine has no graphics adapter, not even lavapipe");
    }
    let sufficient = adapters.into_iter().filter(|adapter| adapter.sufficient);
    sufficient
        .map(|adapter| GpuWish {
            policy: GpuPolicy::Required,
            adapter: Some(adapter.name),
            software_allowed: true,
        })
        .collect()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A detector of the YOLOX family that finds boxes in anything, with one operator more.
fn small_with(operator: &str) -> ModelFile {
    small_of(|graph| graph.node(operator, &["t"], &["large"], &[]))
}

/// The same, with other nodes from its values, `t`, to the first of its heads, `large`.
fn small_of(nodes: impl Fn(GraphFixture) -> GraphFixture) -> ModelFile {
    let picture = [("kernel_shape", Set::Integers(&[2, 2])), ("strides", Set::Integers(&[2, 2]))];
    let graph = GraphFixture::new(&[1, 3, 32, 32])
        .weights("w", &[7, 3, 8, 8])
        .floats("b", &[7], &[40.0, -3.0, 9.0, 5.0, 30.0, 20.0, 1.0])
        .floats("scale", &[], &[0.01])
        .integers("shape", &[1, 7, -1])
        .node("Conv", &["x", "w", "b"], &["s"], &[("strides", Set::Integers(&[8, 8]))])
        .node("Mul", &["s", "scale"], &["t"], &[]);
    let bytes = nodes(graph)
        .node("MaxPool", &["large"], &["medium"], &picture)
        .node("MaxPool", &["medium"], &["small"], &picture)
        .node("Reshape", &["large", "shape"], &["l"], &[])
        .node("Reshape", &["medium", "shape"], &["m"], &[])
        .node("Reshape", &["small", "shape"], &["n"], &[])
        .node("Concat", &["l", "m", "n"], &["all"], &[("axis", Set::Integer(2))])
        .node("Transpose", &["all"], &["y"], &[("perm", Set::Integers(&[0, 2, 1]))])
        .bytes(&["y"]);
    let description = r#"
        name = "small"
        family = "yolox"
        classes = ["person", "car"]
        [input]
        width = 32
        height = 32
        color = "rgb"
        scale = 0.01
        offset = -1.0
        letterbox = 114.0
    "#;
    ModelFile::of(bytes, description)
}

fn small() -> ModelFile {
    small_with("Sigmoid")
}

fn picture() -> Frame {
    frames::rgb(97, 61, |x, y| [(x * 3) as u8, (y * 4) as u8, (x ^ y) as u8])
}

/// An instance: what was chosen, with its detector and host.
struct Instance {
    choice: Choice,
    detector: Detector,
    recording: RecordingHost,
    scratch: DetectScratch,
}

impl Instance {
    fn new(wish: GpuWish, file: ModelFile) -> Result<Self, ChoiceError> {
        let recording = RecordingHost::new();
        let offer = GpuOffer::new(wish, &file);
        let detector = Detector::load(file, 1, &recording.host().scope()).unwrap();
        let choice = choose(offer, &detector)?;
        Ok(Self { choice, detector, recording, scratch: DetectScratch::default() })
    }

    fn session(&self) -> (SessionPath, Option<String>) {
        self.choice.path.session(&self.recording.host())
    }

    fn detect(
        &mut self,
        path: &mut SessionPath,
        frame: &Frame,
        deadline: Instant,
    ) -> Result<Vec<Detection>, DetectError> {
        let options = DetectOptions { confidence_min: 0.1, ..DetectOptions::default() };
        path.with(deadline, |path| {
            self.detector.detect(&mut self.scratch, path, frame, &options, deadline)
        })
    }

    /// Waits until the session has a GPU again.
    fn wait_for_gpu(&self, path: &mut SessionPath) {
        let deadline = soon();
        while !path.renew(&self.recording.host()) {
            assert!(Instant::now() < deadline, "no other device was opened");
            thread::yield_now();
        }
        assert!(path.is_gpu());
    }
}

#[track_caller]
fn gpu_fault(outcome: Result<Vec<Detection>, DetectError>) -> PreprocessError {
    match outcome {
        Err(DetectError::Preprocess(fault)) if fault.is_gpu_fault() => fault,
        outcome => panic!("{outcome:?} is no fault of a GPU"),
    }
}

#[test]
fn both_paths_detect_the_same() {
    for wish in wishes("both_paths_detect_the_same") {
        let mut on_gpu = Instance::new(wish, small()).unwrap();
        let off = GpuWish { policy: GpuPolicy::Off, ..GpuWish::default() };
        let mut on_cpu = Instance::new(off, small()).unwrap();
        let (mut gpu, refusal) = on_gpu.session();
        let (mut cpu, _) = on_cpu.session();
        assert!(gpu.is_gpu() && refusal.is_none() && !cpu.is_gpu());
        for frame in [picture(), frames::gray(640, 480, |x, y| (x * y) as u8)] {
            let found = on_gpu.detect(&mut gpu, &frame, soon()).unwrap();
            let expected = on_cpu.detect(&mut cpu, &frame, soon()).unwrap();
            assert!(!expected.is_empty());
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found.class_id, expected.class_id);
                assert!((found.confidence - expected.confidence).abs() < 1e-3, "{found:?}");
                assert!(found.bbox.iou(&expected.bbox) > 0.99, "{found:?} {expected:?}");
            }
        }
    }
}

#[test]
fn what_is_no_number_is_counted_on_both_paths() {
    let nothing = || {
        small_of(|graph| {
            let graph = graph.node("Sub", &["t", "t"], &["zero"], &[]);
            graph.node("Div", &["zero", "zero"], &["large"], &[])
        })
    };
    for wish in wishes("what_is_no_number_is_counted_on_both_paths") {
        let off = GpuWish { policy: GpuPolicy::Off, ..GpuWish::default() };
        for wish in [wish, off] {
            let mut instance = Instance::new(wish, nothing()).unwrap();
            let (mut path, _) = instance.session();
            assert_eq!(instance.detect(&mut path, &picture(), soon()).unwrap(), []);
            let told = instance.scratch.check_outputs();
            assert!(matches!(told, Err(DetectError::NotANumber { .. })), "{path:?}");
        }
    }
}

#[test]
fn a_required_gpu_is_taken_or_missed() {
    let wish = GpuWish { policy: GpuPolicy::Required, adapter: None, software_allowed: true };
    match (Instance::new(wish.clone(), small()), survey().adapters.first()) {
        (Ok(Instance { choice, .. }), Some(best)) => {
            assert!(choice.path.is_gpu() && choice.reason.contains(&best.name), "{choice:?}");
        }
        (Err(error), None) => {
            let InitError::Unmet(finding) = error.unmet() else {
                panic!("a missing GPU is nothing that the plugin did");
            };
            assert_eq!(finding.code, "dependency.gpu_missing");
        }
        (outcome, adapter) => panic!("{adapter:?} and {:?}", outcome.map(|i| i.choice)),
    }
    let named = GpuWish { adapter: Some("no such adapter".to_owned()), ..wish };
    assert!(matches!(Instance::new(named, small()), Err(ChoiceError::Open(_))));
}

#[test]
fn a_model_that_no_gpu_can_run_is_refused_by_name() {
    let test = "a_model_that_no_gpu_can_run_is_refused_by_name";
    for wish in wishes(test) {
        let Err(error) = Instance::new(wish.clone(), small_with("Sqrt")) else {
            panic!("it runs a square root")
        };
        assert!(matches!(error, ChoiceError::Model { .. }), "{error}");
        let InitError::Unmet(finding) = error.unmet() else { panic!("it is the model") };
        assert_eq!(finding.code, "dependency.model_invalid");
        assert!(finding.reason.contains("Sqrt"), "{finding:?}");
        // Where none is required, the CPU runs it, and the frame may still be fitted there.
        let wish = GpuWish { policy: GpuPolicy::Auto, ..wish };
        let mut instance = Instance::new(wish, small_with("Sqrt")).unwrap();
        assert!(instance.choice.reason.contains("Sqrt"), "{:?}", instance.choice);
        assert_eq!(instance.choice.degraded_hint, None);
        let (mut path, _) = instance.session();
        instance.detect(&mut path, &picture(), soon()).unwrap();
    }
}

#[test]
fn auto_without_a_usable_adapter_is_the_degraded_cpu() {
    let wish = GpuWish { adapter: Some("no such adapter".to_owned()), ..GpuWish::default() };
    let instance = Instance::new(wish, small()).unwrap();
    assert!(!instance.choice.path.is_gpu());
    assert!(instance.choice.degraded_hint.is_some(), "{:?}", instance.choice);
}

#[test]
fn auto_takes_the_faster_path_and_says_why() {
    for wish in wishes("auto_takes_the_faster_path_and_says_why") {
        let wish = GpuWish { policy: GpuPolicy::Auto, ..wish };
        let choice = Instance::new(wish, small()).unwrap().choice;
        assert!(choice.reason.contains("a frame"), "{choice:?}");
        assert_eq!(choice.degraded_hint, None);
    }
}

#[test]
fn after_the_first_frame_nothing_is_allocated_on_the_gpu() {
    let test = "after_the_first_frame_nothing_is_allocated_on_the_gpu";
    for wish in wishes(test) {
        let mut instance = Instance::new(wish, small()).unwrap();
        let device = instance.choice.path.device().unwrap();
        let (mut path, _) = instance.session();
        let frame = picture();
        let held = || {
            let report = device.device().generate_allocator_report();
            let report =
                report.map(|report| (report.allocations.len(), report.total_allocated_bytes));
            (device.buffers_made(), report)
        };
        instance.detect(&mut path, &frame, soon()).unwrap();
        instance.detect(&mut path, &frame, soon()).unwrap();
        let before = held();
        for _ in 0..5 {
            instance.detect(&mut path, &frame, soon()).unwrap();
        }
        assert_eq!(held(), before, "{}", device.adapter());
        let times = path.with(soon(), |path| path.device_times());
        assert_eq!(times.is_some(), device.has_timestamps());
        assert!(times.is_none_or(|(_, network)| network > Duration::ZERO), "{times:?}");
        // And a frame of another size is another first one.
        instance.detect(&mut path, &frames::gray(640, 480, |_, _| 0), soon()).unwrap();
        assert!(device.buffers_made() > before.0);
    }
}

#[test]
fn a_lost_device_costs_no_frame_and_is_replaced() {
    for wish in wishes("a_lost_device_costs_no_frame_and_is_replaced") {
        let mut instance = Instance::new(wish, small()).unwrap();
        let device = instance.choice.path.device().unwrap();
        let (mut path, _) = instance.session();
        instance.detect(&mut path, &picture(), soon()).unwrap();

        device.device().destroy();
        let fault = gpu_fault(instance.detect(&mut path, &picture(), soon()));
        assert!(matches!(fault, PreprocessError::Gpu(GpuFault::Lost { .. })), "{fault}");
        path.fall_back(&fault);
        assert!(!path.is_gpu());
        instance.detect(&mut path, &picture(), soon()).unwrap();

        // Not at once: it may be lost again, and opening one takes time.
        assert!(!path.renew(&instance.recording.host()));
        let (other, refusal) = instance.session();
        assert!(!other.is_gpu());
        assert!(refusal.is_some_and(|reason| reason.contains("another one is tried in")));
        instance.choice.path.hurry();
        instance.wait_for_gpu(&mut path);
        instance.detect(&mut path, &picture(), soon()).unwrap();
        assert!(instance.session().0.is_gpu());
    }
}

/// A thread that never came back is still in the middle of its commands.
#[test]
fn an_abandoned_worker_keeps_its_device_for_itself() {
    for wish in wishes("an_abandoned_worker_keeps_its_device_for_itself") {
        let instance = Instance::new(wish, small()).unwrap();
        let device = instance.choice.path.device().unwrap();
        let (mut abandoned, _) = instance.session();
        let long_ago = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        abandoned.with(Instant::now() + Duration::from_secs(60), |_| {
            assert!(instance.session().0.is_gpu(), "it is merely busy");
        });
        let mut successor = abandoned.with(long_ago, |_| {
            let (successor, refusal) = instance.session();
            assert!(refusal.is_some_and(|reason| reason.contains("is being opened")));
            successor
        });
        assert!(matches!(device.health(), Err(GpuFault::Lost { .. })));
        instance.wait_for_gpu(&mut successor);
        let next = instance.choice.path.device().unwrap();
        assert_eq!(next.health(), Ok(()));
    }
}

#[test]
fn a_late_frame_leaves_the_device_to_the_others() {
    for wish in wishes("a_late_frame_leaves_the_device_to_the_others") {
        let mut instance = Instance::new(wish, small()).unwrap();
        let (mut path, _) = instance.session();
        // A software adapter may be done before anybody looks.
        if let Err(DetectError::Preprocess(fault)) =
            instance.detect(&mut path, &picture(), Instant::now())
        {
            assert!(matches!(fault, PreprocessError::Gpu(GpuFault::TimedOut)), "{fault}");
        }
        path.fall_back(&PreprocessError::Gpu(GpuFault::TimedOut));
        assert!(!path.is_gpu() && !path.renew(&instance.recording.host()));
        let (mut other, refusal) = instance.session();
        assert!(other.is_gpu() && refusal.is_none());
        instance.detect(&mut other, &picture(), soon()).unwrap();
    }
}

#[test]
fn a_frame_beyond_the_buffers_stays_on_the_cpu() {
    for wish in wishes("a_frame_beyond_the_buffers_stays_on_the_cpu") {
        let mut instance = Instance::new(wish, small()).unwrap();
        let (mut path, _) = instance.session();
        // 128 MiB and a row.
        let frame = frames::gray(65_536, 2049, |_, _| 7);
        let fault = gpu_fault(instance.detect(&mut path, &frame, soon()));
        assert!(matches!(fault, PreprocessError::FrameTooLarge { .. }), "{fault}");
        path.fall_back(&fault);
        instance.choice.path.hurry();
        assert!(!path.renew(&instance.recording.host()));
        instance.detect(&mut path, &frame, soon()).unwrap();
        assert!(instance.session().0.is_gpu(), "the device is none the worse");
    }
}
