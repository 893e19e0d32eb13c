//! The keepsight binary.
fn main() {}
