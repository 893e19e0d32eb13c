//! The HTTP contract over real sockets: a server on port 0, a client that writes bytes, and a
//! backend made by hand, so that every state and fault can be asked for; and end to end, with the
//! real runtime.

mod call_sessions;
mod critical;
mod end_to_end;
mod events;
mod exposition;
mod fake_backend;
mod guards;
mod inspector;
mod json_schema;
mod limits;
mod metrics;
mod openapi;
mod page;
mod plugins;
mod serving;
mod sessions;
mod sockets;
mod streams;
mod tools;
mod video;

use crate::support::client;
