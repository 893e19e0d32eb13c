//! Why a file gives no frames.

use std::io;
use std::path::PathBuf;

use keepsight_contract::{SourceError, SourceFault};
use keepsight_jpeg::{FilmError, PictureError};

/// Why a file gives no frames.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is neither a folder of pictures nor an AVI, Y4M, JPEG or PNG", path = path.display())]
    UnknownFormat { path: PathBuf },
    #[error("the folder {path} has no JPEG or PNG pictures", path = path.display())]
    NoPictures { path: PathBuf },
    #[error("the folder {path} has more than {most} pictures", path = path.display())]
    TooManyPictures { path: PathBuf, most: usize },
    #[error("{path}: {reason}", path = path.display())]
    SeqInfo { path: PathBuf, reason: String },
    #[error("{origin}: {source}")]
    Picture { origin: String, source: PictureError },
    #[error("{origin}: {reason}")]
    DamagedPicture { origin: String, reason: String },
    #[error("{path}: {source}", path = path.display())]
    Film { path: PathBuf, source: FilmError },
    #[error("{origin} is {bytes} bytes large; pictures of up to {most} are read")]
    PictureBytes { origin: String, bytes: u64, most: u64 },
    #[error("{path} ends in the middle of a chunk that begins at byte {offset}", path = path.display())]
    Truncated { path: PathBuf, offset: u64 },
    #[error("{path} is damaged at byte {offset}: {reason}", path = path.display())]
    Damaged { path: PathBuf, offset: u64, reason: String },
    #[error("{path} holds no Motion JPEG but {found}", path = path.display())]
    NotMotionJpeg { path: PathBuf, found: String },
    #[error("the film {path} has no frames", path = path.display())]
    NoFrames { path: PathBuf },
}

impl FileError {
    /// An operation on `path` failed.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

impl From<FileError> for SourceError {
    fn from(error: FileError) -> Self {
        let (fault, hint) = match &error {
            FileError::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => (SourceFault::NotFound, "check the path"),
                io::ErrorKind::PermissionDenied => {
                    (SourceFault::Denied, "let the user that Keepsight runs as read it")
                }
                _ => (SourceFault::Failed, ""),
            },
            FileError::UnknownFormat { .. } | FileError::NotMotionJpeg { .. } => (
                SourceFault::Unsupported,
                "let ffmpeg read it, as ffmpeg:FILE, or convert it: \
                 ffmpeg -i FILE -c:v mjpeg -q:v 3 -an OUT.avi",
            ),
            FileError::Film {
                source: FilmError::Chroma { .. } | FilmError::OddWidth { .. } | FilmError::Size(_),
                ..
            } => (
                SourceFault::Unsupported,
                "let ffmpeg read it, as ffmpeg:FILE, or convert it: \
                 ffmpeg -i FILE -pix_fmt yuv420p OUT.y4m",
            ),
            FileError::Film { source: FilmError::Truncated { .. }, .. } => {
                (SourceFault::Invalid, "what comes before that byte was read; copy the file again")
            }
            FileError::NoPictures { .. } => {
                (SourceFault::Invalid, "name the folder that holds the .jpg or .png files")
            }
            FileError::Truncated { .. } => {
                (SourceFault::Invalid, "what comes before that byte was read; copy the file again")
            }
            _ => (SourceFault::Invalid, ""),
        };
        SourceError::new(fault, error.to_string()).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_decides_whether_to_try_again() {
        for (kind, fault) in [
            (io::ErrorKind::NotFound, SourceFault::NotFound),
            (io::ErrorKind::PermissionDenied, SourceFault::Denied),
            (io::ErrorKind::StorageFull, SourceFault::Failed),
        ] {
            let error = SourceError::from(FileError::io("a/b.avi")(kind.into()));
            assert_eq!(error.fault(), fault);
            assert!(error.reason().starts_with("a/b.avi: "), "{error}");
        }
    }
}
