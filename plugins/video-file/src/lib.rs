//! Keepsight source: picture folders and MJPEG in AVI.
