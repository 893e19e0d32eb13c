use std::time::Instant;

use keepsight_contract::Frame;
use keepsight_gpu::{Device, GpuFault};

use super::error::PreprocessError;
use super::input::{ModelInput, Placement};
use super::kernel::{PreprocessKernel, TensorPlace};

/// Fits frames into a model's input on a GPU.
///
/// The captured bytes go up once, one kernel does the rest, and the tensor comes
/// back: one submission and one read-back a frame. The kernel needs no more than
/// wgpu's downlevel default limits.
#[derive(Debug)]
pub struct GpuPreprocess {
    kernel: PreprocessKernel,
    tensor: wgpu::Buffer,
    /// None after a fault, when it may still be mapped.
    staging: Option<wgpu::Buffer>,
}

impl GpuPreprocess {
    /// A path into this input, on this device.
    ///
    /// # Errors
    /// [`GpuFault`] when the device refuses the kernel or has no memory.
    pub fn new(device: &Device, input: &ModelInput) -> Result<Self, GpuFault> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let tensor = device.buffer("model input", input.elements() * 4, usage);
        let place = TensorPlace { buffer: tensor.clone(), offset: 0 };
        let kernel = PreprocessKernel::new(device, input, place)?;
        Ok(Self { kernel, tensor, staging: None })
    }

    /// The input that frames are fitted into.
    pub fn input(&self) -> &ModelInput {
        self.kernel.input()
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        self.kernel.device()
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
        self.kernel.input().check_tensor(tensor)?;
        let frame = frame.decoded()?;
        let device = self.kernel.device().clone();
        let mut encoder =
            device.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let placement = self.kernel.upload(&frame, &mut encoder)?;
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            self.kernel.dispatch(&mut pass);
        }
        let staging = self.staging.take().unwrap_or_else(|| {
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            device.buffer("model input, read back", tensor.len() * 4, usage)
        });
        encoder.copy_buffer_to_buffer(&self.tensor, 0, &staging, 0, tensor.len() as u64 * 4);
        let submission = device.submit([encoder.finish()])?;
        device.read_back(&staging, submission, deadline, bytemuck::cast_slice_mut(tensor))?;
        self.staging = Some(staging);
        self.kernel.finished();
        Ok(placement)
    }
}
