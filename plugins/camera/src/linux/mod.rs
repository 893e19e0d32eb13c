//! Cameras on Linux: found in sysfs, configured by nokhwa, captured by a loop of our own.

mod capture;
mod device;
mod holders;
mod listing;
mod open;
mod pool;
mod sequence;
mod syscalls;
mod sysfs;

pub(crate) use listing::devices;
pub(crate) use open::open;
