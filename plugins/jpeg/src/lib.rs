//! Pictures and films for Keepsight: JPEG decoding and encoding, PNG decoding, films of JPEGs and
//! of uncompressed pictures, and what is drawn over pictures.
//!
//! - [`decode_picture`], [`decode_jpeg`], [`decode_png`]: bytes to a [`Picture`] within
//!   [`Limits`]; [`JpegDecoder`] is what sources attach to their JPEG frames.
//! - [`encode`], [`encode_frame`]: a picture or frame to a JPEG.
//! - [`overlay`]: boxes, labels and lines over a picture.
//! - [`FilmParser`]: pictures out of a row of bytes, Y4M or JPEGs, from a file or a program.
//! - [`AviWriter`]: a film of JPEGs.
//!
//! Bytes from outside may be anything: sizes are checked before memory is taken, and damage is
//! an error that says what is wrong. Colour profiles and EXIF orientation are not applied.
//!
//! ```
//! use keepsight_jpeg::{Picture, decode_picture, encode};
//!
//! let picture = Picture::filled(64, 48, [30, 90, 200]);
//! let jpeg = encode(&picture, 85)?;
//! assert_eq!(decode_picture(&jpeg)?.size(), picture.size());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod avi_writer;
mod decode;
mod encode;
mod error;
mod film;
mod jpeg_decoder;
#[cfg(any(test, fuzzing))]
pub mod oracles;
pub mod overlay;
mod picture;

pub use avi_writer::{AviError, AviWriter};
pub use decode::{Limits, PictureFormat, decode_jpeg, decode_picture, decode_png, inspect_jpeg};
pub use encode::{encode, encode_frame};
pub use error::{EncodeError, PictureError};
pub use film::{FilmError, FilmItem, FilmParser, FilmPicture};
pub use jpeg_decoder::JpegDecoder;
pub use picture::Picture;
