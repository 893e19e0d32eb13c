//! `/`: the web page, as the binary holds it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use hyper::{
    HeaderMap, Response, StatusCode,
    body::Bytes,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
        IF_NONE_MATCH, REFERRER_POLICY,
    },
};

use super::answer_body::AnswerBody;
use crate::health::Reply;

/// A file of the web page, embedded in the binary.
#[derive(Clone, Copy, Debug)]
pub struct PageFile {
    /// Where it is asked for, such as `/app.js`; the page itself is `/`.
    pub path: &'static str,
    /// What it is, such as `text/html; charset=utf-8`.
    pub media_type: &'static str,
    /// What is in it.
    pub bytes: &'static [u8],
}

/// What is said where the page would be.
pub(super) fn without_page() -> Reply {
    Reply::detail(
        StatusCode::NOT_FOUND,
        "this build has no page; build it with the feature web-ui, or read /v1/plugins/",
    )
}

/// The file, or that the client has it already.
pub(super) fn response(file: &PageFile, request: &HeaderMap) -> Response<AnswerBody> {
    let tag = tag(file);
    let known = request.get_all(IF_NONE_MATCH).iter().any(|given| names(given, &tag));
    let body = if known { Bytes::new() } else { Bytes::from_static(file.bytes) };
    let mut response = Response::new(AnswerBody::from(body));
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    // Kept, and asked about each time: another version of the binary shows its own page at once.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// Differs where the bytes do.
fn tag(file: &PageFile) -> String {
    let mut hasher = DefaultHasher::new();
    file.bytes.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Whether an `If-None-Match` names `tag` (RFC 9110, 13.1.2; tags are compared weakly).
fn names(given: &HeaderValue, tag: &str) -> bool {
    let given = given.to_str().unwrap_or_default();
    given.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

/// The page loads what is its own server's and nothing else, runs no script that is not a file
/// of it, and stands in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' blob:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: PageFile = PageFile { path: "/", media_type: "text/html", bytes: b"<p>" };

    #[track_caller]
    fn check(given: Option<&str>, expected: u16) {
        let mut request = HeaderMap::new();
        if let Some(given) = given {
            request.insert(IF_NONE_MATCH, HeaderValue::from_str(given).unwrap());
        }
        assert_eq!(response(&FILE, &request).status().as_u16(), expected, "{given:?}");
    }

    #[test]
    fn a_file_is_sent_unless_the_client_has_it() {
        let tag = tag(&FILE);
        check(None, 200);
        check(Some("\"0\""), 200);
        check(Some(&tag[1..tag.len() - 1]), 200);
        for known in [tag.clone(), format!("\"0\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
            check(Some(&known), 304);
        }
        let other = PageFile { bytes: b"<b>", ..FILE };
        assert_ne!(super::tag(&other), tag);
    }
}
