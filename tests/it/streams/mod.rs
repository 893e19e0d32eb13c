//! Frames come, stop and come again; sessions fail and are opened again.

mod crashed_sources;
mod frames;
mod memory;
mod sessions;
mod sources;
