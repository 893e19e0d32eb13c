//! Why a picture could not be read or written.

/// Why bytes gave no picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The bytes start neither as a JPEG nor as a PNG does.
    #[error("neither a JPEG nor a PNG")]
    UnknownFormat,
    /// The picture says that it is larger than the reader allows.
    #[error(
        "the picture is {width}x{height}; allowed are {width_max}x{height_max} and {pixels_max} pixels"
    )]
    TooLarge {
        /// Width in pixels, as the picture's header says.
        width: u64,
        /// Height in pixels, as the picture's header says.
        height: u64,
        /// Widest allowed, pixels.
        width_max: u32,
        /// Highest allowed, pixels.
        height_max: u32,
        /// Most pixels allowed.
        pixels_max: u64,
    },
    /// Truncated, or not what the JPEG standard allows, or a kind of JPEG that isn't read.
    #[error("damaged or unsupported JPEG: {reason}")]
    Jpeg {
        /// What the decoder says.
        reason: String,
    },
    /// Truncated, or not what the PNG standard allows.
    #[error("damaged PNG: {reason}")]
    Png {
        /// What the decoder says.
        reason: String,
    },
    /// Another number of pixels than width × height.
    #[error("{bytes} bytes of pixels for an RGB picture of {width}x{height}")]
    Pixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes given; right were `width × height × 3`.
        bytes: usize,
    },
}

/// Why a picture could not be written as JPEG.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// JPEG holds 1 to 65,535 pixels in each direction.
    #[error("a JPEG cannot hold {width}x{height}")]
    Size {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The frame has no RGB pixels to encode.
    #[error("the frame has no RGB pixels")]
    Frame(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The encoder refused.
    #[error("the encoder failed: {reason}")]
    Encoder {
        /// What the encoder says.
        reason: String,
    },
}
