//! Any of the things that `file:` reads.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use keepsight_jpeg::PictureFormat;

use crate::avi_reader::AviReader;
use crate::error::FileError;
use crate::picture_folder::PictureFolder;

/// A row of pictures as they are stored.
pub(crate) enum Film {
    Folder(PictureFolder),
    Avi(AviReader),
}

/// One picture as it is stored: a JPEG or PNG, one hopes.
pub(crate) struct EncodedPicture {
    pub(crate) bytes: Vec<u8>,
    /// Its file, and its place in there, for people.
    pub(crate) origin: String,
    /// Its number within this round of the film. Gaps are frames that a recorder dropped.
    pub(crate) number: u64,
}

impl Film {
    /// Opens what is at `path`, whatever it is.
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        let file = File::open(path).map_err(FileError::io(path))?;
        if file.metadata().map_err(FileError::io(path))?.is_dir() {
            return PictureFolder::open(path).map(Self::Folder);
        }
        let mut start = Vec::new();
        match file.take(12).read_to_end(&mut start) {
            Err(error) if error.kind() != ErrorKind::InvalidInput => {
                return Err(FileError::Io { path: path.into(), source: error });
            }
            _ => {}
        }
        if AviReader::starts_like_one(&start) {
            AviReader::open(path).map(Self::Avi)
        } else if PictureFormat::of(&start).is_some() {
            Ok(Self::Folder(PictureFolder::single(path)))
        } else {
            Err(FileError::UnknownFormat { path: path.into() })
        }
    }

    /// Frames a second, where that is written down.
    pub(crate) fn rate(&self) -> Option<f64> {
        match self {
            Self::Folder(folder) => folder.rate(),
            Self::Avi(avi) => avi.rate(),
        }
    }

    /// The next picture; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<EncodedPicture>, FileError> {
        match self {
            Self::Folder(folder) => folder.next(),
            Self::Avi(avi) => avi.next(),
        }
    }

    /// Begins anew.
    pub(crate) fn rewind(&mut self) -> Result<(), FileError> {
        match self {
            Self::Folder(folder) => {
                folder.rewind();
                Ok(())
            }
            Self::Avi(avi) => avi.rewind(),
        }
    }
}

/// The largest encoded picture that is read.
pub(crate) const PICTURE_BYTES_MAX: u64 = 64 << 20;
