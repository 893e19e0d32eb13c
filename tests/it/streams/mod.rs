//! Frames come, stop and come again; sessions fail and are opened again.

mod sessions;
mod sources;
