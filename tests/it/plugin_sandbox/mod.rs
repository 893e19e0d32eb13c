//! What the sandbox says it contains, provoked.

mod crashes;
mod hangs;
mod lost_containment;
mod memory;
mod panics;
mod support;
mod threads;
mod workers;
