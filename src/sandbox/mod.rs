//! Runs code that may panic, hang or never return, and goes on.
//!
//! Everything a plugin, source, probe or output does happens on a worker thread of its own, inside
//! [`WorkerSeat::run`]: under a panic capture and a deadline. [`Sandbox::run_once`] is the short
//! form for one call; [`Sandbox::spawn_worker`] keeps a thread, and the state it made, for many.
//!
//! What it promises:
//! - A panic becomes a [`RunFault::Panicked`] with message, source location, thread and, at most
//!   once a second and instance, a backtrace. That holds for panics while a panic's payload, a late
//!   result or a session is dropped, too.
//! - A call that outlives its deadline is given up: its caller has [`RunFault::TimedOut`] at the
//!   deadline (plus a grace of milliseconds), the thread is counted as abandoned, put into the idle
//!   scheduling class, and taken off the count if it ever returns. Its late result is dropped.
//! - Where the binary installs [`CountingAllocator`], a call that takes its instance beyond its
//!   memory limit is cancelled, ends with [`RunFault::MemoryExceeded`], and is given up if it goes
//!   on.
//! - Abandoned threads are bounded, per instance and per process; beyond that nothing new starts.
//!
//! What it does not: a thread cannot be killed, so an abandoned one keeps its memory and, where
//! nothing else wants them, its cycles. Stack overflow, `abort`, segmentation faults, a panic while
//! another panic unwinds (a destructor's, a thread-local's), `process::exit` and a failed
//! allocation end the process; who ran then, the [`CrashSlots`] tell the next one. [`NOT_CONTAINED`]
//! and [`NOT_MEASURED`] are these lists, and `docs/containment.md` says more of each. The sandbox
//! contains bugs, not attackers. It knows no registry, no plugin and no lifecycle.
//!
//! ```
//! use std::time::Duration;
//! use keepsight::sandbox::{Phase, RunFault, Sandbox, SandboxLimits, SandboxScope};
//!
//! let sandbox = Sandbox::new(SandboxLimits::default());
//! let scope = SandboxScope::new("tracker", None, 1);
//! let limit = Duration::from_secs(5);
//!
//! let sum = sandbox.run_once("sum", scope.clone(), Phase::Run, limit, |_call| 1 + 1);
//! assert_eq!(sum.unwrap(), 2);
//!
//! let fault = sandbox.run_once("fall", scope, Phase::Run, limit, |_call| panic!("oh dear"));
//! let fault: RunFault = fault.map(|()| ()).unwrap_err();
//! assert_eq!(fault.code(), "run.panicked");
//! ```

#[cfg(all(panic = "abort", not(feature = "uncontained")))]
compile_error!(
    "keepsight contains panics by unwinding, and this build has panic = \"abort\": one plugin's \
     panic would end the process. Remove panic = \"abort\" from the profile, or turn on the \
     feature `uncontained` to say that this is what you want."
);

mod abandoned_threads;
mod call_slot;
mod containment;
mod crash_slots;
mod deferred_drops;
mod idle_class;
mod memory_guard;
mod panic_capture;
mod phase;
mod run_fault;
mod sandbox_runner;
mod sandbox_scope;
mod timeout;
mod worker;

pub use abandoned_threads::AbandonedCount;
pub use call_slot::{CallSlot, NotBegun, SlotState, Ticket};
pub use containment::{ISOLATION, NOT_CONTAINED, NOT_MEASURED, PANIC_STRATEGY};
#[cfg(any(test, fuzzing))]
pub use crash_slots::check_crash_slots;
pub use crash_slots::{CrashSlots, CrashTraces, LastWords, Occupant, OpenError};
pub use memory_guard::{CountingAllocator, MemoryAccount, MemoryUse};
pub use panic_capture::{PanicReport, contained, install_panic_hook};
pub use phase::{AbandonReason, Phase};
pub use run_fault::RunFault;
pub use sandbox_runner::{Sandbox, SandboxLimits};
pub use sandbox_scope::{SandboxScope, ScopeGuard};
pub use timeout::{Watchdog, Watched};
pub use worker::{Activity, Worker, WorkerSeat};
