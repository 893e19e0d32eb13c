//! What the sandbox says it contains, provoked.

mod hangs;
mod panics;
mod support;
mod workers;
