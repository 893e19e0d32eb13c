use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU32, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

use super::{
    CrashTraces, OpenError,
    crash_file::{CrashFile, SLOTS, SLOTS_WORDS},
    last_words,
    slot_words::{self, SLOT_WORDS},
};
use crate::sandbox::{Phase, SandboxScope};

/// The slots of all workers: in memory, until a file is [opened](Self::open).
pub struct CrashSlots {
    /// Changes whenever the slots move.
    moves: AtomicU32,
    state: Mutex<State>,
}

struct State {
    place: Arc<Place>,
    free: Vec<usize>,
}

/// Where slots are.
enum Place {
    Memory(Box<[AtomicU64]>),
    File(CrashFile),
}

/// One worker's slot; it stays on the worker's thread.
#[derive(Debug)]
pub(in crate::sandbox) struct CrashSlot {
    slots: Arc<CrashSlots>,
    place: Arc<Place>,
    moves: u32,
    /// `None` where more workers are alive than there are slots.
    index: Option<usize>,
    scope: SandboxScope,
    running: u64,
}

impl CrashSlots {
    pub(in crate::sandbox) fn in_memory() -> Arc<Self> {
        let state = State { place: Place::memory(), free: (0..SLOTS).rev().collect() };
        Arc::new(Self { moves: AtomicU32::new(0), state: Mutex::new(state) })
    }

    /// Moves the slots into the file `crash-slots` in `folder`, which is made where it isn't there;
    /// tells what the process before left in it.
    ///
    /// # Errors
    /// [`OpenError`] when the file can't be had; slots stay where they are then.
    pub fn open(&self, folder: &Path) -> Result<CrashTraces, OpenError> {
        let (file, traces) = CrashFile::open(folder)?;
        self.move_to(Place::File(file));
        last_words::keep_in(Some(folder));
        Ok(traces)
    }

    /// Looks whether the file is still where the next process would find it; makes it anew if not.
    /// Blocks as the file system does.
    ///
    /// # Errors
    /// [`OpenError`] when it can't be made; slots are in memory then.
    pub fn tend(&self) -> Result<(), OpenError> {
        let place = self.state().place.clone();
        let Place::File(file) = &*place else { return Ok(()) };
        if file.is_in_place() {
            return Ok(());
        }
        let folder = file.folder().to_owned();
        match self.open(&folder) {
            Ok(_) => {
                tracing::warn!(folder = %folder.display(), "the crash slots were gone; made anew");
                Ok(())
            }
            Err(error) => {
                self.move_to(Place::Memory(empty()));
                Err(error)
            }
        }
    }

    /// The process ends in order: whoever still runs is not to be named. Slots are in memory from
    /// now on.
    pub fn end(&self) {
        let place = self.state().place.clone();
        self.move_to(Place::Memory(empty()));
        last_words::keep_in(None);
        if let Place::File(file) = &*place {
            file.end();
        }
    }

    /// A slot for the worker on this thread. It says nothing until something runs.
    pub(in crate::sandbox) fn claim(self: &Arc<Self>, scope: &SandboxScope) -> CrashSlot {
        let mut state = self.state();
        let mut slot = CrashSlot {
            slots: self.clone(),
            place: state.place.clone(),
            moves: self.moves.load(Relaxed),
            index: state.free.pop(),
            scope: scope.clone(),
            running: 0,
        };
        drop(state);
        slot.describe(scope.clone());
        slot
    }

    fn move_to(&self, place: Place) {
        let mut state = self.state();
        // Who runs at the moment is noted in the new place as well.
        for (old, new) in state.place.words().iter().zip(place.words()) {
            new.store(old.load(Acquire), Relaxed);
        }
        state.place = Arc::new(place);
        self.moves.fetch_add(1, Release);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CrashSlot {
    /// Says whose code runs from now on.
    pub(in crate::sandbox) fn describe(&mut self, scope: SandboxScope) {
        self.scope = scope;
        self.follow();
        if let Some(words) = self.words() {
            slot_words::describe(words, &self.scope);
        }
    }

    /// Says what runs, and gives what ran before, for [`leave`](Self::leave).
    #[inline]
    pub(in crate::sandbox) fn enter(&mut self, phase: Phase) -> u64 {
        let before = self.running;
        self.leave(slot_words::running(phase));
        before
    }

    /// Says that what was entered is over, and `before` goes on.
    #[inline]
    pub(in crate::sandbox) fn leave(&mut self, before: u64) {
        self.running = before;
        if self.slots.moves.load(Relaxed) != self.moves {
            self.describe(self.scope.clone());
        }
        if let Some(words) = self.words() {
            slot_words::set_running(words, before);
        }
    }

    fn words(&self) -> Option<&[AtomicU64]> {
        let start = self.index? * SLOT_WORDS;
        Some(&self.place.words()[start..start + SLOT_WORDS])
    }

    /// Goes where the slots have moved to.
    fn follow(&mut self) {
        let state = self.slots.state();
        // Both under the lock, so that they belong together.
        self.moves = self.slots.moves.load(Relaxed);
        self.place = state.place.clone();
    }
}

impl Drop for CrashSlot {
    fn drop(&mut self) {
        self.leave(0);
        if let Some(index) = self.index {
            self.slots.state().free.push(index);
        }
    }
}

impl Place {
    fn memory() -> Arc<Self> {
        Arc::new(Self::Memory(empty()))
    }

    fn words(&self) -> &[AtomicU64] {
        match self {
            Self::Memory(words) => words,
            Self::File(file) => file.slots(),
        }
    }
}

fn empty() -> Box<[AtomicU64]> {
    (0..SLOTS_WORDS).map(|_| AtomicU64::new(0)).collect()
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory(_) => "Memory",
            Self::File(_) => "File",
        })
    }
}

impl fmt::Debug for CrashSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrashSlots").field("place", &self.state().place).finish_non_exhaustive()
    }
}
