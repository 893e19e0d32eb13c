//! Keepsight plugin: detects and tracks what a camera sees.
