//! Decides when a plugin is tried again.
//!
//! One thread listens to what instances report and keeps the times of what is due: the restart
//! of a FAILED instance with jittered back-off and a budget, the next look for what an
//! UNAVAILABLE one lacks. A session's first fault is the session's affair; a second within the
//! window, or many failed runs in a row, builds the instance anew. An instance that exceeds its
//! budget is quarantined: left alone until somebody asks for a reload.
//!
//! What ends the whole process, and so the supervisor, is known by the next process: the
//! [`CrashKeeper`] says who ran then, and who did each time is left alone as well.
//!
//! Not done here: running plugin code (instances do, in the sandbox) and reopening sessions
//! (streams do).

mod case;
mod crash_keeper;
mod crash_record;
mod restart_policy;
mod supervisor_thread;

pub use crash_keeper::CrashKeeper;
pub use crash_record::Crash;
pub use restart_policy::{RestartLedger, RestartPolicy, Verdict};
pub use supervisor_thread::{ReloadError, Supervision, Supervisor};
