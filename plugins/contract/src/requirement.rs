use std::{borrow::Cow, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::Bytes;

/// Something that a plugin needs from its surroundings; checked before it is built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Requirement {
    /// A graphics adapter.
    Gpu(GpuRequirement),
    /// A model file.
    ModelFile(ModelFileRequirement),
    /// A program on the PATH.
    Program {
        /// Its name, such as `ffmpeg`.
        name: String,
        /// How to install it.
        remedy: String,
    },
    /// A file that can be read.
    File {
        /// Where it should be.
        path: PathBuf,
    },
    /// An environment variable that is set.
    EnvVar {
        /// Its name.
        name: String,
    },
    /// Memory that is available now.
    Memory {
        /// How much.
        bytes: Bytes,
    },
    /// A camera that the plugin opens by itself.
    Camera {
        /// Its address, such as `camera:0`.
        uri: String,
    },
}

/// What kind of graphics adapter is needed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuRequirement {
    /// Only an adapter whose name contains this text.
    pub adapter: Option<String>,
    /// Whether an adapter that runs on the CPU will do.
    pub software_allowed: bool,
    /// Storage buffer binding size that is needed, in bytes.
    pub storage_buffer_bytes_min: u64,
}

/// Which model file is needed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelFileRequirement {
    /// Where it should be.
    pub path: PathBuf,
    /// Its SHA-256 in hexadecimal, where that is known.
    pub sha256: Option<String>,
    /// Name of its format, such as `ONNX`.
    pub format: String,
}

/// The outcome of one check, for a program (`code`) and for a person (`reason`, `hint`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Whether the requirement is met.
    pub met: bool,
    /// A stable code, such as `dependency.gpu_missing`; `ok` where it is met.
    pub code: Cow<'static, str>,
    /// What was checked, such as a path or `GPU`.
    pub subject: String,
    /// What was found.
    pub reason: String,
    /// What a person can do about it; empty where nothing is needed.
    pub hint: String,
}

impl Requirement {
    /// The name under which probes for this kind of requirement are registered.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Gpu(_) => "gpu",
            Self::ModelFile(_) => "model_file",
            Self::Program { .. } => "program",
            Self::File { .. } => "file",
            Self::EnvVar { .. } => "env_var",
            Self::Memory { .. } => "memory",
            Self::Camera { .. } => "camera",
        }
    }

    /// What is asked for, in a few words.
    pub fn subject(&self) -> String {
        match self {
            Self::Gpu(gpu) => match &gpu.adapter {
                Some(name) => format!("GPU {name:?}"),
                None => "GPU".to_owned(),
            },
            Self::ModelFile(model) => format!("model {}", model.path.display()),
            Self::Program { name, .. } => format!("program {name}"),
            Self::File { path } => format!("file {}", path.display()),
            Self::EnvVar { name } => format!("environment variable {name}"),
            Self::Memory { bytes } => format!("memory {bytes}"),
            Self::Camera { uri } => uri.clone(),
        }
    }
}

impl Finding {
    /// `subject` is as it should be: `found` says what is there.
    pub fn met(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            met: true,
            code: Cow::Borrowed("ok"),
            subject: subject.into(),
            reason: found.into(),
            hint: String::new(),
        }
    }

    /// `subject` isn't as it should be: `reason` says why and `hint` what to do.
    pub fn unmet(
        code: impl Into<Cow<'static, str>>,
        subject: impl Into<String>,
        reason: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            met: false,
            code: code.into(),
            subject: subject.into(),
            reason: reason.into(),
            hint: hint.into(),
        }
    }
}
