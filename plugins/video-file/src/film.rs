//! Any of the things that `file:` reads.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use keepsight_contract::{FrameSize, PixelFormat};
use keepsight_jpeg::PictureFormat;

use crate::avi_reader::AviReader;
use crate::error::FileError;
use crate::picture_folder::PictureFolder;
use crate::stream_file::StreamFile;

/// A row of pictures as they are stored.
pub(crate) enum Film {
    Folder(PictureFolder),
    Avi(AviReader),
    Stream(StreamFile),
}

/// One picture as it is stored.
pub(crate) struct StoredPicture {
    pub(crate) content: Content,
    /// Its file, and its place in there, for people.
    pub(crate) origin: String,
    /// Its number within this round of the film. Gaps are frames that a recorder dropped.
    pub(crate) number: u64,
}

/// What of a picture is known.
pub(crate) enum Content {
    /// A JPEG or PNG, one hopes.
    Encoded(Vec<u8>),
    /// It was read far enough to know what it is.
    Checked { format: PixelFormat, size: FrameSize, bytes: Vec<u8> },
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
        } else if start.starts_with(Y4M) || is_row_of_jpegs(&start, path) {
            StreamFile::open(path).map(Self::Stream)
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
            Self::Stream(film) => film.rate(),
        }
    }

    /// How many frames there are, where that is written down.
    pub(crate) fn frames(&self) -> Option<u64> {
        match self {
            Self::Folder(folder) => Some(folder.frames()),
            Self::Avi(avi) => avi.frames(),
            Self::Stream(_) => None,
        }
    }

    /// The next picture; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<StoredPicture>, FileError> {
        match self {
            Self::Folder(folder) => folder.next(),
            Self::Avi(avi) => avi.next(),
            Self::Stream(film) => film.next(),
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
            Self::Stream(film) => film.rewind(),
        }
    }

    /// Whether the film goes on behind what `error` is about: a single picture.
    pub(crate) fn goes_on_after(&self, error: &FileError) -> bool {
        match error {
            FileError::Picture { .. }
            | FileError::DamagedPicture { .. }
            | FileError::PictureBytes { .. } => true,
            // Of a folder, each picture is a file of its own.
            FileError::Io { .. } => matches!(self, Self::Folder(_)),
            _ => false,
        }
    }
}

/// A single picture begins in the same way; a row of them is told by its name.
fn is_row_of_jpegs(start: &[u8], path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    PictureFormat::of(start) == Some(PictureFormat::Jpeg) && (ending == "mjpeg" || ending == "mjpg")
}

/// How a Y4M film begins.
const Y4M: &[u8] = b"YUV4MPEG2 ";
/// The largest encoded picture that is read.
pub(crate) const PICTURE_BYTES_MAX: u64 = 64 << 20;
