//! The file that outlives the process.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use super::{
    LastWords, Occupant, last_words,
    mapped_words::MappedWords,
    slot_words::{self, SLOT_WORDS},
};

/// What the process that had the file before left in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CrashTraces {
    /// Who had not come back; empty after an end in order.
    pub occupants: Vec<Occupant>,
    /// Whether the machine was started anew since: then it took everybody along, whoever ran.
    pub machine_restarted: bool,
    /// The panic that ended the process, where one did.
    pub last_words: Option<LastWords>,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error("another process keeps its crash slots in {}", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot keep crash slots in {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The file, mapped and locked.
#[derive(Debug)]
pub(super) struct CrashFile {
    words: MappedWords,
    path: PathBuf,
    /// Locked for as long as it is open.
    file: File,
}

impl CrashFile {
    /// Takes the file in `folder`, reads what is in it, and clears it.
    pub(super) fn open(folder: &Path) -> Result<(Self, CrashTraces), OpenError> {
        let path = folder.join(NAME);
        let refused = |source| OpenError::Io { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(refused)?;
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(refused)?;
        match lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path }),
            Err(TryLockError::Error(source)) => return Err(refused(source)),
        }
        let mut traces = read(&mut file).map_err(refused)?;
        traces.last_words = last_words::take(folder);
        clear(&mut file).map_err(refused)?;
        let words = MappedWords::of(&file, FILE_WORDS).map_err(refused)?;
        Ok((Self { words, path, file }, traces))
    }

    /// The words of all slots.
    pub(super) fn slots(&self) -> &[AtomicU64] {
        &self.words.words()[HEADER_WORDS..]
    }

    pub(super) fn folder(&self) -> &Path {
        self.path.parent().expect("a name was joined to a folder")
    }

    /// Whether the next process would find this very file.
    #[cfg(unix)]
    pub(super) fn is_in_place(&self) -> bool {
        use std::os::unix::fs::MetadataExt;

        match (self.file.metadata(), fs::metadata(&self.path)) {
            (Ok(own), Ok(found)) => (own.dev(), own.ino()) == (found.dev(), found.ino()),
            _ => false,
        }
    }

    #[cfg(not(unix))]
    pub(super) fn is_in_place(&self) -> bool {
        self.path.exists() && self.file.metadata().is_ok()
    }

    /// Says that the process ends in order: nobody is to be named.
    pub(super) fn end(&self) {
        for word in self.slots() {
            word.store(0, Relaxed);
        }
    }
}

/// Locks the file. The process before may still be ending, and a child that it was just starting
/// holds the lock too until it has begun its program: so for a moment it is asked for again.
fn lock(file: &File) -> Result<(), TryLockError> {
    let end = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(LOCK_PAUSE),
            outcome => return outcome,
        }
    }
}

pub(super) fn read(file: &mut impl Read) -> io::Result<CrashTraces> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES as u64).read_to_end(&mut bytes)?;
    let words: Vec<u64> = bytes
        .chunks_exact(8)
        .map(|word| u64::from_ne_bytes(word.try_into().expect("chunks of eight")))
        .collect();
    if words.len() < FILE_WORDS || words[0] != MAGIC {
        return Ok(CrashTraces::default()); // new, or of a version with another layout
    }
    let slots = words[HEADER_WORDS..].chunks_exact(SLOT_WORDS);
    let boot = boot_id();
    Ok(CrashTraces {
        occupants: slots.filter_map(slot_words::read).collect(),
        machine_restarted: words[1..3] != boot,
        last_words: None,
    })
}

/// Writes the whole file, rather than only giving it its length: a page without a block behind it
/// would end the process when it is touched while the disk is full.
fn clear(file: &mut File) -> io::Result<()> {
    let mut bytes = header();
    bytes.resize(FILE_BYTES, 0);
    file.rewind()?;
    file.write_all(&bytes)?;
    file.set_len(FILE_BYTES as u64)
}

/// What a file of this process begins with.
pub(super) fn header() -> Vec<u8> {
    let mut words = [0; HEADER_WORDS];
    words[0] = MAGIC;
    words[1..3].copy_from_slice(&boot_id());
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Which start of the machine this is; zeros where the system doesn't say.
fn boot_id() -> [u64; 2] {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let id = u128::from_str_radix(&digits, 16).unwrap_or(0);
    [(id >> 64) as u64, id as u64]
}

/// Slots that there are: one for each worker at a time; more workers go unnoted.
pub(super) const SLOTS: usize = 512;
pub(super) const SLOTS_WORDS: usize = SLOTS * SLOT_WORDS;
const HEADER_WORDS: usize = 16;
const FILE_WORDS: usize = HEADER_WORDS + SLOTS_WORDS;
const FILE_BYTES: usize = FILE_WORDS * 8;
const NAME: &str = "crash-slots";
/// Names the layout; another layout has another one.
const MAGIC: u64 = u64::from_ne_bytes(*b"ksslots1");

const LOCK_WAIT: Duration = Duration::from_millis(300);
const LOCK_PAUSE: Duration = Duration::from_millis(5);
