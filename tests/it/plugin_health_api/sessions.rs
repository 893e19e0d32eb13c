//! `/v1/session`: the key for a cookie.

use keepsight::{api::HttpServer, config::Secret};

use super::{
    client::{Answer, request},
    fake_backend::FakeBackend,
};

fn server(key: Option<&str>) -> HttpServer {
    let backend = FakeBackend { reload: Box::new(|_| Ok(())), ..FakeBackend::default() };
    backend.serve_with(|config| config.key = key.map(Secret::hidden))
}

/// Gives `body` for a session.
fn log_in(server: &HttpServer, more: &str, body: &str) -> Answer {
    request(server.address(), &format!("POST /v1/session{more}"), body)
}

#[track_caller]
fn check(server: &HttpServer, head: &str, status: u16) {
    let answer = request(server.address(), head, "");
    assert_eq!(answer.status, status, "{head}: {answer:?}");
}

#[test]
fn a_cookie_stands_for_the_key_until_its_session_ends() {
    let server = server(Some("correct-horse"));
    let answer = log_in(&server, "", r#"{"key":"correct-horse"}"#);
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer:?}");
    assert_eq!(answer.header("content-type"), None);
    let cookie = answer.header("set-cookie").unwrap();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
    let cookie = format!("\nCookie: {}", cookie.split(';').next().unwrap());

    for head in ["GET /v1/streams", "GET /metrics", "POST /v1/plugins/it/reload"] {
        check(&server, head, 401);
        check(&server, &format!("{head}{cookie}"), 200);
        check(&server, &format!("{head}{cookie}x"), 401);
        let own = "\nHost: localhost:1\nOrigin: http://localhost:1";
        check(&server, &format!("{head}{own}{cookie}"), 200);
    }
    // Another port is the same site, and no page of ours.
    let other = "\nHost: localhost:1\nOrigin: http://localhost:2";
    check(&server, &format!("GET /v1/streams{other}{cookie}"), 403);
    check(&server, &format!("POST /v1/plugins/it/reload{other}{cookie}"), 401);

    let answer = request(server.address(), &format!("DELETE /v1/session{cookie}"), "");
    assert_eq!(answer.status, 204);
    let cleared = answer.header("set-cookie").unwrap();
    assert!(cleared.starts_with("keepsight_session=;") && cleared.contains("Max-Age=0"));
    check(&server, &format!("GET /v1/streams{cookie}"), 401);
}

#[test]
fn behind_tls_the_cookie_stays_there() {
    let server = server(Some("correct-horse"));
    let own = "\nHost: localhost\nOrigin: https://localhost";
    let answer = log_in(&server, own, r#"{"key":"correct-horse"}"#);
    assert!(answer.header("set-cookie").unwrap().ends_with("; Secure"), "{answer:?}");
}

#[test]
fn without_the_key_there_is_no_session() {
    let server = server(Some("correct-horse"));
    let too_long = format!(r#"{{"key":"{}"}}"#, "x".repeat(5000));
    for (body, status) in [
        (r#"{"key":"wrong-horse"}"#, 401),
        (r#"{"key":""}"#, 401),
        (r#"{"key":7}"#, 422),
        ("{}", 422),
        ("", 422),
        (&too_long, 413),
    ] {
        let answer = log_in(&server, "", body);
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert_eq!(answer.header("set-cookie"), None);
        answer.detail();
    }
    let foreign = "\nOrigin: http://evil.example";
    assert_eq!(log_in(&server, foreign, r#"{"key":"correct-horse"}"#).status, 403);
    // Where no key is set, nothing is the key.
    let keyless = self::server(None);
    assert_eq!(log_in(&keyless, "", r#"{"key":""}"#).status, 401);
}
