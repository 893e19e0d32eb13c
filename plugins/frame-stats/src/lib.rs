//! Keepsight plugin: brightness and motion of each frame; the template for your own.
