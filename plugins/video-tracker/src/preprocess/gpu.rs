use std::time::Instant;

use keepsight_contract::{Frame, PixelFormat};
use keepsight_gpu::{Device, GpuFault};

use super::error::PreprocessError;
use super::input::{ColorOrder, ModelInput, Padding, Placement};
use super::layout::Layout;
use super::taps::taps;

/// Fits frames into a model's input on a GPU.
///
/// The captured bytes go up once, one kernel does the rest, and the tensor comes
/// back: one submission and one read-back a frame. The kernel needs no more than
/// wgpu's downlevel default limits.
#[derive(Debug)]
pub struct GpuPreprocess {
    device: Device,
    input: ModelInput,
    pipeline: wgpu::ComputePipeline,
    job: wgpu::Buffer,
    tensor: wgpu::Buffer,
    /// None after a fault, when it may still be mapped.
    staging: Option<wgpu::Buffer>,
    picture: Option<Picture>,
}

/// What depends on how the frame's bytes lie.
#[derive(Debug)]
struct Picture {
    shape: Shape,
    placement: Placement,
    bytes: wgpu::Buffer,
    bindings: wgpu::BindGroup,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Shape {
    layout: Layout,
    width: u32,
    height: u32,
    stride: usize,
    /// Of all rows, the last one without its padding.
    byte_count: usize,
}

impl GpuPreprocess {
    /// A path into this input, on this device.
    ///
    /// # Errors
    /// [`GpuFault`] when the device refuses the kernel or has no memory.
    pub fn new(device: &Device, input: &ModelInput) -> Result<Self, GpuFault> {
        let gpu = device.device();
        let module = gpu.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("preprocess"),
            source: wgpu::ShaderSource::Wgsl(include_str!("preprocess.wgsl").into()),
        });
        let pipeline = gpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("preprocess"),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let tensor_usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let job_usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let path = Self {
            input: *input,
            pipeline,
            job: buffer(device, "preprocess job", JOB_WORDS * 4, job_usage),
            tensor: buffer(device, "model input", input.elements() * 4, tensor_usage),
            staging: None,
            picture: None,
            device: device.clone(),
        };
        device.health()?;
        Ok(path)
    }

    /// The input that frames are fitted into.
    pub fn input(&self) -> &ModelInput {
        &self.input
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Fits `frame` into `tensor`, of which every element is written, and waits
    /// for it until `deadline`.
    ///
    /// A compressed frame is decoded first, on the calling thread, once for all
    /// who ask for it.
    ///
    /// # Errors
    /// [`PreprocessError`]; the tensor is then as it was.
    pub fn run(
        &mut self,
        frame: &Frame,
        deadline: Instant,
        tensor: &mut [f32],
    ) -> Result<Placement, PreprocessError> {
        self.input.check_tensor(tensor)?;
        let frame = frame.decoded()?;
        let shape = Shape::of(&frame)?;
        self.device.health()?;
        self.prepare(shape, &frame)?;
        let picture = self.picture.as_ref().expect("it was prepared");
        let (gpu, queue) = (self.device.device(), self.device.queue());

        // Copies are in whole words.
        let (words, rest) = frame.pixels()[..shape.byte_count].split_at(shape.byte_count & !3);
        queue.write_buffer(&picture.bytes, 0, words);
        if !rest.is_empty() {
            let mut word = [0; 4];
            word[..rest.len()].copy_from_slice(rest);
            queue.write_buffer(&picture.bytes, words.len() as u64, &word);
        }
        let staging = self.staging.take().unwrap_or_else(|| {
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            buffer(&self.device, "model input, read back", tensor.len() * 4, usage)
        });
        let mut encoder = gpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &picture.bindings, &[]);
            let (columns, rows) = (self.input.width, self.input.height);
            pass.dispatch_workgroups(columns.div_ceil(GROUP[0]), rows.div_ceil(GROUP[1]), 1);
        }
        encoder.copy_buffer_to_buffer(&self.tensor, 0, &staging, 0, tensor.len() as u64 * 4);
        let submission = self.device.submit([encoder.finish()])?;
        self.device.read_back(&staging, submission, deadline, bytemuck::cast_slice_mut(tensor))?;
        self.staging = Some(staging);
        Ok(picture.placement)
    }

    /// Makes what frames of this shape need, unless it is there.
    fn prepare(&mut self, shape: Shape, frame: &Frame) -> Result<(), PreprocessError> {
        if self.picture.as_ref().is_some_and(|picture| picture.shape == shape) {
            return Ok(());
        }
        let buffer_bytes = shape.byte_count.next_multiple_of(4);
        let bytes_max = self.device.device().limits().max_storage_buffer_binding_size;
        if buffer_bytes as u64 > bytes_max {
            return Err(PreprocessError::FrameTooLarge { bytes: buffer_bytes as u64, bytes_max });
        }
        let placement = self.input.placement(frame.size());
        let content = placement.content();
        let taps = [taps(shape.width, content.width), taps(shape.height, content.height)];
        let taps: Vec<_> = taps.iter().flatten().map(|tap| tap.packed()).collect();

        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let bytes = buffer(&self.device, "frame", buffer_bytes, usage);
        let table = buffer(&self.device, "preprocess taps", taps.len() * 4, usage);
        let queue = self.device.queue();
        queue.write_buffer(&table, 0, bytemuck::cast_slice(&taps));
        let job = self.job_words(shape, placement);
        queue.write_buffer(&self.job, 0, bytemuck::cast_slice(&job));
        let buffers = [&self.job, &bytes, &table, &self.tensor];
        let entries = [0, 1, 2, 3].map(|binding| wgpu::BindGroupEntry {
            binding,
            resource: buffers[binding as usize].as_entire_binding(),
        });
        let bindings = self.device.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("preprocess"),
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        self.picture = Some(Picture { shape, placement, bytes, bindings });
        Ok(())
    }

    /// The kernel's `Job`.
    fn job_words(&self, shape: Shape, placement: Placement) -> [u32; JOB_WORDS] {
        let (input, content) = (&self.input, placement.content());
        let format = match shape.layout {
            Layout::Yuyv => 0,
            Layout::Nv12 => 1,
            Layout::Rgb => 2,
            Layout::Gray => 3,
        };
        let red_plane = match input.color_order {
            ColorOrder::Rgb => 0,
            ColorOrder::Bgr => 2,
        };
        let padding = match input.padding {
            Padding::Stretch => 0.0,
            Padding::LetterboxTopLeft(level) => level,
        };
        // Less than the bytes of a buffer, unless there is only one row, and
        // then it is multiplied with 0.
        let stride = shape.stride as u32;
        [
            shape.width,
            shape.height,
            content.width,
            content.height,
            input.width,
            input.height,
            stride,
            if shape.layout == Layout::Nv12 { stride * shape.height } else { 0 },
            format,
            red_plane,
            input.scale.to_bits(),
            input.offset.to_bits(),
            padding.to_bits(),
            0,
            0,
            0,
        ]
    }
}

impl Shape {
    fn of(frame: &Frame) -> Result<Self, PreprocessError> {
        let layout = Layout::of(frame)?;
        let (size, stride) = (frame.size(), frame.stride());
        let rows = match frame.format() {
            PixelFormat::Nv12 => size.height + size.height.div_ceil(2),
            _ => size.height,
        };
        let byte_count = (rows as usize - 1) * stride + frame.format().row_bytes(size.width);
        Ok(Self { layout, width: size.width, height: size.height, stride, byte_count })
    }
}

fn buffer(device: &Device, label: &str, bytes: usize, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    device.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: bytes as u64,
        usage,
        mapped_at_creation: false,
    })
}

/// Words of the kernel's `Job`, rounded up to 16 bytes.
const JOB_WORDS: usize = 16;

/// The kernel's `workgroup_size`.
const GROUP: [u32; 2] = [16, 8];
