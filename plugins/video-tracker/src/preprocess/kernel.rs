use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keepsight_contract::{Frame, PixelFormat};
use keepsight_gpu::{Device, GpuFault};

use super::error::PreprocessError;
use super::input::{ColorOrder, ModelInput, Padding, Placement};
use super::layout::Layout;
use super::taps::taps;

/// The kernel that fits frames into a model's input, which may be a part of
/// somebody else's buffer.
///
/// A frame's bytes go up once. The kernel needs no more than wgpu's downlevel
/// default limits, and after the first frame of a shape makes no buffer.
#[derive(Debug)]
pub(crate) struct PreprocessKernel {
    device: Device,
    input: ModelInput,
    pipeline: wgpu::ComputePipeline,
    job: wgpu::Buffer,
    tensor: TensorPlace,
    picture: Option<Picture>,
}

/// Where a tensor lies on the device.
#[derive(Debug, Clone)]
pub(crate) struct TensorPlace {
    /// Has the usage `STORAGE`.
    pub(crate) buffer: wgpu::Buffer,
    /// In bytes, a multiple of 256.
    pub(crate) offset: u64,
}

/// What depends on how the frame's bytes lie.
#[derive(Debug)]
struct Picture {
    shape: Shape,
    placement: Placement,
    bytes: wgpu::Buffer,
    upload: Upload,
    bindings: wgpu::BindGroup,
}

/// Memory that both sides see, on the way to the device's own. (wgpu's
/// `write_buffer` makes such a buffer for every call.)
#[derive(Debug)]
struct Upload {
    buffer: wgpu::Buffer,
    /// Whether it can be written to now; set when the device is done with it.
    is_mapped: Arc<AtomicBool>,
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

impl PreprocessKernel {
    /// The kernel for this input, writing to `tensor`.
    ///
    /// # Errors
    /// [`GpuFault`] when the device refuses it or has no memory.
    pub(crate) fn new(
        device: &Device,
        input: &ModelInput,
        tensor: TensorPlace,
    ) -> Result<Self, GpuFault> {
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
        let job_usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let job = device.buffer("preprocess job", JOB_WORDS * 4, job_usage);
        device.health()?;
        let (device, input) = (device.clone(), *input);
        Ok(Self { device, input, pipeline, job, tensor, picture: None })
    }

    pub(crate) fn input(&self) -> &ModelInput {
        &self.input
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Brings an uncompressed frame's bytes to the device, for [`dispatch`](Self::dispatch).
    ///
    /// # Errors
    /// [`PreprocessError`]
    pub(crate) fn upload(
        &mut self,
        frame: &Frame,
        encoder: &mut wgpu::CommandEncoder,
    ) -> Result<Placement, PreprocessError> {
        let shape = Shape::of(frame)?;
        self.device.health()?;
        self.prepare(shape, frame)?;
        let picture = self.picture.as_mut().expect("it was prepared");
        if !picture.upload.is_mapped.swap(false, Ordering::Acquire) {
            // After a fault the device may still have it.
            picture.upload = Upload::new(&self.device, shape.byte_count);
            picture.upload.is_mapped.store(false, Ordering::Relaxed);
        }
        let buffer = &picture.upload.buffer;
        {
            let mut view = match buffer.get_mapped_range_mut(..) {
                Ok(view) => view,
                Err(error) => {
                    self.device.health()?;
                    return Err(GpuFault::Validation { message: error.to_string() }.into());
                }
            };
            view.slice(..shape.byte_count).copy_from_slice(&frame.pixels()[..shape.byte_count]);
        }
        buffer.unmap();
        encoder.copy_buffer_to_buffer(buffer, 0, &picture.bytes, 0, buffer.size());
        Ok(picture.placement)
    }

    /// Fits the frame that was uploaded.
    pub(crate) fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>) {
        let Some(picture) = &self.picture else { return };
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &picture.bindings, &[]);
        let (columns, rows) = (self.input.width, self.input.height);
        pass.dispatch_workgroups(columns.div_ceil(GROUP[0]), rows.div_ceil(GROUP[1]), 1);
    }

    /// To be told when the device is done with a frame.
    pub(crate) fn finished(&self) {
        let Some(picture) = &self.picture else { return };
        let is_mapped = picture.upload.is_mapped.clone();
        picture.upload.buffer.map_async(wgpu::MapMode::Write, .., move |outcome| {
            is_mapped.store(outcome.is_ok(), Ordering::Release);
        });
        self.device.tick();
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
        let bytes = self.device.buffer("frame", buffer_bytes, usage);
        let table = self.device.buffer("preprocess taps", taps.len() * 4, usage);
        let queue = self.device.queue();
        queue.write_buffer(&table, 0, bytemuck::cast_slice(&taps));
        let job = self.job_words(shape, placement);
        queue.write_buffer(&self.job, 0, bytemuck::cast_slice(&job));
        let tensor = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.tensor.buffer,
            offset: self.tensor.offset,
            size: wgpu::BufferSize::new(self.input.elements() as u64 * 4),
        });
        let resources = [
            self.job.as_entire_binding(),
            bytes.as_entire_binding(),
            table.as_entire_binding(),
            tensor,
        ];
        let mut binding = 0;
        let entries = resources.map(|resource| {
            binding += 1;
            wgpu::BindGroupEntry { binding: binding - 1, resource }
        });
        let bindings = self.device.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("preprocess"),
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        let upload = Upload::new(&self.device, shape.byte_count);
        self.picture = Some(Picture { shape, placement, bytes, upload, bindings });
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

impl Upload {
    /// Mapped from the beginning.
    fn new(device: &Device, byte_count: usize) -> Self {
        let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
        let buffer = device.mapped_buffer("frame, on its way", byte_count, usage);
        Self { buffer, is_mapped: Arc::new(AtomicBool::new(true)) }
    }
}

/// Words of the kernel's `Job`, rounded up to 16 bytes.
const JOB_WORDS: usize = 16;

/// The kernel's `workgroup_size`.
const GROUP: [u32; 2] = [16, 8];
