//! Host, Origin, CORS and the key, over the wire.

use std::sync::Arc;

use keepsight::{
    api::{HttpServer, ToolOutcome},
    config::Secret,
    inspector::StreamState,
    lifecycle::LifecycleState,
};
use keepsight_contract::Response;

use super::{
    client::{Client, request},
    fake_backend::{FakeBackend, plugin, stream},
};

const RUN: &str = "POST /v1/plugins/looker/tools/look/run";
const BODY: &str = r#"{"args":{}}"#;

fn server(key: Option<&str>, allowed_origins: &[&str]) -> HttpServer {
    let backend = FakeBackend {
        plugins: vec![plugin("looker", LifecycleState::Initialized)],
        streams: vec![stream("door", StreamState::Live)],
        run: Box::new(|_, _| {
            Ok(ToolOutcome { response: Arc::new(Response::new()), took: Default::default() })
        }),
        reload: Box::new(|_| Ok(())),
        ..FakeBackend::default()
    };
    backend.serve_with(|config| {
        config.key = key.map(Secret::hidden);
        config.allowed_origins = allowed_origins.iter().map(|&origin| origin.to_owned()).collect();
        config.allowed_hosts = vec!["door.example".to_owned()];
    })
}

#[track_caller]
fn check(server: &HttpServer, head: &str, status: u16) {
    let body = if head.starts_with(RUN) { BODY } else { "" };
    let answer = request(server.address(), head, body);
    assert_eq!(answer.status, status, "{head}: {answer:?}");
    if status >= 400 {
        answer.detail();
    }
}

#[test]
fn another_name_for_this_machine_is_refused() {
    let server = server(None, &[]);
    for (host, status) in
        [("localhost", 200), ("[::1]:1", 200), ("door.example", 200), ("evil.example", 403)]
    {
        check(&server, &format!("GET /v1/health\nHost: {host}"), status);
        check(&server, &format!("OPTIONS /v1/health\nHost: {host}"), status);
    }
    let mut client = Client::connect(server.address());
    client.send(b"GET /v1/health HTTP/1.1\r\n\r\n");
    let answer = client.receive().unwrap();
    assert_eq!((answer.status, answer.detail().as_str()), (400, "no Host header"));
}

#[test]
fn without_a_key_pages_elsewhere_read_health_and_no_more() {
    let server = server(None, &[]);
    let foreign = "Origin: http://evil.example";
    for head in ["GET /v1/plugins", "GET /v1/plugins/looker/health", "GET /v1/health"] {
        check(&server, &format!("{head}\n{foreign}"), 200);
    }
    for head in ["GET /v1/streams", "GET /livez", "GET /readyz"] {
        check(&server, head, 200);
        check(&server, &format!("{head}\nHost: localhost:1\nOrigin: http://localhost:1"), 200);
        check(&server, &format!("{head}\n{foreign}"), 403);
    }
    for head in [RUN, "POST /v1/plugins/looker/reload"] {
        check(&server, head, 200);
        check(&server, &format!("{head}\nHost: localhost:1\nOrigin: http://localhost:1"), 200);
        check(&server, &format!("{head}\n{foreign}"), 401);
    }
}

#[test]
fn with_a_key_it_is_needed_where_something_changes_or_is_private() {
    let server = server(Some("correct-horse"), &[]);
    for head in ["GET /v1/plugins", "GET /v1/health", "GET /livez", "GET /readyz"] {
        check(&server, head, 200);
    }
    for head in [RUN, "POST /v1/plugins/looker/reload", "GET /v1/streams", "GET /v1/streams/door"] {
        check(&server, head, 401);
        check(&server, &format!("{head}\nX-API-Key: wrong-horse"), 401);
        check(&server, &format!("{head}\nX-API-Key: correct-horse"), 200);
        check(&server, &format!("{head}\nAuthorization: Bearer correct-horse"), 200);
    }
    check(&server, &format!("{RUN}\nOrigin: http://evil.example\nX-API-Key: correct-horse"), 200);
    let answer = request(server.address(), RUN, BODY);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

#[test]
fn whoever_gives_wrong_keys_again_and_again_is_not_heard_for_a_while() {
    let backend =
        FakeBackend { streams: vec![stream("door", StreamState::Live)], ..FakeBackend::default() };
    let server = backend.serve_with(|config| {
        config.key = Some(Secret::hidden("correct-horse"));
        config.limits.wrong_keys = 3;
    });
    let right = "GET /v1/streams\nX-API-Key: correct-horse";
    let answer = request(server.address(), "POST /v1/session", r#"{"key":"correct-horse"}"#);
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    check(&server, "GET /v1/streams\nX-API-Key: wrong-horse", 401);
    check(&server, "GET /v1/streams\nAuthorization: Bearer wrong-horse", 401);
    check(&server, right, 200);
    assert_eq!(request(server.address(), "POST /v1/session", r#"{"key":"x"}"#).status, 401);

    let answer = request(server.address(), right, "");
    assert_eq!(answer.status, 429, "{answer:?}");
    assert!(answer.detail().starts_with("too many wrong keys"), "{answer:?}");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&seconds), "{seconds}");
    let session = request(server.address(), "POST /v1/session", r#"{"key":"correct-horse"}"#);
    assert_eq!(session.status, 429);
    // Without a key nobody tries one, and a page that has a session goes on.
    check(&server, "GET /v1/streams", 401);
    check(&server, &format!("GET /v1/streams\nCookie: {cookie}"), 200);
    check(&server, "GET /v1/plugins\nX-API-Key: wrong-horse", 200);
}

#[test]
fn any_path_answers_options() {
    let server = server(Some("correct-horse"), &[]);
    for path in ["/v1/plugins", "/v1/plugins/looker/reload", "/nowhere", "/v1/streams"] {
        let head = format!("OPTIONS {path}\nOrigin: http://evil.example");
        let answer = request(server.address(), &head, "");
        assert_eq!(answer.status, 200, "{path}");
        let methods = answer.header("access-control-allow-methods");
        assert_eq!(methods, Some("GET, POST, PUT, DELETE, OPTIONS"), "{path}");
        assert_eq!(answer.header("access-control-allow-headers"), Some("*"), "{path}");
        // Pages elsewhere are told that they may not read what is private.
        let everyone = (path != "/v1/streams").then_some("*");
        assert_eq!(answer.header("access-control-allow-origin"), everyone, "{path}");
    }
    let head = "OPTIONS /v1/plugins\nAccess-Control-Request-Headers: authorization, x-api-key";
    let answer = request(server.address(), head, "");
    let headers = answer.header("access-control-allow-headers");
    assert_eq!(headers, Some("authorization, x-api-key"));
}

#[test]
fn allowed_origins_narrow_and_widen() {
    let server = server(None, &["https://wall.example"]);
    for (origin, expected) in
        [("https://wall.example", Some("https://wall.example")), ("http://evil.example", None)]
    {
        for path in ["/v1/plugins", "/v1/streams"] {
            let head = format!("GET {path}\nOrigin: {origin}");
            let answer = request(server.address(), &head, "");
            assert_eq!(answer.header("access-control-allow-origin"), expected, "{head}");
            assert_eq!(answer.header("vary"), Some("origin"), "{head}");
        }
    }
    check(&server, &format!("{RUN}\nOrigin: https://wall.example"), 200);
    check(&server, &format!("{RUN}\nOrigin: http://evil.example"), 401);
}
