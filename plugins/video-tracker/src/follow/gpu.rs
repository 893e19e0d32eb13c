use std::time::Instant;

use keepsight_contract::{BoundingBox, Frame};
use keepsight_gpu::{Device, GpuFault};

use super::patch::Region;
use super::peak::Peak;
use super::picture::{LEVELS_MAX, Picture};
use super::place::{choose, stay};
use super::tables::{hann, hue_axes, orientation_axes, wanted_axis};
use super::{
    CELLS, CHANNELS, FILTERS_MAX, FollowConfig, FollowError, Found, GRID, Lesson, SCALES, Sought,
};

/// Follows targets on a GPU.
///
/// All looks of a call are one submission: a workgroup for each target and size. Filters stay on
/// the device; what comes back are peaks. Teaching waits for nothing. The kernels need no more
/// than wgpu's downlevel default limits; what they see of a frame is converted on the host, only
/// where they look.
#[derive(Debug)]
pub struct GpuFollower {
    device: Device,
    config: FollowConfig,
    picture: Picture,
    learning: wgpu::ComputePipeline,
    responding: wgpu::ComputePipeline,
    job: wgpu::Buffer,
    looks: wgpu::Buffer,
    filters: wgpu::Buffer,
    peaks: wgpu::Buffer,
    /// None after a fault, when it may still be mapped.
    staging: Option<wgpu::Buffer>,
    planes: Option<Planes>,
    /// Words of looks and of peaks, on their way.
    look_words: Vec<u32>,
    peak_words: Vec<f32>,
}

/// Where frames of one size lie on the device.
#[derive(Debug)]
struct Planes {
    /// Luma's width and height at each level.
    sizes: Vec<[usize; 2]>,
    /// First bytes of luma, U and V at each level.
    starts: Vec<[usize; 3]>,
    bytes: wgpu::Buffer,
    learning: wgpu::BindGroup,
    responding: wgpu::BindGroup,
}

impl GpuFollower {
    /// A follower without filters, on this device.
    ///
    /// # Errors
    /// [`GpuFault`] when the device refuses the kernels or has no memory.
    pub fn new(device: &Device, config: FollowConfig) -> Result<Self, GpuFault> {
        let gpu = device.device();
        let module = gpu.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("follow"),
            source: wgpu::ShaderSource::Wgsl(include_str!("follow.wgsl").into()),
        });
        let pipeline = |entry_point| {
            gpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry_point),
                layout: None,
                module: &module,
                entry_point: Some(entry_point),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        };
        let (learning, responding) = (pipeline("learn"), pipeline("respond"));
        let storage = wgpu::BufferUsages::STORAGE;
        let put = wgpu::BufferUsages::COPY_DST;
        let filter_bytes = FILTERS_MAX * (CHANNELS + 1) * CELLS * 8;
        let follower = Self {
            config,
            picture: Picture::default(),
            learning,
            responding,
            job: device.buffer("follow job", JOB_WORDS * 4, wgpu::BufferUsages::UNIFORM | put),
            looks: device.buffer("follow looks", LOOKS_MAX * LOOK_WORDS * 4, storage | put),
            filters: device.buffer("follow filters", filter_bytes, storage),
            peaks: device.buffer(
                "follow peaks",
                LOOKS_MAX * PEAK_WORDS * 4,
                storage | wgpu::BufferUsages::COPY_SRC,
            ),
            staging: None,
            planes: None,
            look_words: Vec::with_capacity(LOOKS_MAX * LOOK_WORDS),
            peak_words: Vec::with_capacity(LOOKS_MAX * PEAK_WORDS),
            device: device.clone(),
        };
        device.health()?;
        Ok(follower)
    }

    /// What it does.
    pub fn config(&self) -> &FollowConfig {
        &self.config
    }

    /// Takes in the next frame.
    ///
    /// # Errors
    /// [`FollowError`] when the frame can't be decoded or converted, or has no room.
    pub fn take(&mut self, frame: &Frame) -> Result<(), FollowError> {
        self.picture.take(frame)?;
        self.place()
    }

    /// Lets go of the frame; the next one has to be taken in before anything else.
    pub fn release(&mut self) {
        self.picture.release();
    }

    /// Looks for each of `sought` in the frame, around its box, and says where it is.
    ///
    /// # Errors
    /// [`FollowError`] when the device fails or isn't done at `deadline`.
    pub fn locate(
        &mut self,
        sought: &[Sought],
        deadline: Instant,
        found: &mut Vec<Found>,
    ) -> Result<(), FollowError> {
        found.clear();
        for sought in sought.chunks(LOOKS_MAX / SCALES.len()) {
            self.look_words.clear();
            for Sought { slot, bbox } in sought {
                for exponent in SCALES {
                    self.plan(*slot, bbox, self.config.scale_step.powi(exponent), 0.0);
                }
            }
            self.respond(deadline)?;
            let peaks = self.peak_words.as_chunks::<PEAK_WORDS>().0.as_chunks::<3>().0;
            for (sought, peaks) in sought.iter().zip(peaks) {
                found.push(choose(&self.config, &sought.bbox, &peaks.map(peak)));
            }
        }
        Ok(())
    }

    /// Looks at each box of the frame with its filter, in that size only.
    ///
    /// # Errors
    /// As [`locate`](Self::locate).
    pub fn compare(
        &mut self,
        sought: &[Sought],
        deadline: Instant,
        found: &mut Vec<Found>,
    ) -> Result<(), FollowError> {
        found.clear();
        for sought in sought.chunks(LOOKS_MAX) {
            self.look_words.clear();
            for Sought { slot, bbox } in sought {
                self.plan(*slot, bbox, 1.0, 0.0);
            }
            self.respond(deadline)?;
            let peaks = self.peak_words.as_chunks::<PEAK_WORDS>().0;
            for (sought, words) in sought.iter().zip(peaks) {
                found.push(stay(&self.config, &sought.bbox, &peak(*words)));
            }
        }
        Ok(())
    }

    /// Teaches filters what their targets look like in the frame.
    ///
    /// # Errors
    /// [`FollowError`] when the device has failed. It is not waited for.
    pub fn learn(&mut self, lessons: &[Lesson]) -> Result<(), FollowError> {
        for lessons in lessons.chunks(LOOKS_MAX) {
            self.look_words.clear();
            for Lesson { slot, bbox, rate } in lessons {
                self.plan(*slot, bbox, 1.0, *rate);
            }
            self.put_up();
            let planes = self.planes.as_ref().expect("a frame was taken in");
            let encoder = self.encode(&self.learning, &planes.learning);
            self.device.submit([encoder.finish()])?;
        }
        Ok(())
    }

    /// Adds a look to those of the next dispatch.
    fn plan(&mut self, slot: usize, bbox: &BoundingBox, scale: f32, rate: f32) {
        assert!(slot < FILTERS_MAX, "there is no filter {slot}");
        let region: Region = self.config.region(bbox, scale);
        let level = region.level().min(self.picture.level_count() - 1);
        let Region { center, size } = region.scaled(1.0 / (1 << level) as f32);
        let part = Region { center, size }.part(self.picture.level_size(level));
        self.picture.prepare(level, &part);
        let numbers = [rate, 0.0, center[0], center[1], size[0], size[1]];
        self.look_words.extend([slot as u32, level as u32]);
        self.look_words.extend(numbers.map(f32::to_bits));
    }

    /// Puts the looks, and the parts of the picture that they look at, on the device.
    fn put_up(&mut self) {
        let queue = self.device.queue();
        queue.write_buffer(&self.looks, 0, bytemuck::cast_slice(&self.look_words));
        let planes = self.planes.as_ref().expect("a frame was taken in");
        for (index, starts) in planes.starts.iter().enumerate() {
            if self.picture.news(index).is_none() {
                continue;
            }
            for (plane, start) in self.picture.planes(index).into_iter().zip(starts) {
                // Copies are in whole words.
                let (words, rest) = plane.bytes.split_at(plane.bytes.len() & !3);
                queue.write_buffer(&planes.bytes, *start as u64, words);
                if !rest.is_empty() {
                    let mut word = [0; 4];
                    word[..rest.len()].copy_from_slice(rest);
                    queue.write_buffer(&planes.bytes, (*start + words.len()) as u64, &word);
                }
            }
        }
    }

    fn respond(&mut self, deadline: Instant) -> Result<(), FollowError> {
        self.peak_words.clear();
        if self.look_words.is_empty() {
            return Ok(());
        }
        self.put_up();
        let planes = self.planes.as_ref().expect("a frame was taken in");
        let mut encoder = self.encode(&self.responding, &planes.responding);
        let staging = self.staging.take().unwrap_or_else(|| {
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            self.device.buffer("follow peaks, read back", LOOKS_MAX * PEAK_WORDS * 4, usage)
        });
        let words = self.look_words.len() / LOOK_WORDS * PEAK_WORDS;
        encoder.copy_buffer_to_buffer(&self.peaks, 0, &staging, 0, words as u64 * 4);
        let submission = self.device.submit([encoder.finish()])?;
        self.peak_words.resize(words, 0.0);
        let bytes = bytemuck::cast_slice_mut(&mut self.peak_words);
        self.device.read_back(&staging, submission, deadline, bytes)?;
        self.staging = Some(staging);
        Ok(())
    }

    fn encode(
        &self,
        pipeline: &wgpu::ComputePipeline,
        bindings: &wgpu::BindGroup,
    ) -> wgpu::CommandEncoder {
        let gpu = self.device.device();
        let mut encoder = gpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, bindings, &[]);
        pass.dispatch_workgroups((self.look_words.len() / LOOK_WORDS) as u32, 1, 1);
        drop(pass);
        encoder
    }

    /// Makes room for frames of the picture's size, unless it is there.
    fn place(&mut self) -> Result<(), FollowError> {
        let count = self.picture.level_count();
        let sizes = (0..count).map(|index| self.picture.level_size(index));
        if self.planes.as_ref().is_some_and(|planes| sizes.clone().eq(planes.sizes.iter().copied()))
        {
            return Ok(());
        }
        let sizes: Vec<_> = sizes.collect();
        let mut end = 0;
        let mut starts = Vec::with_capacity(count);
        for index in 0..count {
            starts.push(self.picture.planes(index).map(|plane| {
                let start = end;
                end += plane.bytes.len().next_multiple_of(4);
                start
            }));
        }
        let bytes_max = self.device.device().limits().max_storage_buffer_binding_size;
        if end as u64 > bytes_max {
            self.planes = None;
            return Err(FollowError::FrameTooLarge { bytes: end as u64, bytes_max });
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let bytes = self.device.buffer("follow picture", end, usage);
        let job = self.job_words(&starts);
        self.device.queue().write_buffer(&self.job, 0, bytemuck::cast_slice(&job));
        let bindings = |pipeline: &wgpu::ComputePipeline, buffers: &[&wgpu::Buffer]| {
            let entries: Vec<_> = (0..)
                .zip(buffers)
                .map(|(binding, buffer)| wgpu::BindGroupEntry {
                    binding,
                    resource: buffer.as_entire_binding(),
                })
                .collect();
            self.device.device().create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("follow"),
                layout: &pipeline.get_bind_group_layout(0),
                entries: &entries,
            })
        };
        let all = [&self.job, &bytes, &self.looks, &self.filters, &self.peaks];
        // The kernel that teaches has no use for peaks.
        let learning = bindings(&self.learning, &all[..4]);
        let responding = bindings(&self.responding, &all);
        self.planes = Some(Planes { sizes, starts, bytes, learning, responding });
        self.device.health()?;
        Ok(())
    }

    /// The kernels' `Job`.
    fn job_words(&self, starts: &[[usize; 3]]) -> [u32; JOB_WORDS] {
        let mut words = Vec::with_capacity(JOB_WORDS);
        for (index, [luma, u, v]) in starts.iter().enumerate() {
            let [luma_plane, chroma, _] = self.picture.planes(index);
            let level = [
                *luma,
                luma_plane.width,
                luma_plane.height,
                0,
                chroma.width,
                chroma.height,
                *u,
                *v,
            ];
            words.extend(level.map(|number| number as u32));
        }
        words.resize(LEVELS_MAX * 8, 0);
        let turn = |nth: usize| std::f32::consts::TAU * nth as f32 / GRID as f32;
        let mut numbers = Vec::with_capacity(JOB_WORDS);
        for (nth, (window, wanted)) in
            hann().into_iter().zip(wanted_axis(self.config.sigma)).enumerate()
        {
            numbers.extend([window, turn(nth).cos(), turn(nth).sin(), wanted]);
        }
        for [a, b] in orientation_axes().into_iter().chain(hue_axes()) {
            numbers.extend([a, b, 0.0, 0.0]);
        }
        let FollowConfig { regularization, colour_weight, gray_weight, saturation_half, .. } =
            self.config;
        numbers.extend([regularization, colour_weight, gray_weight, saturation_half]);
        words.extend(numbers.into_iter().map(f32::to_bits));
        words.try_into().expect("the parts of a job add up")
    }
}

fn peak([value, right, down, sidelobe_ratio]: [f32; PEAK_WORDS]) -> Peak {
    Peak { value, shift: [right, down], sidelobe_ratio }
}

/// Words of the kernels' `Job`, `Look` and of a peak.
const JOB_WORDS: usize = LEVELS_MAX * 8 + GRID * 4 + (9 + 7) * 4 + 4;
const LOOK_WORDS: usize = 8;
const PEAK_WORDS: usize = 4;

/// The most looks of a dispatch: all filters in all sizes.
const LOOKS_MAX: usize = FILTERS_MAX * SCALES.len();
