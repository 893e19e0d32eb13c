//! Nothing to build: the `links` key, which makes two versions of this crate in
//! one binary an error of the resolver, asks for a build script.

fn main() {}
