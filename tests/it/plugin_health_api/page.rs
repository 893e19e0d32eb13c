//! `/`: the page's files, as a browser asks for them.

use keepsight::api::PageFile;

use super::{
    client::{get, request},
    fake_backend::FakeBackend,
};

static PAGE: [PageFile; 2] = [
    PageFile { path: "/", media_type: "text/html; charset=utf-8", bytes: b"<!doctype html>" },
    PageFile { path: "/app.js", media_type: "text/javascript; charset=utf-8", bytes: b"1" },
];

#[test]
fn the_page_may_load_nothing_from_elsewhere() {
    let server = FakeBackend { page: &PAGE, ..FakeBackend::default() }.serve();
    let page = get(server.address(), "/");
    assert_eq!((page.status, &*page.body), (200, PAGE[0].bytes));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let policy = page.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(get(server.address(), "/app.js").body, b"1");
}

#[test]
fn a_file_that_the_browser_has_is_not_sent_again() {
    let server = FakeBackend { page: &PAGE, ..FakeBackend::default() }.serve();
    let tag = get(server.address(), "/").header("etag").unwrap().to_owned();
    let again = request(server.address(), &format!("GET /\nIf-None-Match: {tag}"), "");
    assert_eq!((again.status, again.body.len()), (304, 0));
    let other = request(server.address(), &format!("GET /app.js\nIf-None-Match: {tag}"), "");
    assert_eq!(other.status, 200);
}

#[test]
fn the_page_needs_no_key_and_no_other_page_may_read_it() {
    let backend = FakeBackend { page: &PAGE, ..FakeBackend::default() };
    let key = "correct-horse-battery".to_owned();
    let server = backend.serve_with(|config| {
        config.key = Some(keepsight::config::Secret::hidden(key));
    });
    assert_eq!(get(server.address(), "/").status, 200);
    assert_eq!(get(server.address(), "/v1/streams").status, 401);
    let foreign = request(server.address(), "GET /\nOrigin: http://evil.example", "");
    assert_eq!(foreign.status, 403);
}

#[test]
fn a_build_without_the_page_says_so() {
    let server = FakeBackend::default().serve();
    let answer = get(server.address(), "/");
    assert_eq!(answer.status, 404);
    assert!(answer.detail().contains("web-ui"), "{answer:?}");
    // What the page has not, the build with a page has not either.
    let server = FakeBackend { page: &PAGE, ..FakeBackend::default() }.serve();
    assert_eq!(get(server.address(), "/icon.svg").status, 404);
}

/// What this build embeds is a whole page: each file that it names is there.
#[test]
#[cfg(feature = "web-ui")]
fn the_embedded_page_has_what_it_names() {
    let page = keepsight::bundled::PAGE;
    let html = page.iter().find(|file| file.path == "/").unwrap();
    let html = std::str::from_utf8(html.bytes).unwrap();
    let named = html.split(['"']).filter(|part| part.starts_with('/'));
    let named: Vec<_> = named.collect();
    assert!(named.len() >= 3, "{html}");
    for path in named {
        assert!(page.iter().any(|file| file.path == path), "{path} is not embedded");
    }
}
