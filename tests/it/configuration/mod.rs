//! A configuration that is read again while the process runs.

mod documented;
mod plugins;
mod refused;
mod streams;
mod support;
