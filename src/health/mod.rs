//! The plugins' health for those outside: models of the wire, and the router that answers.
//!
//! Nothing here touches a socket, waits, or runs a plugin's code: a [`HealthSource`] gives copies
//! of what is known, and a [`Reply`] is handed to the server.

mod health_model;
mod health_router;
mod health_source;
mod reply;
mod target;
mod wire_time;

pub use health_model::{PluginHealthResponse, PluginItem};
pub use health_router::HealthRoute;
pub use health_source::HealthSource;
pub use reply::Reply;
pub use target::Target;
pub use wire_time::{utc, wall_time};

pub(crate) use health_router::plugin_not_found;
pub(crate) use wire_time::{milliseconds, seconds};
