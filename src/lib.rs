//! Keepsight.
