//! Keepsight source: a generated scene with exact ground truth.
