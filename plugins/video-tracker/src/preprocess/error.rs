use keepsight_contract::{DecodeError, PixelFormat};

/// Why a frame was not fitted into a model's input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreprocessError {
    /// The frame's compressed bytes are damaged.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// There is no code for this pixel format.
    #[error("frames in {format:?} can't be converted")]
    Format {
        /// The frame's format, after decoding.
        format: PixelFormat,
    },
    /// The tensor has another length than the input.
    #[error("the tensor has {found} elements, the model's input has {needed}")]
    Tensor {
        /// Elements of the input.
        needed: usize,
        /// Elements of the tensor that was given.
        found: usize,
    },
    /// The frame is larger than the device's buffers.
    #[cfg(feature = "gpu")]
    #[error("the frame has {bytes} bytes, the GPU's buffers hold {bytes_max}")]
    FrameTooLarge {
        /// Bytes of the frame.
        bytes: u64,
        /// Bytes of the largest buffer.
        bytes_max: u64,
    },
    /// The GPU failed or was too slow.
    #[cfg(feature = "gpu")]
    #[error(transparent)]
    Gpu(#[from] keepsight_gpu::GpuFault),
}

impl PreprocessError {
    /// Whether the GPU is to blame, so that the CPU path would do.
    pub fn is_gpu_fault(&self) -> bool {
        match self {
            Self::Decode(_) | Self::Format { .. } | Self::Tensor { .. } => false,
            #[cfg(feature = "gpu")]
            Self::FrameTooLarge { .. } | Self::Gpu(_) => true,
        }
    }
}
