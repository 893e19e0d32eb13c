//! Keepsight plugin: fails on request, to try the runtime's containment.
//!
//! Faults come by call or by configuration. The tool `fail` does at once what its arguments say,
//! `{"kind": "panic"}` for example. A configuration plans them:
//!
//! ```toml
//! [plugins.faults]
//! use = "fault-injector"
//! [[plugins.faults.config.faults]]
//! at    = "run"          # or "init", "open", "drop" (of a session), "shutdown" (of the instance)
//! kind  = "panic"
//! after = 10             # ten calls go well first
//! every = 5              # then each fifth fails; without it, one does
//! ```
//!
//! The tool `ok`, which streams run, does nothing but what is planned.
//!
//! Everything that hangs can be let go by [`release_all`], so that a test's process ends cleanly;
//! the kinds [`FaultKind::SpinForever`], [`FaultKind::Abort`], [`FaultKind::Exit`] and
//! [`FaultKind::StackOverflow`] are what they say and can't be taken back. This plugin has no
//! place in a binary that people rely on.

mod config;
mod fault;
mod gate;
mod plugin;

pub use config::{Config, Place, PlannedFault};
pub use fault::{AfterGrowth, Fault, FaultKind};
pub use gate::{release_all, wait_until_hung};
pub use plugin::{FaultInjector, Session};
