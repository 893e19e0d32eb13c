use std::time::Instant;

use keepsight_contract::Frame;

use super::cpu::CpuPreprocess;
use super::error::PreprocessError;
#[cfg(feature = "gpu")]
use super::gpu::GpuPreprocess;
use super::input::{ModelInput, Placement};

/// One of the two ways into a model's input, for one session.
#[derive(Debug)]
#[non_exhaustive]
pub enum Preprocessor {
    /// On the calling thread.
    Cpu(CpuPreprocess),
    /// On a GPU.
    #[cfg(feature = "gpu")]
    Gpu(GpuPreprocess),
}

impl Preprocessor {
    /// The CPU path, which always works.
    pub fn cpu(input: &ModelInput) -> Self {
        Self::Cpu(CpuPreprocess::new(input))
    }

    /// The input that frames are fitted into.
    pub fn input(&self) -> &ModelInput {
        match self {
            Self::Cpu(path) => path.input(),
            #[cfg(feature = "gpu")]
            Self::Gpu(path) => path.input(),
        }
    }

    /// Whether frames go to a GPU.
    pub fn is_gpu(&self) -> bool {
        !matches!(self, Self::Cpu(_))
    }

    /// Fits `frame` into `tensor`, of which every element is written; a GPU is
    /// waited for until `deadline`.
    ///
    /// # Errors
    /// [`PreprocessError`]; where
    /// [`is_gpu_fault`](PreprocessError::is_gpu_fault) says so,
    /// [`fall_back`](Self::fall_back) and try again.
    pub fn run(
        &mut self,
        frame: &Frame,
        deadline: Instant,
        tensor: &mut [f32],
    ) -> Result<Placement, PreprocessError> {
        match self {
            Self::Cpu(path) => {
                // It takes about a millisecond and waits for nothing.
                let _ = deadline;
                path.run(frame, tensor)
            }
            #[cfg(feature = "gpu")]
            Self::Gpu(path) => path.run(frame, deadline, tensor),
        }
    }

    /// From here on, the CPU path.
    pub fn fall_back(&mut self) {
        *self = Self::cpu(self.input());
    }
}
