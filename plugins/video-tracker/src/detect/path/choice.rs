//! GPU or CPU: what the configuration asks for, what is there, and which is
//! faster.

use std::borrow::Cow;

use keepsight_contract::{Finding, Host, InitError};
use serde::Deserialize;
use serde_json::json;

use super::shared::SharedPath;
use crate::detect::{Detector, ModelFile};
#[cfg(feature = "gpu")]
use {
    super::seat::{OpenDevice, Seat},
    super::session::DetectPath,
    crate::detect::executor::{Plan, PlanError, plan_detector},
    crate::detect::{DetectError, DetectOptions, DetectScratch},
    crate::preprocess::{CpuPreprocess, GpuPreprocess, PreprocessError},
    keepsight_contract::{Frame, FrameSize, PixelBuffer, PixelFormat},
    keepsight_gpu::{AdapterChoice, Device, GpuError, GpuFault},
    std::sync::Arc,
    std::time::{Duration, Instant},
};

/// Whether to use a GPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GpuPolicy {
    /// Where there is one and it is faster.
    #[default]
    Auto,
    /// Always; without one the plugin is unavailable.
    Required,
    /// Never.
    Off,
}

/// Which adapters will do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GpuWish {
    /// Whether there has to be one.
    pub policy: GpuPolicy,
    /// A part of the adapter's name, without regard to case.
    pub adapter: Option<String>,
    /// Whether the processor itself may stand in, as with lavapipe.
    pub software_allowed: bool,
}

/// The path that was chosen, and why.
#[derive(Debug)]
pub struct Choice {
    /// The path.
    pub path: SharedPath,
    /// Why this one, for a person.
    pub reason: String,
    /// What a person can do where the CPU was taken for lack of a usable GPU;
    /// `None` where nothing is amiss.
    pub degraded_hint: Option<Cow<'static, str>>,
}

/// What there is to choose from beside the CPU: a device, and the model planned for it.
#[derive(Debug)]
pub struct GpuOffer {
    wish: GpuWish,
    /// What a probe found instead of a GPU.
    finding: Option<Finding>,
    /// None where nobody asked for one.
    #[cfg(feature = "gpu")]
    opened: Option<Result<Device, GpuError>>,
    #[cfg(feature = "gpu")]
    plan: Option<Result<Arc<Plan>, PlanError>>,
}

/// Why a required GPU can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChoiceError {
    /// This build has no GPU support.
    #[cfg(not(feature = "gpu"))]
    #[error("this build has no GPU support")]
    NotBuilt,
    /// No device could be opened.
    #[cfg(feature = "gpu")]
    #[error(transparent)]
    Open(#[from] GpuError),
    /// The model can't be run on any GPU.
    #[cfg(feature = "gpu")]
    #[error("no GPU can run the model: {reason}")]
    Model {
        /// Such as the operator that there is no code for.
        reason: PlanError,
    },
    /// The device doesn't run the kernels.
    #[cfg(feature = "gpu")]
    #[error("{adapter} doesn't run the kernels: {reason}")]
    Kernel {
        /// The adapter.
        adapter: String,
        /// What went wrong.
        reason: String,
    },
}

impl GpuOffer {
    /// Opens a device if one is wished for, and plans the model for it.
    pub fn new(wish: GpuWish, file: &ModelFile) -> Self {
        #[cfg(feature = "gpu")]
        {
            let opened = (wish.policy != GpuPolicy::Off).then(|| wish.open());
            // A plan holds the weights: where there is no device, nobody needs them.
            let is_there = matches!(opened, Some(Ok(_)));
            let plan =
                is_there.then(|| plan_detector(&file.bytes, file.description()).map(Arc::new));
            Self { wish, finding: None, opened, plan }
        }
        #[cfg(not(feature = "gpu"))]
        {
            let _ = file;
            Self { wish, finding: None }
        }
    }

    /// None, since a probe found no GPU that will do.
    pub fn none(finding: Finding) -> Self {
        Self {
            wish: GpuWish { policy: GpuPolicy::Off, ..GpuWish::default() },
            finding: Some(finding),
            #[cfg(feature = "gpu")]
            opened: None,
            #[cfg(feature = "gpu")]
            plan: None,
        }
    }
}

/// Chooses the path for a detector.
///
/// With [`GpuPolicy::Auto`] the paths are timed on a made-up frame: tens of
/// milliseconds on a GPU, two seconds at most.
///
/// # Errors
/// [`ChoiceError`], with [`GpuPolicy::Required`] only.
pub fn choose(offer: GpuOffer, detector: &Detector) -> Result<Choice, ChoiceError> {
    let input = detector.input();
    if let Some(finding) = offer.finding {
        return Ok(Choice::cpu(detector, finding.reason, Some(Cow::Owned(finding.hint))));
    }
    match offer.wish.policy {
        GpuPolicy::Off => Ok(Choice::cpu(detector, "the configuration says so".to_owned(), None)),
        #[cfg(not(feature = "gpu"))]
        GpuPolicy::Required => Err(ChoiceError::NotBuilt),
        #[cfg(not(feature = "gpu"))]
        GpuPolicy::Auto => {
            // There is nothing to time.
            let _ = input;
            Ok(Choice::cpu(detector, "this build has no GPU support".to_owned(), None))
        }
        #[cfg(feature = "gpu")]
        GpuPolicy::Required => {
            let device = offer.opened.expect("a required device is asked for")?;
            let plan = offer.plan.expect("there is a plan for a device");
            let plan = plan.map_err(|reason| ChoiceError::Model { reason })?;
            let adapter = device.adapter().to_string();
            let open = OpenDevice::new(device, Some(&plan));
            // Whether a session's part works too is seen now, and not at the first frame.
            let tried = open.and_then(|open| match open.path(input) {
                Ok(_) => Ok(open),
                Err(fault) => Err(fault.to_string()),
            });
            let open =
                tried.map_err(|reason| ChoiceError::Kernel { adapter: adapter.clone(), reason })?;
            let seat = Seat::new(offer.wish, *input, Some(plan), open);
            Ok(Choice {
                reason: format!("{adapter} is required and there"),
                path: SharedPath::gpu(input, seat),
                degraded_hint: None,
            })
        }
        #[cfg(feature = "gpu")]
        GpuPolicy::Auto => Ok(fastest(offer, detector)),
    }
}

impl ChoiceError {
    /// What `init` fails with: the plugin is unavailable until there is a GPU.
    pub fn unmet(&self) -> InitError {
        let hint = match self {
            #[cfg(not(feature = "gpu"))]
            Self::NotBuilt => "build with the feature gpu, or set gpu = \"auto\" or \"off\"",
            #[cfg(feature = "gpu")]
            Self::Open(error) => error.hint(),
            #[cfg(feature = "gpu")]
            Self::Kernel { .. } => KERNEL_HINT,
            #[cfg(feature = "gpu")]
            Self::Model { .. } => {
                let hint = "use a model of the SSD or YOLOX family with plain operators, or set \
                            gpu = \"auto\" or \"off\": the CPU runs more";
                let code = "dependency.model_invalid";
                return InitError::Unmet(Finding::unmet(code, "model", self.to_string(), hint));
            }
        };
        InitError::Unmet(Finding::unmet("dependency.gpu_missing", "GPU", self.to_string(), hint))
    }
}

impl Choice {
    /// Publishes what was chosen and why, with the adapter where it is one.
    pub fn tell(&self, host: &Host) {
        #[cfg(feature = "gpu")]
        let adapter = self.path.device().map(|device| json!(device.adapter()));
        #[cfg(not(feature = "gpu"))]
        let adapter = ();
        let data = json!({
            "path": if self.path.is_gpu() { "gpu" } else { "cpu" },
            "reason": self.reason,
            "adapter": adapter,
        });
        host.event("detector_chosen", data);
    }

    fn cpu(detector: &Detector, reason: String, degraded_hint: Option<Cow<'static, str>>) -> Self {
        Self { path: SharedPath::cpu(detector.input()), reason, degraded_hint }
    }
}

#[cfg(feature = "gpu")]
impl GpuWish {
    pub(super) fn open(&self) -> Result<Device, GpuError> {
        Device::open(&AdapterChoice {
            allow_software: self.software_allowed,
            name: self.adapter.clone(),
        })
    }
}

/// The fastest path; the CPU's where none of a GPU's can be had.
#[cfg(feature = "gpu")]
fn fastest(offer: GpuOffer, detector: &Detector) -> Choice {
    let device = match offer.opened.expect("with this policy a device is asked for") {
        Ok(device) => device,
        Err(error) => {
            let hint = Cow::Borrowed(error.hint());
            return Choice::cpu(detector, error.to_string(), Some(hint));
        }
    };
    let (plan, refusal) = match offer.plan.expect("there is a plan for a device") {
        Ok(plan) => (Some(plan), None),
        Err(error) => (None, Some(error)),
    };
    let adapter = device.adapter().to_string();
    let input = detector.input();
    let measured = OpenDevice::new(device, plan.as_deref()).and_then(|open| {
        let times = Timing::measure(&open, detector).map_err(|error| error.to_string())?;
        Ok((open, times))
    });
    let (open, times) = match measured {
        Ok(measured) => measured,
        Err(reason) => {
            let reason = format!("{adapter} doesn't run the kernels: {reason}");
            return Choice::cpu(detector, reason, Some(Cow::Borrowed(KERNEL_HINT)));
        }
    };
    let (taken, mut reason) = times.judge(&adapter);
    if let Some(refusal) = refusal {
        reason = format!("{reason}; the network itself stays on the CPU, for on a GPU {refusal}");
    }
    let (open, plan) = match taken {
        Taken::Cpu => return Choice::cpu(detector, reason, None),
        Taken::Preprocess => (OpenDevice { network: None, ..open }, None),
        Taken::Gpu => (open, plan),
    };
    let seat = Seat::new(offer.wish, *input, plan, open);
    Choice { path: SharedPath::gpu(input, seat), reason, degraded_hint: None }
}

/// The best of a few runs of each part of the paths.
#[cfg(feature = "gpu")]
#[derive(Debug, Clone, Copy)]
struct Timing {
    cpu_preprocess: Duration,
    gpu_preprocess: Duration,
    engine: Duration,
    /// All of it on the GPU, where the network can be there.
    gpu: Option<Duration>,
}

/// What is done on the GPU.
#[cfg(feature = "gpu")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Cpu,
    Preprocess,
    Gpu,
}

#[cfg(feature = "gpu")]
impl Timing {
    fn judge(&self, adapter: &str) -> (Taken, String) {
        let cpu = self.cpu_preprocess + self.engine;
        let mixed = self.gpu_preprocess + self.engine;
        match self.gpu {
            Some(gpu) if gpu < cpu.min(mixed) => {
                let best = cpu.min(mixed);
                (Taken::Gpu, format!("{adapter} takes {gpu:.1?} a frame, the CPU {best:.1?}"))
            }
            _ if mixed < cpu => {
                let fitted = self.gpu_preprocess;
                let mut reason = format!(
                    "{adapter} fits a frame into the network in {fitted:.1?}, the CPU in {:.1?}",
                    self.cpu_preprocess
                );
                if let Some(gpu) = self.gpu {
                    reason +=
                        &format!("; all of it there takes {gpu:.1?}, with the CPU {mixed:.1?}");
                }
                (Taken::Preprocess, reason)
            }
            gpu => {
                let other = gpu.unwrap_or(mixed);
                (Taken::Cpu, format!("the CPU takes {cpu:.1?} a frame, {adapter} {other:.1?}"))
            }
        }
    }

    fn measure(open: &OpenDevice, detector: &Detector) -> Result<Self, DetectError> {
        let input = detector.input();
        let size = FrameSize::new(1280, 720);
        let bytes = vec![128; PixelFormat::Yuyv.row_bytes(size.width) * size.height as usize];
        let frame = Frame::builder(PixelFormat::Yuyv, size, PixelBuffer::from(bytes))
            .build()
            .expect("the buffer was made for this size");
        let deadline = Instant::now() + TIMING_MAX;

        let mut tensor = vec![0.0; input.elements()];
        let mut cpu_path = CpuPreprocess::new(input);
        let mut gpu_path =
            GpuPreprocess::new(&open.device, input).map_err(PreprocessError::from)?;
        let cpu_preprocess = best_of(deadline, || Ok(cpu_path.run(&frame, &mut tensor)?))?;
        let gpu_preprocess =
            best_of(deadline, || Ok(gpu_path.run(&frame, deadline, &mut tensor)?))?;

        let (mut scratch, options) = (DetectScratch::default(), DetectOptions::default());
        let mut path = DetectPath::cpu(input);
        let engine = best_of(deadline, || {
            detector.detect(&mut scratch, &mut path, &frame, &options, deadline)
        })?;
        let gpu = match open.network {
            None => None,
            Some(_) => {
                let mut path = open.path(input).map_err(PreprocessError::from)?;
                let run = || detector.detect(&mut scratch, &mut path, &frame, &options, deadline);
                match best_of(deadline, run) {
                    Ok(gpu) => Some(gpu),
                    // Too slow to be measured is too slow.
                    Err(DetectError::Preprocess(PreprocessError::Gpu(GpuFault::TimedOut))) => {
                        Some(TIMING_MAX)
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        // The engine's time includes fitting the frame.
        let engine = engine.saturating_sub(cpu_preprocess);
        Ok(Self { cpu_preprocess, gpu_preprocess, engine, gpu })
    }
}

/// The shortest of a few runs after a first one, which makes tables and buffers; of fewer where
/// time runs out.
#[cfg(feature = "gpu")]
fn best_of<T>(
    deadline: Instant,
    mut run: impl FnMut() -> Result<T, DetectError>,
) -> Result<Duration, DetectError> {
    let mut best = Duration::MAX;
    for round in 0..=TIMED_RUNS {
        let began = Instant::now();
        run()?;
        // The first counts only where there is no other.
        if round > 0 || Instant::now() >= deadline {
            best = best.min(began.elapsed());
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    Ok(best)
}

#[cfg(feature = "gpu")]
const KERNEL_HINT: &str = "update the driver of the GPU, or set gpu = \"off\"";
#[cfg(feature = "gpu")]
const TIMED_RUNS: u32 = 3;
#[cfg(feature = "gpu")]
const TIMING_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_read_as_they_are_written() {
        let read = |text: &str| serde_json::from_str::<GpuPolicy>(text).ok();
        assert_eq!(read("\"auto\""), Some(GpuPolicy::Auto));
        assert_eq!(read("\"required\""), Some(GpuPolicy::Required));
        assert_eq!(read("\"off\""), Some(GpuPolicy::Off));
        assert_eq!(read("\"on\""), None);
    }

    #[cfg(feature = "bundled-model")]
    fn chosen(policy: GpuPolicy) -> Result<Choice, ChoiceError> {
        let scope = keepsight_contract::testing::RecordingHost::new().host().scope();
        let file = ModelFile::bundled();
        let offer = GpuOffer::new(GpuWish { policy, ..GpuWish::default() }, &file);
        choose(offer, &Detector::load(file, 1, &scope).unwrap())
    }

    #[cfg(feature = "bundled-model")]
    #[test]
    fn off_is_the_cpu_and_nothing_amiss() {
        let choice = chosen(GpuPolicy::Off).unwrap();
        assert!(!choice.path.is_gpu());
        assert_eq!(
            (choice.reason.as_str(), choice.degraded_hint),
            ("the configuration says so", None)
        );
    }

    #[cfg(all(feature = "bundled-model", not(feature = "gpu")))]
    #[test]
    fn a_build_without_gpu_says_so() {
        let choice = chosen(GpuPolicy::Auto).unwrap();
        assert_eq!(choice.reason, "this build has no GPU support");
        let InitError::Unmet(finding) = chosen(GpuPolicy::Required).unwrap_err().unmet() else {
            panic!("it is the build")
        };
        assert_eq!(finding.code, "dependency.gpu_missing");
        assert!(finding.hint.contains("feature gpu"));
    }

    #[cfg(feature = "gpu")]
    #[test]
    fn the_shortest_time_wins_and_the_reason_says_so() {
        let ms = Duration::from_millis;
        let judge = |gpu_preprocess, gpu: Option<u64>| {
            let timing = Timing {
                cpu_preprocess: ms(4),
                gpu_preprocess: ms(gpu_preprocess),
                engine: ms(30),
                gpu: gpu.map(ms),
            };
            timing.judge("Radeon")
        };
        for (gpu_preprocess, gpu, taken, reason) in [
            (1, Some(3), Taken::Gpu, "Radeon takes 3.0ms a frame, the CPU 31.0ms"),
            (9, Some(300), Taken::Cpu, "the CPU takes 34.0ms a frame, Radeon 300.0ms"),
            (9, None, Taken::Cpu, "the CPU takes 34.0ms a frame, Radeon 39.0ms"),
            (
                1,
                None,
                Taken::Preprocess,
                "Radeon fits a frame into the network in 1.0ms, the CPU in 4.0ms",
            ),
            (
                1,
                Some(50),
                Taken::Preprocess,
                "Radeon fits a frame into the network in 1.0ms, the CPU in 4.0ms; all of it \
                 there takes 50.0ms, with the CPU 31.0ms",
            ),
        ] {
            assert_eq!(judge(gpu_preprocess, gpu), (taken, reason.to_owned()));
        }
    }
}
