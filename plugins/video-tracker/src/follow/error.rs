use keepsight_contract::{DecodeError, PixelFormat};

/// Why nothing was followed in a frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The frame's compressed bytes are damaged.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// There is no code for this pixel format.
    #[error("targets can't be followed in {format:?}")]
    Format {
        /// The frame's format, after decoding.
        format: PixelFormat,
    },
    /// The frame is larger than the device's buffers.
    #[cfg(feature = "gpu")]
    #[error("what is seen of the frame has {bytes} bytes, the GPU's buffers hold {bytes_max}")]
    FrameTooLarge {
        /// Bytes of luma and chroma in all sizes.
        bytes: u64,
        /// Bytes of the largest buffer.
        bytes_max: u64,
    },
    /// The GPU failed or was too slow.
    #[cfg(feature = "gpu")]
    #[error(transparent)]
    Gpu(#[from] keepsight_gpu::GpuFault),
}

impl FollowError {
    /// Whether the GPU is to blame, so that the CPU would do.
    pub fn is_gpu_fault(&self) -> bool {
        match self {
            Self::Decode(_) | Self::Format { .. } => false,
            #[cfg(feature = "gpu")]
            Self::FrameTooLarge { .. } | Self::Gpu(_) => true,
        }
    }
}
