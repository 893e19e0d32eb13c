//! Nothing to build: cargo wants a build script where a package has a `links` key, and that key
//! keeps two versions of this crate out of one binary.

fn main() {}
