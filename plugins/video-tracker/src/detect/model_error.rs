use std::io;
use std::path::PathBuf;

use keepsight_contract::{Finding, InitError};

/// What is wrong with a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// One of its two files isn't there.
    #[error("there is no file {}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// A file can't be read.
    #[error("can't read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is larger than anything sensible.
    #[error("{} is larger than {bytes_max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        bytes_max: u64,
    },
    /// The description is wrong.
    #[error("{}: {reason}", path.display())]
    Description {
        /// The TOML file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is another one than described, or was damaged.
    #[error("{} has the SHA-256 {found}, its description says {expected}", path.display())]
    Hash {
        /// The ONNX file.
        path: PathBuf,
        /// Hash in the description.
        expected: String,
        /// Hash of the file.
        found: String,
    },
    /// The bytes are no ONNX model.
    #[error("{} is no ONNX model: {reason}", path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// The model uses an operator, or a form of one, that can't be run.
    #[error("{} can't be run: {reason}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The operator, and what is the matter with it.
        reason: String,
    },
    /// The model takes another input than described.
    #[error("{} takes {found}, its description says {expected}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// What the description says.
        expected: String,
        /// What the model has.
        found: String,
    },
    /// The model gives other outputs than its family.
    #[error("{} gives {found}, its family and classes mean {expected}", path.display())]
    Outputs {
        /// The file.
        path: PathBuf,
        /// What the description means.
        expected: String,
        /// What the model has.
        found: String,
    },
}

impl ModelError {
    /// A stable code: `dependency.model_missing` or `dependency.model_invalid`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "dependency.model_missing",
            _ => "dependency.model_invalid",
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => {
                "put the model there, with its description beside it under the same name and .toml"
            }
            Self::Unreadable { .. } => "give the user that keepsight runs as the right to read it",
            Self::TooLarge { .. } => "name an ONNX file of a detector, with its weights inside",
            Self::Description { .. } => "correct the description",
            Self::Hash { .. } => {
                "fetch the model again; if it is meant to be another one, correct sha256 in its \
                 description"
            }
            Self::NotOnnx { .. } => "name a file in the ONNX format",
            Self::Unsupported { .. } => {
                "export the model again with plain operators (opset 11 to 17), or use another one"
            }
            Self::Input { .. } => "correct [input] in the description, or export the model anew",
            Self::Outputs { .. } => {
                "correct family and classes in the description, or export the model anew without \
                 post-processing"
            }
        }
    }

    /// The file that it is about.
    pub fn path(&self) -> &PathBuf {
        match self {
            Self::Missing { path }
            | Self::Unreadable { path, .. }
            | Self::TooLarge { path, .. }
            | Self::Description { path, .. }
            | Self::Hash { path, .. }
            | Self::NotOnnx { path, .. }
            | Self::Unsupported { path, .. }
            | Self::Input { path, .. }
            | Self::Outputs { path, .. } => path,
        }
    }

    /// What the loader is told.
    pub fn finding(&self) -> Finding {
        let mut reason = self.to_string();
        if let Self::Unreadable { source, .. } = self {
            reason = format!("{reason}: {source}");
        }
        Finding::unmet(self.code(), format!("model {}", self.path().display()), reason, self.hint())
    }

    /// What `init` fails with: the plugin is unavailable until the file is
    /// right. (`?` alone would call it a failure of the plugin.)
    pub fn unmet(&self) -> InitError {
        InitError::Unmet(self.finding())
    }
}
