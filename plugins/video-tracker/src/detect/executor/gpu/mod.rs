//! The executor's kernels and how they are driven: one dispatch for each step of a plan, all of
//! them in one submission.
//!
//! A [`GpuNetwork`] is what all sessions share on one device: pipelines, weights, the steps'
//! parameters. A [`NetworkRun`] is one session's: the arena, and the buffers that outputs come
//! back in. Everything is within wgpu's downlevel default limits.

mod job;
mod kernels;
mod network;
mod run;

pub(in crate::detect) use network::GpuNetwork;
pub(in crate::detect) use run::{NetworkRun, Part};

#[cfg(test)]
mod tests;
