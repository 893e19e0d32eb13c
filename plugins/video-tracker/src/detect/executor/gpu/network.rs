use std::sync::Arc;

use keepsight_gpu::{Device, GpuFault};

use super::job::{JOB_WORDS, Job};
use super::kernels::Kernels;
use crate::detect::executor::error::PlanError;
use crate::detect::executor::plan::{Output, Plan};
use crate::detect::path::Work;

/// A network on one device, ready to run; a clone is the same one.
#[derive(Debug, Clone)]
pub(in crate::detect) struct GpuNetwork(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) device: Device,
    pub(super) kernels: Kernels,
    pub(super) jobs: Vec<Job>,
    pub(super) job_words: wgpu::Buffer,
    pub(super) weights: wgpu::Buffer,
    pub(super) arena_bytes: usize,
    /// In elements of the arena.
    pub(super) input: usize,
    pub(super) outputs: Vec<Output>,
    pub(super) work: Work,
}

/// Why a plan is not on a device.
#[derive(Debug, thiserror::Error)]
pub(in crate::detect) enum NetworkError {
    /// The model doesn't suit any device.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The device refused something, or has no memory.
    #[error(transparent)]
    Fault(#[from] GpuFault),
}

impl GpuNetwork {
    /// Compiles the kernels of a plan and brings its weights to the device.
    pub(in crate::detect) fn new(device: &Device, plan: &Plan) -> Result<Self, NetworkError> {
        let jobs = plan.steps.iter().map(Job::of).collect::<Result<Vec<_>, _>>()?;
        let kernels = Kernels::new(device, &jobs);
        let words: Vec<_> = jobs.iter().flat_map(|job| job.words).collect();
        // A buffer is never empty, nor is a binding.
        let job_bytes = words.len().max(JOB_WORDS) * 4;
        let uniform = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let storage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let job_words = device.buffer("jobs", job_bytes, uniform);
        let weights = device.buffer("weights", plan.weights.len().max(1) * 4, storage);
        device.health()?;
        device.queue().write_buffer(&job_words, 0, bytemuck::cast_slice(&words));
        device.queue().write_buffer(&weights, 0, bytemuck::cast_slice(&plan.weights));
        device.health()?;
        Ok(Self(Arc::new(Shared {
            device: device.clone(),
            kernels,
            jobs,
            job_words,
            weights,
            arena_bytes: plan.arena_elements * 4,
            input: plan.input,
            outputs: plan.outputs.clone(),
            work: plan.work(),
        })))
    }

    /// The device that it is on.
    pub(in crate::detect) fn device(&self) -> &Device {
        &self.0.device
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }
}
