//! GPU or CPU: what the configuration asks for, what is there, and which is
//! faster.

use std::borrow::Cow;

use keepsight_contract::{Finding, InitError};
use serde::Deserialize;

use super::input::ModelInput;
use super::preprocessor::Preprocessor;
#[cfg(feature = "gpu")]
use {
    super::{cpu::CpuPreprocess, error::PreprocessError, gpu::GpuPreprocess},
    keepsight_contract::{Frame, FrameSize, PixelBuffer, PixelFormat},
    keepsight_gpu::{AdapterChoice, Device, GpuError, GpuFault},
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
    pub path: PreprocessPath,
    /// Why this one, for a person.
    pub reason: String,
    /// What a person can do where the CPU was taken for lack of a usable GPU;
    /// `None` where nothing is amiss.
    pub degraded_hint: Option<Cow<'static, str>>,
}

/// The path that all sessions of an instance take.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PreprocessPath {
    /// On each session's own thread.
    Cpu,
    /// On this device, which belongs to the instance.
    #[cfg(feature = "gpu")]
    Gpu(Device),
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
    /// The device doesn't run the kernel.
    #[cfg(feature = "gpu")]
    #[error("{adapter} doesn't run the kernel: {fault}")]
    Kernel {
        /// The adapter.
        adapter: String,
        /// What went wrong.
        fault: GpuFault,
    },
}

/// Chooses the path into a model's input.
///
/// With [`GpuPolicy::Auto`] both paths are timed on a made-up frame, a few tens
/// of milliseconds in all.
///
/// # Errors
/// [`ChoiceError`], with [`GpuPolicy::Required`] only.
pub fn choose(wish: &GpuWish, input: &ModelInput) -> Result<Choice, ChoiceError> {
    match wish.policy {
        GpuPolicy::Off => Ok(Choice::cpu("the configuration says so".to_owned(), None)),
        #[cfg(not(feature = "gpu"))]
        GpuPolicy::Required => Err(ChoiceError::NotBuilt),
        #[cfg(not(feature = "gpu"))]
        GpuPolicy::Auto => {
            // There is nothing to time.
            let _ = input;
            Ok(Choice::cpu("this build has no GPU support".to_owned(), None))
        }
        #[cfg(feature = "gpu")]
        GpuPolicy::Required => {
            let device = wish.open()?;
            let adapter = device.adapter().to_string();
            match GpuPreprocess::new(&device, input) {
                Ok(_) => Ok(Choice {
                    reason: format!("{adapter} is required and there"),
                    path: PreprocessPath::Gpu(device),
                    degraded_hint: None,
                }),
                Err(fault) => Err(ChoiceError::Kernel { adapter, fault }),
            }
        }
        #[cfg(feature = "gpu")]
        GpuPolicy::Auto => Ok(faster(wish.open(), |device| Timing::measure(device, input))),
    }
}

impl PreprocessPath {
    /// A preprocessor for one session.
    ///
    /// Where the GPU refuses it is the CPU path, and the second element says
    /// why.
    pub fn preprocessor(&self, input: &ModelInput) -> (Preprocessor, Option<String>) {
        match self {
            Self::Cpu => (Preprocessor::cpu(input), None),
            #[cfg(feature = "gpu")]
            Self::Gpu(device) => match GpuPreprocess::new(device, input) {
                Ok(path) => (Preprocessor::Gpu(path), None),
                Err(fault) => (Preprocessor::cpu(input), Some(fault.to_string())),
            },
        }
    }

    /// Whether it is a GPU's.
    pub fn is_gpu(&self) -> bool {
        !matches!(self, Self::Cpu)
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
        };
        InitError::Unmet(Finding::unmet("dependency.gpu_missing", "GPU", self.to_string(), hint))
    }
}

impl Choice {
    /// The CPU, since a probe found no GPU that will do.
    pub fn without_gpu(finding: Finding) -> Self {
        let degraded_hint = Some(Cow::Owned(finding.hint));
        Self { path: PreprocessPath::Cpu, reason: finding.reason, degraded_hint }
    }

    fn cpu(reason: String, degraded_hint: Option<&'static str>) -> Self {
        Self { path: PreprocessPath::Cpu, reason, degraded_hint: degraded_hint.map(Cow::Borrowed) }
    }
}

#[cfg(feature = "gpu")]
impl GpuWish {
    fn open(&self) -> Result<Device, GpuError> {
        Device::open(&AdapterChoice {
            allow_software: self.software_allowed,
            name: self.adapter.clone(),
        })
    }
}

/// The best of a few runs of each path.
#[cfg(feature = "gpu")]
#[derive(Debug, Clone, Copy)]
struct Timing {
    cpu: Duration,
    gpu: Duration,
}

/// The faster path; the CPU's where the GPU's can't be had.
#[cfg(feature = "gpu")]
fn faster(
    opened: Result<Device, GpuError>,
    measure: impl FnOnce(&Device) -> Result<Timing, PreprocessError>,
) -> Choice {
    let device = match opened {
        Ok(device) => device,
        Err(error) => return Choice::cpu(error.to_string(), Some(error.hint())),
    };
    let adapter = device.adapter().to_string();
    match measure(&device) {
        Ok(Timing { cpu, gpu }) if gpu < cpu => Choice {
            path: PreprocessPath::Gpu(device),
            reason: format!("{adapter} takes {gpu:.1?} a frame, the CPU {cpu:.1?}"),
            degraded_hint: None,
        },
        Ok(Timing { cpu, gpu }) => {
            Choice::cpu(format!("the CPU takes {cpu:.1?} a frame, {adapter} {gpu:.1?}"), None)
        }
        Err(error) => {
            Choice::cpu(format!("{adapter} doesn't run the kernel: {error}"), Some(KERNEL_HINT))
        }
    }
}

#[cfg(feature = "gpu")]
impl Timing {
    fn measure(device: &Device, input: &ModelInput) -> Result<Self, PreprocessError> {
        let size = FrameSize::new(1280, 720);
        let bytes = vec![128; PixelFormat::Yuyv.row_bytes(size.width) * size.height as usize];
        let frame = Frame::builder(PixelFormat::Yuyv, size, PixelBuffer::from(bytes))
            .build()
            .expect("the buffer was made for this size");
        let mut tensor = vec![0.0; input.elements()];
        let mut cpu_path = CpuPreprocess::new(input);
        let mut gpu_path = GpuPreprocess::new(device, input)?;
        let deadline = Instant::now() + TIMING_MAX;

        // The first run of each makes tables and buffers.
        let (mut cpu, mut gpu) = (Duration::MAX, Duration::MAX);
        for round in 0..=TIMED_RUNS {
            let started = Instant::now();
            cpu_path.run(&frame, &mut tensor)?;
            let between = Instant::now();
            gpu_path.run(&frame, deadline, &mut tensor)?;
            if round > 0 {
                cpu = cpu.min(between - started);
                gpu = gpu.min(between.elapsed());
            }
        }
        Ok(Self { cpu, gpu })
    }
}

#[cfg(feature = "gpu")]
const KERNEL_HINT: &str = "update the driver of the GPU, or set gpu = \"off\"";
#[cfg(feature = "gpu")]
const TIMED_RUNS: u32 = 3;
#[cfg(feature = "gpu")]
const TIMING_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::super::tests::INPUTS;
    use super::*;

    fn wish(policy: GpuPolicy) -> GpuWish {
        GpuWish { policy, ..GpuWish::default() }
    }

    #[test]
    fn off_is_the_cpu_and_nothing_amiss() {
        let choice = choose(&wish(GpuPolicy::Off), &INPUTS[0]).unwrap();
        assert!(!choice.path.is_gpu());
        assert_eq!(
            (choice.reason.as_str(), choice.degraded_hint),
            ("the configuration says so", None)
        );
    }

    #[test]
    fn policies_read_as_they_are_written() {
        let read = |text: &str| serde_json::from_str::<GpuPolicy>(text).ok();
        assert_eq!(read("\"auto\""), Some(GpuPolicy::Auto));
        assert_eq!(read("\"required\""), Some(GpuPolicy::Required));
        assert_eq!(read("\"off\""), Some(GpuPolicy::Off));
        assert_eq!(read("\"on\""), None);
    }

    #[cfg(not(feature = "gpu"))]
    #[test]
    fn a_build_without_gpu_says_so() {
        let choice = choose(&wish(GpuPolicy::Auto), &INPUTS[0]).unwrap();
        assert_eq!(choice.reason, "this build has no GPU support");
        let error = choose(&wish(GpuPolicy::Required), &INPUTS[0]).unwrap_err();
        let InitError::Unmet(finding) = error.unmet() else { panic!("it is the build") };
        assert_eq!(finding.code, "dependency.gpu_missing");
        assert!(finding.hint.contains("feature gpu"));
    }
}
