//! Films as a row of bytes, from a file or a program: YUV4MPEG2 (Y4M) and JPEGs one after the
//! other.
//!
//! [`FilmParser`] is handed bytes as they come, however they are cut, and hands out pictures. It
//! lets its owner read: [`FilmParser::space`] is where the next bytes belong, so that a picture's
//! bytes are written once, where they stay.

mod error;
mod jpeg_cutter;
mod parser;
mod y4m_header;
mod y4m_pixels;

pub use error::FilmError;
pub use parser::{FilmItem, FilmParser, FilmPicture};
