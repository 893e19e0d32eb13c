//! Follows targets from frame to frame by what they look like, without a detector.
//!
//! Each target has a discriminative correlation filter of its own. What is computed is defined
//! once, for the CPU path and the kernels:
//!
//! - The target's *region*, its box and some padding around it, is sampled to 64 × 64 pixels.
//!   Between pixels it is bilinear, on the halving of the picture at which a sample is one to
//!   two pixels.
//! - A cell is 4 × 4 of these pixels; each has 20 features: 9 of the gradients' orientations, 10
//!   of colour (black, gray, white and 7 hues) and brightness. A Hann window fades them out
//!   towards the region's edge.
//! - The filter answers with a response for each shift by whole cells; a parabola through the
//!   peak and its neighbours finds the place between them. The peak-to-sidelobe ratio says how
//!   sure that is.
//! - A frame is looked at in three sizes of the region, a little apart.

mod config;
mod cpu;
mod error;
mod features;
mod filter;
mod follower;
#[cfg(feature = "gpu")]
mod gpu;
mod patch;
mod peak;
mod picture;
mod place;
mod request;
mod spectrum;
mod tables;

pub use config::FollowConfig;
pub use cpu::CpuFollower;
pub use error::FollowError;
pub use follower::Follower;
#[cfg(feature = "gpu")]
pub use gpu::GpuFollower;
pub use request::{Found, Lesson, Sought};

/// The most filters at a time; their numbers are smaller.
pub const FILTERS_MAX: usize = 128;

/// Samples of a patch along each axis.
const PATCH_SIDE: usize = 64;
/// Pixels of a cell along each axis.
const CELL: usize = 4;
/// Cells of a patch along each axis.
const GRID: usize = PATCH_SIDE / CELL;
/// Cells of a patch.
const CELLS: usize = GRID * GRID;
/// Samples of luma along each axis: one more at each edge.
const LUMA_SIDE: usize = PATCH_SIDE + 2;
/// Samples of chroma along each axis: 2 × 2 a cell.
const CHROMA_SIDE: usize = 2 * GRID;
/// Directions of gradients that are told apart, without regard to sign.
const ORIENTATIONS: usize = 9;
/// Colours that are told apart beside black, gray and white.
const HUES: usize = 7;
/// Features of a cell.
const CHANNELS: usize = ORIENTATIONS + 3 + HUES + 1;
/// The sizes that a frame is looked at in, as powers of the scale step.
const SCALES: [i32; 3] = [-1, 0, 1];

#[cfg(all(test, feature = "gpu"))]
mod gpu_tests;
#[cfg(test)]
mod tests;
