//! The ways from a frame to a network's outputs, which of them to take, and the way back to a GPU
//! that was lost.
//!
//! - On the CPU: the frame is fitted into the input by the processor, the engine runs the network.
//! - Fitted on the GPU: the tensor comes back, the engine runs the network.
//! - On the GPU, all of it: nothing comes back but boxes and the best score of each.
//!
//! [`choose`] decides for an instance, [`SharedPath`] is what it decided, and a [`DetectPath`] is
//! one session's. After a fault of the GPU a session goes on on the CPU; the [`SharedPath`] opens
//! a new device after a while, on a thread of its own, and sessions go back to it.

mod choice;
#[cfg(feature = "gpu")]
mod gpu;
#[cfg(feature = "gpu")]
mod seat;
mod session;
mod shared;

pub use choice::{Choice, ChoiceError, GpuOffer, GpuPolicy, GpuWish, choose};
#[cfg(feature = "gpu")]
pub use gpu::GpuDetect;
pub use session::{DetectPath, Work};
pub use shared::{SessionPath, SharedPath};

#[cfg(all(test, feature = "gpu"))]
mod tests;
