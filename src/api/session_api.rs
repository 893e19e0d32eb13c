//! `/v1/session`: a cookie in exchange for the key, for pages.

use std::net::IpAddr;

use hyper::{HeaderMap, StatusCode, header::ORIGIN};
use serde::Deserialize;

use super::guard::Guard;
use crate::health::Reply;

#[derive(Deserialize)]
struct KeyBody {
    key: String,
}

/// Begins a session for whoever has the key.
pub(super) fn begin(
    guard: &Guard,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
    body: &[u8],
) -> Reply {
    let KeyBody { key } = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(error) => {
            let detail = format!("the body is not {{\"key\": \"…\"}}: {error}");
            return Reply::detail(StatusCode::UNPROCESSABLE_ENTITY, detail);
        }
    };
    match guard.is_key(&key, peer) {
        Ok(true) => {}
        Ok(false) => return Reply::detail(StatusCode::UNAUTHORIZED, "that is not the key"),
        Err(reply) => return reply,
    }
    // A proxy that ends TLS leaves the page's own scheme in its origin.
    let secure = headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https:"));
    match guard.sessions().begin(secure) {
        Ok(cookie) => cleared_or_set(cookie),
        Err(error) => {
            tracing::error!(%error, "no random numbers for a session");
            Reply::detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }
    }
}

/// Ends the session of the request's cookie, if it has one.
pub(super) fn end(guard: &Guard, headers: &HeaderMap) -> Reply {
    cleared_or_set(guard.sessions().end(headers))
}

fn cleared_or_set(cookie: String) -> Reply {
    let mut reply = Reply::new(StatusCode::NO_CONTENT, "", Vec::new());
    reply.set_cookie = Some(cookie);
    reply
}
