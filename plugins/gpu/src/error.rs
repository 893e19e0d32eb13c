/// Why no device could be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// No driver offers any adapter, or there is no loader for drivers.
    #[error("no graphics driver on this machine offers an adapter")]
    NoAdapter,
    /// There are only software adapters, and they are not allowed.
    #[error("the only adapter is {name}, which is software")]
    SoftwareOnly {
        /// The best of them.
        name: String,
    },
    /// None of the adapters has the name that was asked for.
    #[error("no adapter is named {wanted:?}; there is {}", found.join(", "))]
    NotNamed {
        /// The part of a name that was asked for.
        wanted: String,
        /// The names there are.
        found: Vec<String>,
    },
    /// An adapter is there, but falls short of the least every kernel needs.
    #[error("{name} falls short of {limit}: {needed} needed, {offered} offered")]
    Insufficient {
        /// The adapter.
        name: String,
        /// The limit, as wgpu names it.
        limit: String,
        /// The least that is needed.
        needed: u64,
        /// What the adapter has.
        offered: u64,
    },
    /// The driver refused to open a device.
    #[error("{name} refused to open a device")]
    Refused {
        /// The adapter.
        name: String,
        /// What the driver said.
        #[source]
        source: wgpu::RequestDeviceError,
    },
}

impl GpuError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoAdapter => {
                "install the Vulkan driver of the GPU (on Debian: mesa-vulkan-drivers, or the \
                 vendor's) and give this user access to /dev/dri, or set gpu = \"off\""
            }
            Self::SoftwareOnly { .. } => {
                "install the Vulkan driver of the GPU, or set gpu = \"off\": the CPU path is \
                 faster than a software adapter"
            }
            Self::NotNamed { .. } => "name one of the adapters there are, or none",
            Self::Insufficient { .. } => "update the driver, or set gpu = \"off\"",
            Self::Refused { .. } => {
                "look whether another process holds the GPU or its memory, or set gpu = \"off\""
            }
        }
    }
}

/// What went wrong on an open device.
///
/// After any but [`TimedOut`](Self::TimedOut) the device is not to be used any
/// more; a new one can be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GpuFault {
    /// A command was not valid: a bug here or in wgpu.
    #[error("a GPU command was refused: {message}")]
    Validation {
        /// What wgpu said.
        message: String,
    },
    /// The device has no memory left.
    #[error("the GPU has no memory left: {message}")]
    OutOfMemory {
        /// What wgpu said.
        message: String,
    },
    /// The driver failed in a way it did not foresee.
    #[error("the GPU driver failed: {message}")]
    Internal {
        /// What wgpu said.
        message: String,
    },
    /// The device is gone: unplugged, reset, destroyed or retired.
    #[error("the GPU device was lost: {message}")]
    Lost {
        /// What wgpu said.
        message: String,
    },
    /// The device had not finished by the deadline. It may yet.
    #[error("the GPU had not finished by the deadline")]
    TimedOut,
}
