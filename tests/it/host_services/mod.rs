//! What the runtime does for a plugin through its `Host`, seen from both sides.

mod reports;
mod state;
mod threads;
