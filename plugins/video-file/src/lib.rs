//! Keepsight source: recorded pictures.
//!
//! `file:PATH` reads
//! - a folder of JPEG or PNG pictures, in their names' natural order (`2.jpg` before `10.jpg`);
//! - a folder as the MOT Challenge lays them out: `img1/` and `seqinfo.ini`, which gives the
//!   frame rate; naming `img1` itself does the same;
//! - a film of JPEGs in an AVI file (Motion JPEG), or one after the other (`.mjpeg`, `.mjpg`);
//! - a film without compression, Y4M (YUV4MPEG2): 4:2:0, 4:2:2, 4:4:4 or gray, 8 bits;
//! - a single JPEG or PNG.
//!
//! | parameter | default | |
//! |---|---|---|
//! | `loop` | 0 | 1: begins anew at the end |
//! | `fps` | what the film or `seqinfo.ini` says, else what is wished, else 30 | 0.001–1000, or `max`: as fast as frames are taken |
//!
//! At native pace frames come when they are due, and none is left out; unpaced as fast as they
//! are taken. Whatever is wrong with a file is an error that names it, and for an AVI the byte
//! where it is. Sizes that a file claims are never believed beyond fixed limits.

mod avi_reader;
mod error;
mod film;
mod natural_order;
#[cfg(any(test, fuzzing))]
pub mod oracles;
mod picture_folder;
mod seqinfo;
mod settings;
mod source;
mod stream_file;

pub use source::FileSource;
