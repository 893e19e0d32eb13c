//! Keepsight keeps sight of what a camera sees, and keeps running while it does.
//!
//! A runtime for edge vision in one binary. Plugins and sources are crates compiled in, chosen by
//! Cargo features and registered at link time. One that lacks its GPU, model or camera says so;
//! one that panics or hangs is contained and restarted; the health API answers throughout.

pub mod api;
pub mod bundled;
pub mod config;
pub mod health;
pub mod inspector;
pub mod lifecycle;
pub mod loader;
pub mod outputs;
pub mod runtime;
pub mod sandbox;
pub mod streams;
pub mod supervisor;

mod cli;

pub use cli::{ExitStatus, main};
