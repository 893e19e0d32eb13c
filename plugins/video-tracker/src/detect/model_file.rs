use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::description::ModelDescription;
use super::model_error::ModelError;

/// A model as it is stored: the bytes of its ONNX file and its description.
#[derive(Debug, Clone)]
pub struct ModelFile {
    /// Where it came from, for messages.
    pub(super) path: PathBuf,
    pub(super) bytes: Cow<'static, [u8]>,
    pub(super) description: ModelDescription,
}

impl ModelFile {
    /// Reads the ONNX file at `path` and the description beside it, which has
    /// the same name with the extension `toml`, and checks the hash.
    ///
    /// # Errors
    /// [`ModelError`] when a file isn't there, can't be read, makes no sense, or
    /// doesn't belong to the other.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        // The description first: it is small, and says what the other must be.
        let description_path = path.with_extension("toml");
        let text = read_bounded(&description_path, DESCRIPTION_BYTES_MAX)?;
        let description = String::from_utf8(text)
            .map_err(|_| "is not UTF-8".to_owned())
            .and_then(|text| ModelDescription::parse(&text))
            .map_err(|reason| ModelError::Description { path: description_path, reason })?;

        let bytes = read_bounded(path, MODEL_BYTES_MAX)?;
        let found = hexadecimal(&Sha256::digest(&bytes));
        if found != description.sha256() {
            let expected = description.sha256().to_owned();
            return Err(ModelError::Hash { path: path.to_owned(), expected, found });
        }
        Ok(Self { path: path.to_owned(), bytes: Cow::Owned(bytes), description })
    }

    /// A model that is no file; the description lacks its hash.
    #[cfg(all(test, feature = "gpu"))]
    pub(super) fn of(bytes: Vec<u8>, description: &str) -> Self {
        let sha256 = hexadecimal(&Sha256::digest(&bytes));
        let description =
            ModelDescription::parse(&format!("sha256 = {sha256:?}\n{description}")).unwrap();
        Self { path: PathBuf::from("model.onnx"), bytes: Cow::Owned(bytes), description }
    }

    /// How the model is to be used.
    pub fn description(&self) -> &ModelDescription {
        &self.description
    }
}

fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ModelError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // One more, to tell a file of just that size from a longer one.
        File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let path = path.to_owned();
    match read() {
        Ok(bytes) if bytes.len() as u64 > bytes_max => {
            Err(ModelError::TooLarge { path, bytes_max })
        }
        Ok(bytes) => Ok(bytes),
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            Err(ModelError::Missing { path })
        }
        Err(source) => Err(ModelError::Unreadable { path, source }),
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const DESCRIPTION_BYTES_MAX: u64 = 256 * 1024;
const MODEL_BYTES_MAX: u64 = 256 * 1024 * 1024;
