//! What is in the binary, and what becomes of what was asked for.

mod catalog;
mod outcomes;
mod requirements;
