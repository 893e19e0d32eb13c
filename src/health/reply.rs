use std::time::Duration;

use hyper::{StatusCode, body::Bytes};
use serde::Serialize;
use serde_json::json;

/// An answer without the connection it goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: StatusCode,
    /// Media type of the body; empty where there is none.
    pub content_type: &'static str,
    /// The body, whole.
    pub body: Bytes,
    /// When to ask again, where that is known.
    pub retry_after: Option<Duration>,
    /// Methods that the path knows, for a request that used another.
    pub allow: Option<String>,
    /// A cookie to keep or to forget.
    pub set_cookie: Option<String>,
}

impl Reply {
    /// `value` with the status 200.
    pub fn ok(value: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, value)
    }

    /// `value` with `status`.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        // Wire models are plain: no maps with keys that are not texts, no failing serialisers.
        let body = serde_json::to_vec(value).expect("wire models serialise");
        Self::new(status, "application/json", body)
    }

    /// An error: clients show the text under `detail`.
    pub fn detail(status: StatusCode, detail: impl AsRef<str>) -> Self {
        Self::json(status, &json!({ "detail": detail.as_ref() }))
    }

    /// What a path that leads nowhere answers.
    pub fn not_found() -> Self {
        Self::detail(StatusCode::NOT_FOUND, "Not Found")
    }

    /// A body of any type.
    pub fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self { status, content_type, body, retry_after: None, allow: None, set_cookie: None }
    }

    /// Says when to ask again, if that is known.
    pub fn retry_after(mut self, time: Option<Duration>) -> Self {
        self.retry_after = time;
        self
    }
}
