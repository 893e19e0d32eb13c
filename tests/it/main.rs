//! One binary, a module per behaviour.

mod plugin_lifecycle;
mod plugin_sandbox;
