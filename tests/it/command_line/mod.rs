//! The program as people start it: what it prints, what it writes, how it ends.

mod arguments;
mod checking;
mod listings;
mod running;
mod support;
#[cfg(all(feature = "video-tracker", feature = "bundled-model", feature = "scene"))]
mod tracking;
