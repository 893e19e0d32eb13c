//! HTTP: routes, guards, limits and the server they run in.
//!
//! The server has two threads of its own and a bounded number of others for what may take time:
//! tool calls, reloads and pictures. Nothing that runs a plugin's, source's or driver's code is
//! an async task, so health answers while all of it hangs. Everything a client can take is
//! limited: header and body bytes, time, connections, calls, those who follow the events.
//!
//! Not here: who decides what a plugin does. A [`Backend`] answers; this module knows how to ask.

mod answer_body;
#[cfg(any(test, fuzzing))]
mod arguments_oracle;
mod backend;
mod connection;
mod event_log;
mod events_api;
mod exposition;
mod guard;
mod http_server;
mod inspector_api;
mod key_tries;
mod metrics_api;
mod openapi;
mod page;
mod plugins_api;
mod plugins_list;
mod request_handler;
#[cfg(any(test, fuzzing))]
mod request_oracle;
mod result_feed;
mod routes;
mod schemas;
mod session_api;
mod sessions;
mod snapshots;
mod status_table;
mod stream_socket;
mod streams_api;
mod video_api;
mod worded_errors;
mod write_deadline;

#[cfg(any(test, fuzzing))]
pub use arguments_oracle::check_arguments;
pub use backend::{Backend, LatestResult, ToolClient};
pub use event_log::{EventKind, EventLog};
pub use http_server::{Drained, HttpServer, ServeError};
pub use page::PageFile;
#[cfg(any(test, fuzzing))]
pub use request_oracle::check_request;
pub use result_feed::ResultFeed;

pub use crate::{
    loader::{ToolCall, ToolError, ToolOutcome},
    supervisor::ReloadError,
};
