//! One binary, a module per behaviour.

mod plugin_health_api;
mod plugin_lifecycle;
mod plugin_loader;
mod plugin_sandbox;
mod streams;
mod support;
