//! JPEG decoding and encoding and PNG decoding for Keepsight.
