use std::time::{Duration, Instant};

use keepsight_gpu::{Device, GpuFault};

use super::job::JOB_WORDS;
use super::network::GpuNetwork;
use crate::detect::path::Work;

/// One session's run of a network: the memory that it works in, and the outputs of the last frame.
#[derive(Debug)]
pub(in crate::detect) struct NetworkRun {
    network: GpuNetwork,
    arena: wgpu::Buffer,
    bindings: wgpu::BindGroup,
    clock: Option<Clock>,
    /// What comes back: the outputs one after the other, then four timestamps. None after a
    /// fault, when it may still be mapped.
    staging: Option<wgpu::Buffer>,
    read: Vec<u32>,
}

/// How long the device worked on a frame, by its own clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::detect) struct GpuTimes {
    pub(in crate::detect) preprocess: Duration,
    pub(in crate::detect) network: Duration,
}

/// Timestamps at the begin and the end of both parts of a frame.
#[derive(Debug)]
struct Clock {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    /// Of one unit of the timestamps.
    nanoseconds: f32,
}

/// The part of a frame that a pass is.
#[derive(Debug, Clone, Copy)]
pub(in crate::detect) enum Part {
    Preprocess,
    Network,
}

impl NetworkRun {
    pub(in crate::detect) fn new(network: &GpuNetwork) -> Result<Self, GpuFault> {
        let shared = network.shared();
        let device = &shared.device;
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST;
        let arena = device.buffer("arena", shared.arena_bytes, usage);
        let job = wgpu::BufferBinding {
            buffer: &shared.job_words,
            offset: 0,
            size: wgpu::BufferSize::new(JOB_WORDS as u64 * 4),
        };
        let bindings = device.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("network"),
            layout: &shared.kernels.bindings,
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(job) },
                wgpu::BindGroupEntry { binding: 1, resource: shared.weights.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 2, resource: arena.as_entire_binding() },
            ],
        });
        let clock = device.has_timestamps().then(|| Clock::new(device));
        device.health()?;
        let read = vec![0; shared.output_words() + TIMESTAMP_WORDS];
        Ok(Self { network: network.clone(), arena, bindings, clock, staging: None, read })
    }

    pub(in crate::detect) fn device(&self) -> &Device {
        self.network.device()
    }

    pub(in crate::detect) fn work(&self) -> Work {
        self.network.shared().work
    }

    /// Where the input has to be written before the network runs: a buffer that can be bound as
    /// storage, and the place in it, in bytes.
    pub(in crate::detect) fn input(&self) -> (&wgpu::Buffer, u64) {
        (&self.arena, self.network.shared().input as u64 * 4)
    }

    /// A pass whose begin and end are noted.
    pub(in crate::detect) fn pass<'e>(
        &self,
        encoder: &'e mut wgpu::CommandEncoder,
        part: Part,
    ) -> wgpu::ComputePass<'e> {
        let first = match part {
            Part::Preprocess => 0,
            Part::Network => 2,
        };
        let timestamp_writes = self.clock.as_ref().map(|clock| wgpu::ComputePassTimestampWrites {
            query_set: &clock.queries,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        });
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes })
    }

    /// Runs the network after what `encoder` has been told, and waits for its outputs.
    pub(in crate::detect) fn finish(
        &mut self,
        mut encoder: wgpu::CommandEncoder,
        deadline: Instant,
    ) -> Result<(), GpuFault> {
        let shared = self.network.shared();
        {
            let mut pass = self.pass(&mut encoder, Part::Network);
            let mut last = None;
            for (i, job) in shared.jobs.iter().enumerate() {
                if last != Some(job.kernel) {
                    pass.set_pipeline(shared.kernels.pipeline(job.kernel));
                    last = Some(job.kernel);
                }
                pass.set_bind_group(0, &self.bindings, &[(i * JOB_WORDS * 4) as u32]);
                let [x, y, z] = job.workgroups;
                pass.dispatch_workgroups(x, y, z);
            }
        }
        let staging = self.staging.take().unwrap_or_else(|| {
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            shared.device.buffer("outputs", self.read.len() * 4, usage)
        });
        let mut to = 0;
        for output in &shared.outputs {
            let bytes = output.shape.iter().product::<usize>() as u64 * 4;
            let from = output.start as u64 * 4;
            encoder.copy_buffer_to_buffer(&self.arena, from, &staging, to, bytes);
            to += bytes;
        }
        if let Some(clock) = &self.clock {
            encoder.resolve_query_set(&clock.queries, 0..4, &clock.resolved, 0);
            let bytes = TIMESTAMP_WORDS as u64 * 4;
            encoder.copy_buffer_to_buffer(&clock.resolved, 0, &staging, to, bytes);
        }
        let submission = shared.device.submit([encoder.finish()])?;
        let bytes = bytemuck::cast_slice_mut(&mut self.read);
        shared.device.read_back(&staging, submission, deadline, bytes)?;
        self.staging = Some(staging);
        Ok(())
    }

    /// The outputs' elements, after [`finish`](Self::finish).
    pub(in crate::detect) fn outputs(&self) -> impl Iterator<Item = &[f32]> {
        let mut rest: &[f32] = bytemuck::cast_slice(&self.read);
        self.network.shared().outputs.iter().map(move |output| {
            let (here, behind) = rest.split_at(output.shape.iter().product());
            rest = behind;
            here
        })
    }

    /// How long the last frame took, if the device has a clock and its passes were
    /// [noted](Self::pass).
    pub(in crate::detect) fn times(&self) -> Option<GpuTimes> {
        let clock = self.clock.as_ref()?;
        let words = &self.read[self.read.len() - TIMESTAMP_WORDS..];
        let at = |i: usize| u64::from(words[2 * i]) | u64::from(words[2 * i + 1]) << 32;
        let between = |from: usize| {
            let units = at(from + 1).saturating_sub(at(from));
            Duration::from_nanos((units as f64 * f64::from(clock.nanoseconds)) as u64)
        };
        Some(GpuTimes { preprocess: between(0), network: between(2) })
    }

    /// The outputs for an input that lies here.
    #[cfg(test)]
    pub(super) fn run(
        &mut self,
        input: &[f32],
        deadline: Instant,
    ) -> Result<Vec<Vec<f32>>, GpuFault> {
        let shared = self.network.shared();
        let at = shared.input as u64 * 4;
        shared.device.queue().write_buffer(&self.arena, at, bytemuck::cast_slice(input));
        let encoder = shared.device.device().create_command_encoder(&Default::default());
        self.finish(encoder, deadline)?;
        Ok(self.outputs().map(<[_]>::to_vec).collect())
    }
}

impl super::network::Shared {
    fn output_words(&self) -> usize {
        self.outputs.iter().map(|output| output.shape.iter().product::<usize>()).sum()
    }
}

impl Clock {
    fn new(device: &Device) -> Self {
        let queries = device.device().create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("clock"),
            ty: wgpu::QueryType::Timestamp,
            count: 4,
        });
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = device.buffer("timestamps", TIMESTAMP_WORDS * 4, usage);
        Self { queries, resolved, nanoseconds: device.queue().get_timestamp_period() }
    }
}

/// Of four timestamps.
const TIMESTAMP_WORDS: usize = 8;
