//! The HTTP contract over real sockets: a server on port 0, a client that writes bytes, and a
//! backend made by hand, so that every state and fault can be asked for.

mod client;
mod fake_backend;
mod guards;
mod limits;
mod plugins;
mod serving;
mod streams;
mod tools;
