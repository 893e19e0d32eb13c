//! What is in a picture, and where: a convolutional detector read from an ONNX
//! file and run on the CPU or on a GPU.
//!
//! A model is two files: the ONNX file and a small TOML beside it, the
//! [`ModelDescription`], which says how pictures go in and boxes come out. Two
//! families are known, see [`Family`]. Everything wrong with either file is a
//! [`ModelError`] at load, which ends with a trial run; what loads, runs.
//!
//! A [`Detector`] is shared by all sessions of an instance and runs on threads
//! of its own; what one session needs is in its [`DetectScratch`] and its
//! [`DetectPath`], which is the CPU's or a GPU's; [`choose`] says which is
//! better here.

#[cfg(feature = "bundled-model")]
mod bundled;
mod description;
mod detector;
#[cfg(any(feature = "gpu", test, fuzzing))]
mod executor;
mod model_error;
mod model_file;
mod network;
mod onnx;
mod path;
mod pool;
mod ssd;
mod suppress;
mod yolox;

pub use description::{Family, ModelDescription};
pub use detector::{DetectError, DetectOptions, DetectScratch, DetectTimes, Detector};
#[cfg(any(feature = "gpu", test, fuzzing))]
pub use executor::PlanError;
#[cfg(any(test, fuzzing))]
pub(crate) use executor::try_plan;
pub use model_error::ModelError;
pub use model_file::ModelFile;
#[cfg(any(test, fuzzing))]
pub(crate) use onnx::outline_of;
#[cfg(feature = "gpu")]
pub use path::GpuDetect;
pub use path::{
    Choice, ChoiceError, DetectPath, GpuOffer, GpuPolicy, GpuWish, SessionPath, SharedPath, Work,
    choose,
};

#[cfg(test)]
pub(crate) mod onnx_fixture;
#[cfg(test)]
mod tests;
