//! Keepsight.

pub mod api;
pub mod config;
pub mod health;
pub mod inspector;
pub mod lifecycle;
pub mod loader;
pub mod sandbox;
pub mod streams;
pub mod supervisor;
