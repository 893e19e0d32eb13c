use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    line_file::{FileError, LineFile},
    moment::{Begun, Moment},
    rotated_name::RotatedName,
};

/// A file that lines are added to, and older ones beside it, which together stay below a size and
/// an age.
///
/// The file is set aside under a time stamp once it holds an eighth of what is kept, by size or by
/// age; the oldest are deleted *before* a line is added that would be too much. A file goes as a
/// whole once its first line is too old, so that nothing older is kept.
///
/// Ages are measured by the steady clock; the wall clock only says how old files are that were
/// there before. What isn't a regular file, such as a device, is written to and never set aside.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    names: RotatedName,
    keep: Keep,
    current: Option<LineFile>,
    /// Oldest first.
    rotated: Vec<Rotated>,
}

/// How much is kept; no limit where a field is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keep {
    /// In bytes, all files together.
    pub(super) bytes: Option<u64>,
    /// Of any line.
    pub(super) age: Option<Duration>,
}

#[derive(Debug)]
struct Rotated {
    path: PathBuf,
    bytes: u64,
    begun: Begun,
}

impl RotatingFile {
    /// Makes the folders of `path` and opens the file there, if there is one; the first line makes
    /// it otherwise.
    ///
    /// # Errors
    /// [`FileError`] when it can't be written to, or nothing be made beside it where that will be
    /// needed.
    pub(super) fn open(path: &Path, keep: Keep, now: Moment) -> Result<Self, FileError> {
        // What a link points to is set aside, and not the link.
        let linked = if path.is_symlink() { fs::canonicalize(path).ok() } else { None };
        let path = linked.unwrap_or_else(|| path.to_owned());
        let Some(names) = RotatedName::beside(&path) else {
            return Err(FileError::NoName { path });
        };
        let mut file = Self { path, names, keep, current: None, rotated: Vec::new() };
        file.look(now)?;
        if file.current.is_none() || (file.is_regular() && file.keep.is_limited()) {
            file.try_folder()?;
        }
        Ok(file)
    }

    /// Adds `line`, which ends with a line feed, in one piece.
    ///
    /// # Errors
    /// [`FileError`]; nothing of the line is in the file then, as far as the system lets that be
    /// undone.
    pub(super) fn append(&mut self, line: &[u8], now: Moment) -> Result<(), FileError> {
        let line_bytes = line.len() as u64;
        if let Some(keep) = self.keep.bytes
            && line_bytes > keep
        {
            return Err(FileError::TooLong { bytes: line_bytes, keep });
        }
        self.find_again(now)?;
        self.make_room(line_bytes, now)?;
        let current = match &mut self.current {
            Some(current) => current,
            none => none.insert(LineFile::create(&self.path, now)?),
        };
        current.append(line, now).map_err(|source| self.cannot_write(source))
    }

    /// Deletes what is too old, though no line comes.
    ///
    /// # Errors
    /// [`FileError`] when that can't be done.
    pub(super) fn retire(&mut self, now: Moment) -> Result<(), FileError> {
        self.find_again(now)?;
        self.make_room(0, now)
    }

    /// Waits until what was added is on the disk.
    ///
    /// # Errors
    /// [`FileError::Write`] when the disk didn't take it.
    pub(super) fn sync(&mut self) -> Result<(), FileError> {
        let Some(current) = &mut self.current else { return Ok(()) };
        current.sync().map_err(|source| self.cannot_write(source))
    }

    /// Sees what is there.
    fn look(&mut self, now: Moment) -> Result<(), FileError> {
        let folder = self.names.folder();
        fs::create_dir_all(folder)
            .map_err(|source| FileError::Folder { path: folder.to_owned(), source })?;
        self.current = LineFile::find(&self.path, now)?;
        self.rotated = self.find_rotated(now).map_err(|source| self.cannot_open(source))?;
        Ok(())
    }

    fn find_rotated(&self, now: Moment) -> io::Result<Vec<Rotated>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.names.folder())? {
            let entry = entry?;
            let Some(label) = self.names.time_of(&entry.file_name()) else { continue };
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                let begun = Begun::before(label, now);
                found.push(Rotated { path: entry.path(), bytes: metadata.len(), begun });
            }
        }
        found.sort_by_key(|rotated| rotated.begun.label);
        Ok(found)
    }

    /// Begins anew where the file was moved or removed: lines in it would be lost.
    fn find_again(&mut self, now: Moment) -> Result<(), FileError> {
        let Some(identity) = self.current.as_ref().and_then(|current| current.identity) else {
            return Ok(());
        };
        let there = fs::metadata(&self.path).map(|metadata| (metadata.dev(), metadata.ino()));
        if there.ok() == Some(identity) {
            return Ok(());
        }
        tracing::warn!(file = %self.path.display(), "the file is gone from its place; begun anew");
        self.look(now)
    }

    /// Sets the file aside where it is large or old enough, and deletes what is too old, or too
    /// much together with `line_bytes` more.
    fn make_room(&mut self, line_bytes: u64, now: Moment) -> Result<(), FileError> {
        if !self.is_regular() {
            return Ok(());
        }
        if let Some(current) = &self.current
            && self.keep.is_full(current, line_bytes, now)
        {
            self.rotate()?;
        }
        while let Some(oldest) = self.rotated.first() {
            let too_old = self.keep.age.is_some_and(|age| oldest.begun.age(now) > age);
            let too_much = self.keep.bytes.is_some_and(|keep| self.bytes() + line_bytes > keep);
            if !too_old && !too_much {
                break;
            }
            match fs::remove_file(&oldest.path) {
                Err(source) if source.kind() != ErrorKind::NotFound => {
                    return Err(FileError::Remove { path: oldest.path.clone(), source });
                }
                _ => drop(self.rotated.remove(0)),
            }
        }
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), FileError> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let failed = |source| FileError::Rotate { path: self.path.clone(), source };
        current.sync().map_err(failed)?;
        // Names keep the order of the lines even where the wall clock was set back.
        let mut begun = current.begun;
        if let Some(newest) = self.rotated.last() {
            begun.label = begun.label.max(newest.begun.label + Duration::from_millis(1));
        }
        let mut path = self.names.at(begun.label);
        while path.try_exists().map_err(failed)? {
            begun.label += Duration::from_millis(1);
            path = self.names.at(begun.label);
        }
        fs::rename(&self.path, &path).map_err(failed)?;
        self.rotated.push(Rotated { path, bytes: current.bytes, begun });
        self.current = None;
        Ok(())
    }

    /// Makes a file beside and removes it, as setting the file aside will need it; its name is as
    /// long as any will be.
    fn try_folder(&self) -> Result<(), FileError> {
        let mut name = OsString::from(".");
        name.push(self.names.at(SystemTime::UNIX_EPOCH).file_name().unwrap_or_default());
        let path = self.names.folder().join(name);
        let tried = File::create(&path).and_then(|mut file| {
            file.write_all(&[b'\n'; TRIED_BYTES]).and_then(|()| file.sync_data())
        });
        let removed = fs::remove_file(&path);
        tried.and(removed).map_err(|source| self.cannot_write(source))
    }

    /// Bytes in all files.
    fn bytes(&self) -> u64 {
        let rotated: u64 = self.rotated.iter().map(|rotated| rotated.bytes).sum();
        rotated + self.current.as_ref().map_or(0, |current| current.bytes)
    }

    fn is_regular(&self) -> bool {
        self.current.as_ref().is_none_or(|current| current.identity.is_some())
    }

    fn cannot_write(&self, source: io::Error) -> FileError {
        FileError::Write { path: self.path.clone(), source }
    }

    fn cannot_open(&self, source: io::Error) -> FileError {
        FileError::Open { path: self.path.clone(), source }
    }
}

impl Keep {
    fn is_limited(self) -> bool {
        self.bytes.is_some() || self.age.is_some()
    }

    /// Whether `current` is to be set aside before `line_bytes` more are added.
    fn is_full(self, current: &LineFile, line_bytes: u64, now: Moment) -> bool {
        current.bytes > 0
            && (self.bytes.is_some_and(|keep| current.bytes + line_bytes > keep / PIECES)
                || self.age.is_some_and(|age| current.begun.age(now) > age / PIECES as u32))
    }
}

/// Files that what is kept is divided into, at least.
const PIECES: u64 = 8;
/// A block of most file systems.
const TRIED_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_can_not_be_set_aside_stays_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tracks.jsonl");
        let now = Moment::now();
        let mut file = RotatingFile::open(&path, Keep::default(), now).unwrap();
        file.append(b"{}\n", now).unwrap();
        fs::remove_file(&path).unwrap();
        let error = file.rotate().unwrap_err();
        assert!(matches!(error, FileError::Rotate { .. }), "{error}");
        assert!(file.current.is_some());
    }
}
