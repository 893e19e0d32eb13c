//! wgpu devices for Keepsight plugins: choice, probe, device loss.
//!
//! [`survey`] lists what the drivers offer; it is what the probe for the
//! requirement kind `gpu` runs in a child process, because drivers crash at
//! enumeration. [`Device::open`] opens one device on the best adapter that an
//! [`AdapterChoice`] permits.
//!
//! What it promises: no error of wgpu panics the process. Errors that nobody
//! caught and the loss of the device are recorded, [`Device::health`] reports
//! the first of them, and every wait has a deadline. What it does not promise:
//! a driver that crashes or never returns from a call takes its thread, or the
//! process, with it.

mod adapter;
mod device;
mod error;
mod probe;
mod survey;

pub use adapter::AdapterChoice;
pub use device::Device;
pub use error::{GpuError, GpuFault};
pub use survey::{AdapterKind, AdapterLimits, AdapterSummary, GpuSurvey, backends, survey};
pub use wgpu;

#[cfg(test)]
mod tests;
