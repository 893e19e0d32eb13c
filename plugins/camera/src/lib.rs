//! Keepsight source: cameras through nokhwa.
//!
//! `camera:0` and `camera:STABLE_ID`, as [`CameraSource::devices`] lists them, open a camera;
//! `?backend=nokhwa` takes its frames through nokhwa's own stream.
//!
//! nokhwa negotiates and configures the device. On Linux the frames then come from a loop of this
//! crate's on the kernel's interface, because nokhwa's stream blocks for as long as no frame
//! comes, hides frame numbers and the driver's error flags, and panics when it can't be dropped.
//! What the loop promises: no call blocks for longer than 200 ms, a frame that the driver lost is
//! a gap in the sequence, and a device is given back or is counted as leaked.
//!
//! What it does not: a driver that hangs inside a system call hangs its thread.

mod address;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
mod faults;
mod frame_maker;
#[cfg(target_os = "linux")]
mod linux;
mod negotiate;
mod nokhwa_camera;
mod nokhwa_stream;
mod source;

pub use source::CameraSource;

#[cfg(not(target_os = "linux"))]
use elsewhere as system;
#[cfg(target_os = "linux")]
use linux as system;
