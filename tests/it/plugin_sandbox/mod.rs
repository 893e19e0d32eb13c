//! What the sandbox says it contains, provoked.

mod crashes;
mod documents;
mod hangs;
mod lost_containment;
mod matrix;
mod memory;
mod panics;
mod support;
mod threads;
mod workers;
