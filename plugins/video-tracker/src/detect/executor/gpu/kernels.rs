use std::borrow::Cow;
use std::collections::BTreeMap;

use keepsight_gpu::Device;

use super::job::{JOB_WORDS, Job, Kernel, Tile};

/// The kernels that a plan needs, and what they are bound to.
#[derive(Debug)]
pub(super) struct Kernels {
    pub(super) bindings: wgpu::BindGroupLayout,
    pipelines: BTreeMap<Kernel, wgpu::ComputePipeline>,
}

impl Kernels {
    /// Compiles each kernel that `jobs` name. What the device has against it is
    /// for its [`health`](Device::health) to say.
    pub(super) fn new(device: &Device, jobs: &[Job]) -> Self {
        let gpu = device.device();
        let bindings = gpu.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("network"),
            entries: &[
                entry(0, wgpu::BufferBindingType::Uniform),
                entry(1, wgpu::BufferBindingType::Storage { read_only: true }),
                entry(2, wgpu::BufferBindingType::Storage { read_only: false }),
            ],
        });
        let layout = gpu.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("network"),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        let mut pipelines = BTreeMap::new();
        for job in jobs {
            pipelines.entry(job.kernel).or_insert_with(|| pipeline(gpu, &layout, job.kernel));
        }
        Self { bindings, pipelines }
    }

    pub(super) fn pipeline(&self, kernel: Kernel) -> &wgpu::ComputePipeline {
        self.pipelines.get(&kernel).expect("the kernels of all jobs were compiled")
    }
}

fn entry(binding: u32, kind: wgpu::BufferBindingType) -> wgpu::BindGroupLayoutEntry {
    let is_uniform = kind == wgpu::BufferBindingType::Uniform;
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: kind,
            has_dynamic_offset: is_uniform,
            min_binding_size: is_uniform
                .then(|| wgpu::BufferSize::new(JOB_WORDS as u64 * 4).expect("a job has words")),
        },
        count: None,
    }
}

fn pipeline(
    gpu: &wgpu::Device,
    layout: &wgpu::PipelineLayout,
    kernel: Kernel,
) -> wgpu::ComputePipeline {
    let (label, source) = source(kernel);
    let module = gpu.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(Cow::Owned(source)),
    });
    gpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(label),
        layout: Some(layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            // Each invocation's part of the tiles is written before any is read.
            zero_initialize_workgroup_memory: false,
            ..wgpu::PipelineCompilationOptions::default()
        },
        cache: None,
    })
}

/// The whole text of a kernel, and its name.
fn source(kernel: Kernel) -> (&'static str, String) {
    let matmul = |tile: Tile, input: &str| {
        let (Tile { outputs, pixels }, depth) = (tile, tile.depth());
        let sizes = format!(
            "const OUTPUTS = {outputs}u;\nconst PIXELS = {pixels}u;\nconst DEPTH = {depth}u;\n"
        );
        [&sizes, PICTURE, COMMON, input, include_str!("matmul.wgsl")].concat()
    };
    match kernel {
        Kernel::Pointwise(tile) => ("pointwise", matmul(tile, include_str!("pointwise.wgsl"))),
        Kernel::Dense(tile) => ("dense", matmul(tile, include_str!("dense.wgsl"))),
        Kernel::Depthwise => {
            ("depthwise", [PICTURE, COMMON, include_str!("depthwise.wgsl")].concat())
        }
        Kernel::MaxPool => ("max pool", [PICTURE, COMMON, include_str!("max_pool.wgsl")].concat()),
        Kernel::Map => ("map", [COMMON, include_str!("map.wgsl")].concat()),
        Kernel::Best => ("best", [COMMON, include_str!("best.wgsl")].concat()),
    }
}

const COMMON: &str = include_str!("common.wgsl");
const PICTURE: &str = include_str!("picture.wgsl");
