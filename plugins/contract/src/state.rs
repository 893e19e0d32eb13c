//! State that outlives the process, one file at a time.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Why state could not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Neither configuration nor environment names a folder.
    #[error("there is no folder to keep state in; name one as `runtime.state_dir`")]
    NoFolder,
    /// The name is empty, hidden, or leads elsewhere.
    #[error("{name:?} is not the name of a file")]
    Name {
        /// The name.
        name: String,
    },
    /// The system refused.
    #[error("cannot write {}; {}", path.display(), Self::REMEDY)]
    Unwritable {
        /// The file, or the folder that it would be in.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl StateError {
    /// What a person can do about a folder that can't be written.
    pub const REMEDY: &str = "see that its disk is there, writable and not full, or name another \
                              folder as `runtime.state_dir`";
}

/// Replaces the file `name` in `folder`: who reads it finds all of the old or all of the new.
pub(crate) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StateError> {
    if name.is_empty() || name.contains(['/', '\\', '\0']) || name.starts_with('.') {
        return Err(StateError::Name { name: name.to_owned() });
    }
    // Two who write the same file at the same moment have one of their own each.
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let number = WRITES.fetch_add(1, Relaxed) % UNFINISHED_MAX;
    let unfinished = folder.join(format!(".{name}.{number}"));
    let path = folder.join(name);
    write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, &path)).map_err(|source| {
        // What is half written takes room that a full disk doesn't have.
        let _ = fs::remove_file(&unfinished);
        StateError::Unwritable { path, source }
    })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    // Before it gets its name: after a power cut an empty file must not be found under it.
    file.sync_all()
}

/// Far more than write at a time; a process that died in between leaves no more behind.
const UNFINISHED_MAX: u64 = 64;
