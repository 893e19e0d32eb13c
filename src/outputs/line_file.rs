use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    moment::{Begun, Moment},
    rotated_name::folder_of,
};

/// An open file to which whole lines are added, each by one write.
#[derive(Debug)]
pub(super) struct LineFile {
    file: File,
    /// Device and inode of a regular file, by which it is known to be still in its place.
    pub(super) identity: Option<(u64, u64)>,
    pub(super) bytes: u64,
    pub(super) begun: Begun,
    unsynced: bool,
}

/// Why a line was not added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum FileError {
    /// The address holds no file name.
    #[error("{} names no file", path.display())]
    NoName { path: PathBuf },
    #[error("cannot make the folder {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot open {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot write to {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot set {} aside", path.display())]
    Rotate { path: PathBuf, source: io::Error },
    #[error("cannot remove {}, which is too much or too old", path.display())]
    Remove { path: PathBuf, source: io::Error },
    #[error("a line of {bytes} bytes is longer than the {keep} bytes that are kept")]
    TooLong { bytes: u64, keep: u64 },
}

impl LineFile {
    /// Opens what is at `path`, if there is something.
    pub(super) fn find(path: &Path, now: Moment) -> Result<Option<Self>, FileError> {
        let failed = |source| FileError::Open { path: path.to_owned(), source };
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        if !metadata.is_file() {
            let file = OpenOptions::new().append(true).open(path).map_err(failed)?;
            let begun = Begun::now(now);
            return Ok(Some(Self { file, identity: None, bytes: 0, begun, unsynced: false }));
        }
        let mut file = OpenOptions::new().read(true).append(true).open(path).map_err(failed)?;
        // Whoever else writes to it may be at its last line right now.
        if file.try_lock().is_ok() {
            end_last_line(&mut file).map_err(failed)?;
        }
        let metadata = file.metadata().map_err(failed)?;
        let label = first_time(&mut file).map_err(failed)?;
        let label = label.or_else(|| metadata.modified().ok()).unwrap_or(now.wall);
        Ok(Some(Self {
            file,
            identity: Some((metadata.dev(), metadata.ino())),
            bytes: metadata.len(),
            begun: Begun::before(label, now),
            unsynced: false,
        }))
    }

    pub(super) fn create(path: &Path, now: Moment) -> Result<Self, FileError> {
        let opened = OpenOptions::new().append(true).create(true).open(path);
        let file = opened.map_err(|source| match source.kind() {
            ErrorKind::NotFound => FileError::Folder { path: folder_of(path).to_owned(), source },
            _ => FileError::Open { path: path.to_owned(), source },
        })?;
        // Says that it is being written to; where files can't be locked, nothing depends on it.
        let _ = file.try_lock();
        let metadata = file.metadata();
        let metadata =
            metadata.map_err(|source| FileError::Open { path: path.to_owned(), source })?;
        let identity = metadata.is_file().then(|| (metadata.dev(), metadata.ino()));
        let begun = Begun::now(now);
        Ok(Self { file, identity, bytes: metadata.len(), begun, unsynced: false })
    }

    pub(super) fn append(&mut self, line: &[u8], now: Moment) -> io::Result<()> {
        if self.bytes == 0 {
            self.begun = Begun::now(now);
        }
        self.unsynced = true;
        match self.file.write_all(line) {
            Ok(()) => {
                self.bytes += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Half a line on a full disk; should this fail too, the next opening mends it.
                if self.identity.is_some() {
                    let _ = self.file.set_len(self.bytes);
                }
                Err(error)
            }
        }
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced && self.identity.is_some() {
            self.file.sync_data()?;
        }
        self.unsynced = false;
        Ok(())
    }
}

/// Sees to it that the next line begins a line: removes the beginning of a record that a power cut
/// left at the end, or zeros, and ends any other line.
fn end_last_line(file: &mut File) -> io::Result<()> {
    let bytes = file.metadata()?.len();
    let start = bytes.saturating_sub(LINE_BYTES_MAX);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    Read::by_ref(file).take(LINE_BYTES_MAX).read_to_end(&mut tail)?;
    let last_line = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    match &tail[last_line..] {
        [] => Ok(()),
        cut if is_beginning_of_record(cut) || cut.iter().all(|byte| *byte == 0) => {
            file.set_len(bytes - cut.len() as u64)
        }
        _ => file.write_all(b"\n"),
    }
}

fn is_beginning_of_record(text: &[u8]) -> bool {
    let known = RECORD_BEGINS.len().min(text.len());
    text[..known] == RECORD_BEGINS[..known]
}

/// The capture time in the file's first line, if it is a record.
fn first_time(file: &mut File) -> io::Result<Option<SystemTime>> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    Read::by_ref(file).take(LINE_BYTES_MAX).read_to_end(&mut head)?;
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let record: Option<serde_json::Value> = serde_json::from_slice(line).ok();
    let time = record.as_ref().and_then(|record| record["captured"].as_str()?.parse().ok());
    Ok(time.map(|time: jiff::Timestamp| time.into()))
}

/// How every record begins, up to its first value.
pub(super) const RECORD_BEGINS: &[u8] = br#"{"stream":""#;
/// Longer lines are not looked for the ends of.
const LINE_BYTES_MAX: u64 = 1 << 20;
