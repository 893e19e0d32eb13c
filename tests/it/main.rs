//! One binary, a module per behaviour.

mod plugin_health_api;
mod plugin_lifecycle;
mod plugin_sandbox;
