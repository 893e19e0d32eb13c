//! Results are written to where somebody keeps them, and never in anybody's way.

mod files;
mod rereads;
mod starting;
mod support;
mod troubles;
