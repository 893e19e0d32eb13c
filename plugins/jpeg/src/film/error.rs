use keepsight_contract::FrameSize;

use crate::PictureError;

/// Why bytes are no film, or go on as one no longer. Offsets are in bytes from the film's start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilmError {
    /// Neither a Y4M header nor, in the first megabyte, a JPEG.
    #[error("no film: neither YUV4MPEG2 nor JPEGs, it begins with {begins}")]
    Unknown {
        /// The first bytes, as text.
        begins: String,
    },
    /// A Y4M header that says nothing that can be used.
    #[error("damaged YUV4MPEG2 header: {reason}")]
    Header {
        /// What is wrong with it.
        reason: String,
    },
    /// A kind of Y4M that isn't read.
    #[error(
        "YUV4MPEG2 with the colours C{chroma} isn't read; C420, C422, C444 and Cmono of 8 bits are"
    )]
    Chroma {
        /// What stands behind the C.
        chroma: String,
    },
    /// 4:2:2 shares colours between the pixels of a pair.
    #[error("YUV4MPEG2 with the colours C422 needs an even width, it is {size}")]
    OddWidth {
        /// Size of its pictures.
        size: FrameSize,
    },
    /// Larger pictures than are read.
    #[error(transparent)]
    Size(#[from] PictureError),
    /// Where a picture should begin, something else does.
    #[error("damaged at byte {offset}: no frame begins here")]
    Damaged {
        /// Where.
        offset: u64,
    },
    /// One picture is larger than any is.
    #[error("the picture at byte {offset} is larger than {most} bytes")]
    PictureBytes {
        /// Where it begins.
        offset: u64,
        /// The most that is read.
        most: usize,
    },
    /// It ends within a picture.
    #[error("it ends in the middle of a picture that begins at byte {offset}")]
    Truncated {
        /// Where the picture begins.
        offset: u64,
    },
    /// No bytes at all.
    #[error("it is empty")]
    Empty,
}
