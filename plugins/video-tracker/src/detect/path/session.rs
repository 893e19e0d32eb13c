use std::time::Duration;

#[cfg(feature = "gpu")]
use super::gpu::GpuDetect;
use crate::preprocess::{ModelInput, Preprocessor};

/// One session's way from a frame to a network's outputs.
#[derive(Debug)]
#[non_exhaustive]
pub enum DetectPath {
    /// The engine runs the network; the frame is fitted into its input on either side.
    Engine(Box<Preprocessor>),
    /// All of it on a GPU.
    #[cfg(feature = "gpu")]
    Gpu(Box<GpuDetect>),
}

/// What a network takes of a device, to set its time against.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Steps, one after the other.
    pub steps: usize,
    /// Multiplications with an addition each.
    pub multiply_adds: u64,
    /// Bytes that the steps read and write, each counted once a step.
    pub bytes: u64,
    /// Bytes of memory that a session takes.
    pub arena_bytes: u64,
}

impl DetectPath {
    /// The path that always works.
    pub fn cpu(input: &ModelInput) -> Self {
        Self::Engine(Box::new(Preprocessor::cpu(input)))
    }

    /// Whether any of it is on a GPU.
    pub fn is_gpu(&self) -> bool {
        match self {
            Self::Engine(preprocessor) => preprocessor.is_gpu(),
            #[cfg(feature = "gpu")]
            Self::Gpu(_) => true,
        }
    }

    /// How long the device took for the last frame, by its own clock, where it did all of it and
    /// has a clock: to fit it into the input, and for the network.
    pub fn device_times(&self) -> Option<(Duration, Duration)> {
        match self {
            Self::Engine(_) => None,
            #[cfg(feature = "gpu")]
            Self::Gpu(path) => path.device_times(),
        }
    }

    /// What a frame takes of a device, where it does all of it.
    pub fn work(&self) -> Option<Work> {
        match self {
            Self::Engine(_) => None,
            #[cfg(feature = "gpu")]
            Self::Gpu(path) => Some(path.work()),
        }
    }
}
