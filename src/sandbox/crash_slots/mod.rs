//! Says who was running when the process died.
//!
//! What a thread can't contain, such as `abort`, a stack overflow or a segmentation fault, ends
//! the process before anybody could log it. So each worker notes in its slot of a memory-mapped
//! file whose code it is about to run, and takes that back afterwards; the kernel keeps what a
//! process wrote to such a file, however the process ended. The next process finds in it who had
//! not come back. Where panics end the process, the panic hook leaves [`LastWords`] beside it.
//!
//! Promised: a note costs a few stores and no system call. Where the file can't be had, slots are
//! in memory and everything else goes on; [`CrashSlots::tend`] tries again.
//!
//! Not promised: that who is named did it. Everybody who ran at that moment is; and a pool's
//! threads, which are no workers, note nothing.

mod crash_file;
mod last_words;
mod mapped_words;
#[cfg(any(test, fuzzing))]
mod oracle;
mod slot_words;
mod worker_slots;

pub use crash_file::{CrashTraces, OpenError};
pub use last_words::LastWords;
pub(super) use last_words::leave as leave_last_words;
#[cfg(any(test, fuzzing))]
pub use oracle::check_crash_slots;
pub use slot_words::Occupant;
pub(super) use worker_slots::CrashSlot;
pub use worker_slots::CrashSlots;
