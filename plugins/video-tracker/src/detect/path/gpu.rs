use std::time::{Duration, Instant};

use keepsight_contract::Frame;
use keepsight_gpu::{Device, GpuFault};

use super::session::Work;
use crate::detect::executor::{GpuNetwork, NetworkRun, Part};
use crate::preprocess::{ModelInput, Placement, PreprocessError, PreprocessKernel, TensorPlace};

/// From a frame to a network's outputs on a GPU, in one submission, for one session.
///
/// After the first frame of a size it makes no buffer on the device.
#[derive(Debug)]
pub struct GpuDetect {
    preprocess: PreprocessKernel,
    run: NetworkRun,
}

impl GpuDetect {
    pub(super) fn new(network: &GpuNetwork, input: &ModelInput) -> Result<Self, GpuFault> {
        let run = NetworkRun::new(network)?;
        let (buffer, offset) = run.input();
        let place = TensorPlace { buffer: buffer.clone(), offset };
        let preprocess = PreprocessKernel::new(network.device(), input, place)?;
        Ok(Self { preprocess, run })
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        self.run.device()
    }

    /// How long the device took for the last frame, by its own clock: to fit it into the input,
    /// and for the network. `None` where it has no clock.
    pub fn device_times(&self) -> Option<(Duration, Duration)> {
        self.run.times().map(|times| (times.preprocess, times.network))
    }

    /// What a frame takes of the device, without fitting it into the input.
    pub fn work(&self) -> Work {
        self.run.work()
    }

    /// Runs the network on a frame and waits for its outputs until `deadline`.
    pub(in crate::detect) fn run(
        &mut self,
        frame: &Frame,
        deadline: Instant,
    ) -> Result<Placement, PreprocessError> {
        let frame = frame.decoded()?;
        let gpu = self.run.device().device();
        let mut encoder = gpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let placement = self.preprocess.upload(&frame, &mut encoder)?;
        {
            let mut pass = self.run.pass(&mut encoder, Part::Preprocess);
            self.preprocess.dispatch(&mut pass);
        }
        self.run.finish(encoder, deadline)?;
        self.preprocess.finished();
        Ok(placement)
    }

    /// What [`head`](crate::detect::executor) leaves of the outputs: each box's numbers, and the
    /// place and the value of its best score.
    pub(in crate::detect) fn outputs(&self) -> [&[f32]; 2] {
        let mut outputs = self.run.outputs();
        [(); 2].map(|()| outputs.next().expect("a detector's plan has two outputs"))
    }
}
