//! What the sandbox says it contains, provoked.

mod hangs;
mod memory;
mod panics;
mod support;
mod workers;
