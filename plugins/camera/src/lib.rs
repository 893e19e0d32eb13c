//! Keepsight source: cameras through nokhwa.
