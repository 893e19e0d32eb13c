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
}
