//! What a client may take: bytes, time, connections, calls.

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use keepsight::{
    api::{HttpServer, ToolOutcome},
    config::ServerLimits,
    lifecycle::LifecycleState,
};
use keepsight_contract::Response;

use super::{
    client::{Client, get, post, request},
    fake_backend::{FakeBackend, plugin},
};

const RUN: &str = "/v1/plugins/looker/tools/look/run";

fn server(limits: impl FnOnce(&mut ServerLimits)) -> HttpServer {
    blocking_server(limits, None)
}

/// A call waits for a message through `gate`, if there is one.
fn blocking_server(
    limits: impl FnOnce(&mut ServerLimits),
    gate: Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>,
) -> HttpServer {
    let gate = gate.map(|(entered, released)| (entered, Mutex::new(released)));
    let backend = FakeBackend {
        plugins: vec![plugin("looker", LifecycleState::Initialized)],
        run: Box::new(move |_, _| {
            if let Some((entered, released)) = &gate {
                entered.send(()).unwrap();
                let _ = released.lock().unwrap().recv();
            }
            Ok(ToolOutcome { response: Arc::new(Response::new()), took: Duration::ZERO })
        }),
        ..FakeBackend::default()
    };
    backend.serve_with(|config| limits(&mut config.limits))
}

#[test]
fn header_bytes_are_limited() {
    let server = server(|limits| limits.header_bytes = 1000);
    let head = |bytes| format!("GET /livez\nx-filler: {}", "x".repeat(bytes));
    assert_eq!(request(server.address(), &head(800), "").status, 200);
    let answer = request(server.address(), &head(1000), "");
    assert_eq!(answer.status, 431);
    assert_eq!(answer.detail(), "the request's head has more than 1000 bytes or 64 lines");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("connection"), Some("close"));

    // Whoever goes on sending gets to see the answer all the same.
    let mut client = Client::connect(server.address());
    client.send(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx-filler: ");
    client.try_send(&[b'x'; 1 << 20]);
    assert_eq!(client.receive().unwrap().status, 431);
}

#[test]
fn header_lines_are_limited() {
    let server = server(|limits| limits.headers = 10);
    let head = |lines: usize| format!("GET /livez{}", "\nx: y".repeat(lines));
    // The host is one more.
    assert_eq!(request(server.address(), &head(9), "").status, 200);
    let answer = request(server.address(), &head(10), "");
    assert_eq!(answer.status, 431);
    assert_eq!(answer.detail(), "the request's head has more than 16384 bytes or 10 lines");
}

#[test]
fn headers_must_come_in_time() {
    let server = server(|limits| limits.header_time = Duration::from_millis(100));
    let mut client = Client::connect(server.address());
    client.send(b"GET /livez HTTP/1.1\r\nhost: local");
    let answer = client.receive().unwrap();
    assert_eq!(answer.status, 408);
    assert_eq!(answer.detail(), "the request's head did not come within 100ms");
    assert!(client.is_closed());

    // A connection that asks nothing more is closed too.
    let mut client = Client::connect(server.address());
    assert_eq!(client.request("GET /livez", "").status, 200);
    assert!(client.is_closed());
}

#[test]
fn bodies_are_limited_whether_they_say_their_size_or_not() {
    let server = server(|limits| limits.body_bytes = 2000);
    let filled = |bytes: usize| format!(r#"{{"args":{{"x":"{}"}}}}"#, "x".repeat(bytes));
    assert_eq!(post(server.address(), RUN, &filled(1900)).status, 200);
    let answer = post(server.address(), RUN, &filled(2000));
    assert_eq!(answer.status, 413);
    assert_eq!(answer.detail(), "the body is longer than 2000 bytes");

    let head =
        format!("POST {RUN} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut client = Client::connect(server.address());
    client.send(head.as_bytes());
    let body = filled(3000);
    client.try_send(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes());
    assert_eq!(client.receive().unwrap().status, 413);
}

#[test]
fn a_body_that_is_too_big_is_refused_before_it_is_sent() {
    let server = server(|limits| limits.body_bytes = 2000);
    let mut client = Client::connect(server.address());
    let head = "host: localhost\r\nexpect: 100-continue\r\ncontent-length: 1000000";
    client.send(format!("POST {RUN} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes());
    assert_eq!(client.receive().unwrap().status, 413);
    assert!(client.is_closed());
}

#[test]
fn bodies_must_come_in_time() {
    let server = server(|limits| limits.body_time = Duration::from_millis(100));
    let mut client = Client::connect(server.address());
    client.send(
        format!("POST {RUN} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{{").as_bytes(),
    );
    let answer = client.receive().unwrap();
    assert_eq!(answer.status, 408);
    assert_eq!(answer.detail(), "the body did not come within 100ms");
}

#[test]
fn a_bodys_time_is_part_of_the_requests() {
    let server = server(|limits| limits.request_time = Duration::from_millis(100));
    let mut client = Client::connect(server.address());
    let head = "host: localhost\r\ncontent-length: 9";
    client.send(format!("POST {RUN} HTTP/1.1\r\n{head}\r\n\r\n{{").as_bytes());
    assert_eq!(client.receive().unwrap().status, 408);
}

#[test]
fn answers_must_come_in_time() {
    let (entered, _entries) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let limits = |limits: &mut ServerLimits| limits.request_time = Duration::from_millis(100);
    let server = blocking_server(limits, Some((entered, released)));
    let answer = post(server.address(), RUN, r#"{"args":{}}"#);
    assert_eq!((answer.status, answer.detail().as_str()), (408, "no answer within 100ms"));
    drop(release);
}

#[test]
fn calls_are_limited_and_health_answers_all_the_same() {
    let (entered, entries) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let server = blocking_server(|limits| limits.calls = 1, Some((entered, released)));
    let address = server.address();
    thread::scope(|scope| {
        let first = scope.spawn(move || post(address, RUN, r#"{"args":{}}"#).status);
        entries.recv_timeout(Duration::from_secs(20)).unwrap();
        let second = post(address, RUN, r#"{"args":{}}"#);
        assert_eq!((second.status, second.header("retry-after")), (503, Some("1")));
        assert_eq!(get(address, "/v1/plugins").status, 200);
        assert_eq!(get(address, "/v1/inspector/host").status, 200);
        release.send(()).unwrap();
        assert_eq!(first.join().unwrap(), 200);
    });
}

#[test]
fn connections_are_limited() {
    let server = server(|limits| limits.connections = 2);
    let mut open: Vec<_> = (0..2).map(|_| Client::connect(server.address())).collect();
    for client in &mut open {
        assert_eq!(client.request("GET /livez", "").status, 200);
    }
    let refused = get(server.address(), "/livez");
    assert_eq!(refused.status, 503);
    assert_eq!(refused.detail(), "as many connections as allowed are open");
    assert_eq!(refused.header("retry-after"), Some("1"));
    open.pop();
    // The server learns of the free place by itself; until then it goes on refusing.
    let until = Instant::now() + Duration::from_secs(20);
    while get(server.address(), "/livez").status != 200 {
        assert!(Instant::now() < until, "the place never became free");
    }
}
