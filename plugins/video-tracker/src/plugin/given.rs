use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use crate::{
    associate::{Affine, Observation},
    mot_text::{self, MotTextError},
};

/// What is known of a stream's frames beforehand, from files.
#[derive(Debug, Default)]
pub(super) struct Given {
    detections: Option<BTreeMap<u32, Vec<Observation>>>,
    camera_motions: BTreeMap<u32, Affine>,
}

/// Why a file of detections or camera motions could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum GivenError {
    #[error("can't open {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("{} is not in MOT Challenge text", path.display())]
    Read { path: PathBuf, source: MotTextError },
}

impl Given {
    pub(super) fn read(
        detections: Option<&Path>,
        camera_motions: Option<&Path>,
    ) -> Result<Self, GivenError> {
        Ok(Self {
            detections: detections.map(|path| read(path, mot_text::read_detections)).transpose()?,
            camera_motions: camera_motions
                .map(|path| read(path, mot_text::read_camera_motions))
                .transpose()?
                .unwrap_or_default(),
        })
    }

    /// The detections of a frame, or `None` where they are a detector's to find.
    pub(super) fn detections(&self, sequence: u64) -> Option<&[Observation]> {
        let frames = self.detections.as_ref()?;
        Some(frames.get(&number(sequence)).map_or(&[], Vec::as_slice))
    }

    /// How the camera moved since the frame before.
    pub(super) fn camera_motion(&self, sequence: u64) -> Option<Affine> {
        self.camera_motions.get(&number(sequence)).copied()
    }
}

fn read<T>(
    path: &Path,
    reader: impl FnOnce(BufReader<File>) -> Result<T, MotTextError>,
) -> Result<T, GivenError> {
    let file =
        File::open(path).map_err(|source| GivenError::Open { path: path.to_owned(), source })?;
    reader(BufReader::new(file))
        .map_err(|source| GivenError::Read { path: path.to_owned(), source })
}

/// The number of a frame in MOT text; 0, which no file has, for those beyond.
fn number(sequence: u64) -> u32 {
    sequence.checked_add(1).and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}
