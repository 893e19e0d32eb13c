//! From a captured frame to the tensor that a model wants.
//!
//! What is read where is defined once, for the CPU path and the kernel:
//!
//! - The picture is scaled to its *content* part of the input: all of it, or for
//!   a letterbox the largest part of the picture's own shape, rounded down, at
//!   the top left; the rest has the padding level.
//! - Element `i` of `n` along an axis of `m` pixels reads at `(i + ½) · m / n − ½`
//!   (pixel centres on pixel centres), rounded to 1/256 pixel, clamped to the
//!   picture. Between pixels it is bilinear: two pixels along each axis and no
//!   more, so that reduction by more than two skips pixels.
//! - Y, U and V are blended before they are converted. A chroma sample stands for
//!   each of its pixels alike. YUYV and NV12 are BT.601, limited range; what a
//!   JPEG decodes to is full range by the time it comes here.
//! - Levels are clamped to 0–255 after conversion, then `level × scale + offset`.
//!
//! Blending is exact in integers, so the two paths differ by the rounding of the
//! conversion alone: at most 1/100 level, times the scale.

mod cpu;
mod error;
#[cfg(feature = "gpu")]
mod gpu;
mod input;
#[cfg(feature = "gpu")]
mod kernel;
mod layout;
mod preprocessor;
mod taps;

pub use cpu::CpuPreprocess;
pub use error::PreprocessError;
#[cfg(feature = "gpu")]
pub use gpu::GpuPreprocess;
pub use input::{ColorOrder, ModelInput, Padding, Placement};
#[cfg(feature = "gpu")]
pub(crate) use kernel::{PreprocessKernel, TensorPlace};
pub use preprocessor::Preprocessor;

#[cfg(all(test, feature = "gpu"))]
mod gpu_tests;
#[cfg(test)]
mod tests;
