//! Writes what plugins give to where somebody keeps it: `[[outputs]]`.
//!
//! ```text
//! session's thread → listener → queue of an output → its worker → OutputTarget
//! ```
//!
//! An [`Output`] picks the kinds of results it is for, and has a bounded queue and a worker in the
//! sandbox of its own. [`JsonLines`] is the target that every build has: `file:`.
//!
//! Promised: no output, however slow, full or hung, holds up a stream (of either mode) or another
//! output; what is lost is counted, oldest first; what went wrong is logged once, when it begins
//! and when it ends; an output that fails is opened again for as long as the process lives.
//!
//! Not promised: that a record reached the disk when it counts as written. A power cut may take
//! what was written since the last flush, at most [`OutputLimits::flush_every`] before.

mod json_lines;
mod line_file;
mod moment;
mod output;
mod output_spec;
mod output_status;
mod output_worker;
mod record;
mod rotated_name;
mod rotating_file;
#[cfg(test)]
mod rotation_tests;

pub use json_lines::JsonLines;
pub use output::Output;
pub use output_spec::{OutputError, OutputLimits, OutputSpec};
pub use output_status::{OutputState, OutputStatus, Trouble};
