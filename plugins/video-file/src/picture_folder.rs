//! Pictures in a folder.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::FileError;
use crate::film::{Content, PICTURE_BYTES_MAX, StoredPicture};
use crate::natural_order::natural_order;
use crate::seqinfo::SeqInfo;

/// The pictures of a folder, one after the other.
pub(crate) struct PictureFolder {
    paths: Vec<PathBuf>,
    next: usize,
    rate: Option<f64>,
}

impl PictureFolder {
    /// Lists the pictures in `path`, or in the folder that its `seqinfo.ini` names.
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        let (folder, rate) = match seqinfo(&path.join("seqinfo.ini"))? {
            Some(info) => (path.join(info.folder), info.rate),
            None => (path.to_owned(), rate_beside(path)?),
        };
        let mut paths = pictures(&folder, PICTURES_MAX)?;
        if paths.is_empty() && folder.join("img1").is_dir() {
            paths = pictures(&folder.join("img1"), PICTURES_MAX)?;
        }
        if paths.is_empty() {
            return Err(FileError::NoPictures { path: folder });
        }
        Ok(Self { paths, next: 0, rate })
    }

    /// A single picture.
    pub(crate) fn single(path: &Path) -> Self {
        Self { paths: vec![path.to_owned()], next: 0, rate: None }
    }

    /// Frames a second, where `seqinfo.ini` says so.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// How many pictures there are.
    pub(crate) fn frames(&self) -> u64 {
        self.paths.len() as u64
    }

    /// The next picture's bytes; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<StoredPicture>, FileError> {
        let Some(path) = self.paths.get(self.next) else { return Ok(None) };
        let number = self.next as u64;
        self.next += 1;
        let origin = path.display().to_string();
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(FileError::io(path))?;
        // One byte more than allowed, so that a larger file is noticed however it grows.
        file.take(PICTURE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(FileError::io(path))?;
        if bytes.len() as u64 > PICTURE_BYTES_MAX {
            let bytes = fs::metadata(path).map_or(bytes.len() as u64, |file| file.len());
            return Err(FileError::PictureBytes { origin, bytes, most: PICTURE_BYTES_MAX });
        }
        Ok(Some(StoredPicture { content: Content::Encoded(bytes), origin, number }))
    }

    /// Begins anew.
    pub(crate) fn rewind(&mut self) {
        self.next = 0;
    }
}

/// The JPEG and PNG files in a folder, by their names' endings, in natural order; `most` of them.
fn pictures(folder: &Path, most: usize) -> Result<Vec<PathBuf>, FileError> {
    let mut named = Vec::new();
    for entry in fs::read_dir(folder).map_err(FileError::io(folder))? {
        let path = entry.map_err(FileError::io(folder))?.path();
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        let is_picture =
            ending.is_some_and(|ending| ["jpg", "jpeg", "png"].iter().any(|it| ending == *it));
        if !is_picture || !path.is_file() {
            continue;
        }
        if named.len() == most {
            return Err(FileError::TooManyPictures { path: folder.into(), most });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        named.push((name, path));
    }
    named.sort_by(|(a, _), (b, _)| natural_order(a, b));
    Ok(named.into_iter().map(|(_, path)| path).collect())
}

/// The rate of a sequence whose picture folder is `folder`, by the `seqinfo.ini` beside it.
fn rate_beside(folder: &Path) -> Result<Option<f64>, FileError> {
    // `..` of the folder itself, wherever a link or a relative path leads.
    let Ok(folder) = folder.canonicalize() else { return Ok(None) };
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else { return Ok(None) };
    let info = seqinfo(&parent.join("seqinfo.ini"))?;
    Ok(info.filter(|info| *name == *info.folder).and_then(|info| info.rate))
}

/// Reads a `seqinfo.ini`; `None` where there is none.
fn seqinfo(path: &Path) -> Result<Option<SeqInfo>, FileError> {
    if !path.is_file() {
        return Ok(None);
    }
    let mut text = Vec::new();
    let file = File::open(path).map_err(FileError::io(path))?;
    file.take(SEQINFO_BYTES_MAX).read_to_end(&mut text).map_err(FileError::io(path))?;
    SeqInfo::parse(&String::from_utf8_lossy(&text))
        .map(Some)
        .map_err(|reason| FileError::SeqInfo { path: path.into(), reason })
}

/// Four days at 30 frames a second would be ten times as many; a folder slows down long before.
const PICTURES_MAX: usize = 1_000_000;
const SEQINFO_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_too_many_pictures_is_refused() {
        let folder = tempfile::TempDir::new().unwrap();
        for name in ["1.jpg", "2.jpg", "3.txt"] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        assert_eq!(pictures(folder.path(), 2).unwrap().len(), 2);
        let error = pictures(folder.path(), 1).unwrap_err();
        assert!(matches!(error, FileError::TooManyPictures { most: 1, .. }), "{error}");
    }
}
