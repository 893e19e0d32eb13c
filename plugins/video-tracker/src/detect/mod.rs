//! What is in a picture, and where: a convolutional detector read from an ONNX
//! file and run on the CPU.
//!
//! A model is two files: the ONNX file and a small TOML beside it, the
//! [`ModelDescription`], which says how pictures go in and boxes come out. Two
//! families are known, see [`Family`]. Everything wrong with either file is a
//! [`ModelError`] at load, which ends with a trial run; what loads, runs.
//!
//! A [`Detector`] is shared by all sessions of an instance and runs on threads
//! of its own; what one session needs is in its [`DetectScratch`].

#[cfg(feature = "bundled-model")]
mod bundled;
mod description;
mod detector;
mod model_error;
mod model_file;
mod network;
mod onnx_outline;
mod pool;
mod ssd;
mod suppress;
mod yolox;

pub use description::{Family, ModelDescription};
pub use detector::{DetectError, DetectOptions, DetectScratch, DetectTimes, Detector};
pub use model_error::ModelError;
pub use model_file::ModelFile;
#[cfg(any(test, fuzzing))]
pub(crate) use onnx_outline::check as outline_of;

#[cfg(test)]
mod onnx_fixture;
#[cfg(test)]
mod tests;
