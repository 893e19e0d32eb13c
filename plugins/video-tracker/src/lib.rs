//! Keepsight plugin: detects and tracks what a camera sees.

pub mod associate;
pub mod mot_text;
