use std::fmt;

use serde::{Deserialize, Serialize};

/// What the drivers of this machine offer, as [`survey`] found it.
///
/// It travels as JSON from the child process that the probe runs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GpuSurvey {
    /// The backends that this build can use, such as `vulkan`.
    pub backends: Vec<String>,
    /// Every adapter found, the most suitable first; empty where there is no
    /// driver, or no loader for drivers.
    pub adapters: Vec<AdapterSummary>,
}

/// One adapter, and what of it matters to a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AdapterSummary {
    /// The device's name, as the driver gives it.
    pub name: String,
    /// The backend that reaches it, such as `vulkan`.
    pub backend: String,
    /// What sort of device it is.
    pub kind: AdapterKind,
    /// Name and version of the driver.
    pub driver: String,
    /// Limits that decide whether a kernel fits.
    pub limits: AdapterLimits,
    /// Optional features that kernels may use: `f16`, `subgroups`,
    /// `timestamps`.
    pub features: Vec<String>,
    /// Whether it meets the least that every kernel here is written for
    /// (wgpu's downlevel defaults).
    pub sufficient: bool,
}

/// What sort of device an adapter is, the most suitable first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AdapterKind {
    /// A card with its own memory.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A GPU lent to a virtual machine.
    Virtual,
    /// The driver doesn't say.
    Other,
    /// The processor itself, as with lavapipe: good for tests, slower than
    /// code written for it.
    Software,
}

/// Limits of an adapter, as its driver reports them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AdapterLimits {
    /// The largest buffer, in bytes.
    pub buffer_bytes_max: u64,
    /// The largest part of a buffer that a kernel can see, in bytes.
    pub storage_binding_bytes_max: u64,
    /// Storage buffers that one kernel can use.
    pub storage_buffers_max: u32,
    /// Memory that a workgroup shares, in bytes.
    pub workgroup_memory_bytes: u32,
    /// Invocations in a workgroup.
    pub workgroup_invocations_max: u32,
}

/// Asks every driver of this machine for its adapters.
///
/// This loads drivers into the process and may crash or hang in them; run it
/// where that does no harm. No loader and no driver are no error: the survey is
/// then empty.
pub fn survey() -> GpuSurvey {
    let mut adapters: Vec<_> = enumerate().iter().map(AdapterSummary::of).collect();
    adapters.sort_by_key(|adapter| adapter.kind);
    GpuSurvey { backends: backends(), adapters }
}

impl GpuSurvey {
    /// The adapters that kernels can run on; software ones only where
    /// `allow_software` says so.
    pub fn usable(&self, allow_software: bool) -> impl Iterator<Item = &AdapterSummary> {
        self.adapters.iter().filter(move |adapter| {
            adapter.sufficient && (allow_software || adapter.kind != AdapterKind::Software)
        })
    }
}

impl AdapterSummary {
    pub(crate) fn of(adapter: &wgpu::Adapter) -> Self {
        let info = adapter.get_info();
        let limits = adapter.limits();
        let driver = format!("{} {}", info.driver, info.driver_info);
        let features = [
            (wgpu::Features::SHADER_F16, "f16"),
            (wgpu::Features::SUBGROUP, "subgroups"),
            (wgpu::Features::TIMESTAMP_QUERY, "timestamps"),
        ];
        let offered = adapter.features();
        Self {
            name: info.name,
            backend: info.backend.to_string(),
            kind: AdapterKind::of(info.device_type),
            driver: driver.trim().to_owned(),
            features: features
                .into_iter()
                .filter(|(feature, _)| offered.contains(*feature))
                .map(|(_, name)| name.to_owned())
                .collect(),
            sufficient: wgpu::Limits::downlevel_defaults().check_limits(&limits),
            limits: AdapterLimits {
                buffer_bytes_max: limits.max_buffer_size,
                storage_binding_bytes_max: limits.max_storage_buffer_binding_size,
                storage_buffers_max: limits.max_storage_buffers_per_shader_stage,
                workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
                workgroup_invocations_max: limits.max_compute_invocations_per_workgroup,
            },
        }
    }
}

impl AdapterSummary {
    /// Driver, limits that matter and optional features, for a person.
    pub fn facts(&self) -> String {
        let AdapterLimits {
            storage_binding_bytes_max,
            workgroup_memory_bytes,
            workgroup_invocations_max,
            ..
        } = self.limits;
        let features = match &self.features[..] {
            [] => "no optional features".to_owned(),
            features => features.join(", "),
        };
        format!(
            "driver {}, storage of {} MiB, workgroups of {workgroup_invocations_max} with {} KiB, \
             {features}",
            self.driver,
            storage_binding_bytes_max >> 20,
            workgroup_memory_bytes >> 10,
        )
    }
}

impl AdapterKind {
    pub(crate) fn of(device_type: wgpu::DeviceType) -> Self {
        match device_type {
            wgpu::DeviceType::DiscreteGpu => Self::Discrete,
            wgpu::DeviceType::IntegratedGpu => Self::Integrated,
            wgpu::DeviceType::VirtualGpu => Self::Virtual,
            wgpu::DeviceType::Other => Self::Other,
            wgpu::DeviceType::Cpu => Self::Software,
        }
    }
}

impl fmt::Display for AdapterSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.name, self.backend, self.kind)
    }
}

impl fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Other => "other",
            Self::Software => "software",
        })
    }
}

pub(crate) fn enumerate() -> Vec<wgpu::Adapter> {
    let backends = wgpu::Instance::enabled_backend_features();
    if backends.is_empty() {
        return Vec::new();
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    pollster::block_on(instance.enumerate_adapters(backends))
}

/// The backends that this build can use, such as `vulkan`. No driver is asked.
pub fn backends() -> Vec<String> {
    wgpu::Instance::enabled_backend_features()
        .iter_names()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect()
}
