use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::sandbox::{CrashTraces, LastWords, Occupant, Phase};

/// Somebody who ran when a process died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// The instance, `source:NAME` or a probe.
    pub instance: String,
    /// The stream, where it ran for one.
    pub stream: Option<String>,
    /// The instance's generation in that process.
    pub generation: u64,
    /// What ran.
    pub phase: Phase,
    /// Processes one after the other that died while it ran; 1 for the first.
    pub in_a_row: u32,
    /// The panic that ended that process, where one did: then it was this one's.
    pub panic: Option<String>,
}

/// Who ran when processes died, from one process to the next.
#[derive(Debug)]
pub(super) struct CrashRecord {
    path: PathBuf,
    /// What couldn't be written yet.
    pending: Mutex<Option<Suspects>>,
}

/// Those who ran when the last process died, as the file has them.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Suspects {
    suspects: Vec<Suspect>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Suspect {
    instance: String,
    in_a_row: u32,
}

impl CrashRecord {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join("last-crash.json"), pending: Mutex::default() }
    }

    /// Enters what the last process left, and says who was in it, each instance once; whose panic
    /// ended it is known, and then it alone is named. An end in order, or the machine's restart,
    /// ends every row.
    ///
    /// # Errors
    /// When the record can't be written: what is said is right, but the next process will take
    /// the next crash for the first, unless [`write_pending`](Self::write_pending) can do so later.
    pub(super) fn enter(&self, traces: CrashTraces) -> (Vec<Crash>, io::Result<()>) {
        let CrashTraces { occupants, machine_restarted, last_words, .. } = traces;
        let mut crashes: Vec<Crash> = match last_words {
            Some(words) => vec![panicked(words, &occupants)],
            None if machine_restarted => Vec::new(),
            None => occupants.into_iter().map(ran).collect(),
        };
        // Of an instance, what says most is what is told.
        crashes.sort_by_key(|crash| crash.phase.is_lasting());
        let mut named = BTreeSet::new();
        crashes.retain(|crash| named.insert(crash.instance.clone()));
        if crashes.is_empty() {
            return (crashes, self.forget());
        }
        let before = self.read();
        for Crash { instance, in_a_row, .. } in &mut crashes {
            if let Some(known) = before.suspects.iter().find(|known| known.instance == *instance) {
                *in_a_row = known.in_a_row.saturating_add(1);
            }
        }
        let suspects = crashes
            .iter()
            .map(|Crash { instance, in_a_row, .. }| Suspect {
                instance: instance.clone(),
                in_a_row: *in_a_row,
            })
            .collect();
        let suspects = Suspects { suspects };
        let written = self.write(&suspects);
        *self.pending() = written.is_err().then_some(suspects);
        (crashes, written)
    }

    /// Ends every row.
    ///
    /// # Errors
    /// When the file is there and can't be removed.
    pub(super) fn forget(&self) -> io::Result<()> {
        *self.pending() = None;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes what couldn't be written yet; says whether it could now, and nothing where all is
    /// written.
    pub(super) fn write_pending(&self) -> Option<bool> {
        let mut pending = self.pending();
        let written = self.write(pending.as_ref()?).is_ok();
        if written {
            *pending = None;
        }
        Some(written)
    }

    fn pending(&self) -> MutexGuard<'_, Option<Suspects>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Suspects {
        let text = fs::read(&self.path).unwrap_or_default();
        // What can't be read says nothing about anybody.
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn write(&self, suspects: &Suspects) -> io::Result<()> {
        let unfinished = self.path.with_extension("new");
        fs::write(&unfinished, serde_json::to_vec(suspects).map_err(io::Error::other)?)?;
        fs::rename(unfinished, &self.path)
    }
}

fn ran(occupant: Occupant) -> Crash {
    let Occupant { instance, stream, generation, phase, .. } = occupant;
    Crash { instance, stream, generation, phase, in_a_row: 1, panic: None }
}

/// The crash of which a panic told; a thread that is no worker's has no slot.
fn panicked(words: LastWords, occupants: &[Occupant]) -> Crash {
    let LastWords { instance, stream, generation, message, location, thread, .. } = words;
    let own = |occupant: &&Occupant| occupant.instance == instance && occupant.stream == stream;
    let phase = occupants.iter().find(own).map_or(Phase::Thread, |occupant| occupant.phase);
    let at = location.map(|location| format!(" at {location}")).unwrap_or_default();
    let panic = Some(format!("thread {thread:?} panicked{at}: {message}"));
    Crash { instance, stream, generation, phase, in_a_row: 1, panic }
}
