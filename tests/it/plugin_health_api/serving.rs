//! Starting, stopping, and several requests on a connection.

use std::{
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use keepsight::{
    api::{Drained, HttpServer, ServeError, ToolOutcome},
    config::ServerConfig,
    lifecycle::LifecycleState,
};
use keepsight_contract::Response;

use super::{
    client::{Client, get, post},
    fake_backend::{FakeBackend, plugin},
};

const RUN: &str = "/v1/plugins/looker/tools/look/run";

#[track_caller]
fn check_refused(listen: &str, fits: impl Fn(&ServeError) -> bool, remedy: &str) {
    let config = ServerConfig { listen: listen.parse().unwrap(), ..ServerConfig::default() };
    let error = HttpServer::start(&config, Arc::new(FakeBackend::default()))
        .err()
        .expect("the address cannot be had");
    assert!(fits(&error), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(remedy) && !text.contains('\n'), "{text}");
}

#[test]
fn an_address_that_cannot_be_had_is_told_with_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let fits = |error: &ServeError| matches!(error, ServeError::AddressTaken { .. });
    check_refused(&address, fits, &format!("{address} is taken: stop what listens there"));
    // An address for documentation, which no machine has.
    let fits = |error: &ServeError| matches!(error, ServeError::NoSuchAddress { .. });
    check_refused("192.0.2.1:0", fits, "this machine has no address 192.0.2.1");
}

#[test]
fn a_connection_carries_several_requests() {
    let server = FakeBackend::default().serve();
    let mut client = Client::connect(server.address());
    assert_eq!(client.request("GET /livez", "").status, 200);
    assert_eq!(client.request("GET /nowhere", "a body that nobody wants").status, 404);
    assert_eq!(client.request("POST /livez", "another").status, 405);
    assert_eq!(client.request("GET /livez", "").status, 200);
}

#[test]
fn what_is_not_http_ends_the_connection_and_no_more() {
    let server = FakeBackend::default().serve();
    for bytes in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\x00b\r\n\r\n",
    ] {
        let mut client = Client::connect(server.address());
        client.send(bytes);
        let answer = client.receive().unwrap_or_else(|| panic!("{}", bytes.escape_ascii()));
        assert_eq!(answer.status, 400, "{}", bytes.escape_ascii());
        assert_eq!(answer.detail(), "that is no request of HTTP/1.1");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert!(client.is_closed());
    }
    // What went before it is answered as ever.
    let mut client = Client::connect(server.address());
    assert_eq!(client.request("GET /livez", "").status, 200);
    client.send(b"and now for something else\r\n\r\n");
    assert_eq!(client.receive().unwrap().status, 400);
    assert_eq!(get(server.address(), "/livez").status, 200);
}

#[test]
fn what_is_no_name_leads_nowhere() {
    let server = FakeBackend::default().serve();
    for (path, detail) in [
        ("/../../etc/passwd", "Not Found"),
        ("/%2e%2e/%2e%2e/etc/passwd", "Not Found"),
        ("/v1/plugins/../../etc/passwd", "Not Found"),
        ("/v1/plugins/..%2f..%2fetc/health", "Plugin '../../etc' not found"),
        ("/v1/plugins/%00%0d%0a/health", "Plugin '\0\r\n' not found"),
        ("/v1/plugins/%ff/health", "Not Found"),
        ("/v1/plugins/%/health", "Not Found"),
        ("/v1/plugins//health", "Not Found"),
        ("/v1/plugins/%3Cscript%3E/health", "Plugin '<script>' not found"),
        ("/v1/streams/..%2f..%2fetc%2fpasswd/snapshot.jpg", "Stream '../../etc/passwd' not found"),
        ("/v1/inspector/plugins/..", "Plugin '..' not found"),
        ("//livez", "Not Found"),
        ("*", "Not Found"),
    ] {
        let answer = get(server.address(), path);
        assert_eq!((answer.status, answer.detail().as_str()), (404, detail), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
}

/// A server whose calls wait for the channel that comes with it, after telling that they began.
fn held() -> (HttpServer, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (entered, entries) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let backend = FakeBackend {
        plugins: vec![plugin("looker", LifecycleState::Initialized)],
        run: Box::new(move |_, _| {
            entered.send(()).unwrap();
            let _ = released.lock().unwrap().recv();
            Ok(ToolOutcome { response: Arc::new(Response::new()), took: Duration::ZERO })
        }),
        ..FakeBackend::default()
    };
    (backend.serve(), entries, release)
}

#[test]
fn stopping_gives_the_answers_under_way() {
    let (server, entries, release) = held();
    let address = server.address();
    let mut idle = Client::connect(address);
    assert_eq!(idle.request("GET /livez", "").status, 200);
    thread::scope(|scope| {
        let caller = scope.spawn(move || post(address, RUN, r#"{"args":{}}"#).status);
        entries.recv_timeout(Duration::from_secs(20)).unwrap();
        let stopper = scope.spawn(move || server.stop(Duration::from_secs(20)));
        // The idle connection ends first: from then on the server is stopping.
        assert!(idle.is_closed());
        release.send(()).unwrap();
        assert_eq!(caller.join().unwrap(), 200);
        assert_eq!(stopper.join().unwrap(), Drained { cut_off: 0 });
    });
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn stopping_does_not_wait_for_what_hangs() {
    let (server, entries, release) = held();
    let mut client = Client::connect(server.address());
    let head = "host: localhost\r\ncontent-length: 11";
    client.send(format!("POST {RUN} HTTP/1.1\r\n{head}\r\n\r\n{{\"args\":{{}}}}").as_bytes());
    entries.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(server.stop(Duration::from_millis(50)), Drained { cut_off: 1 });
    assert!(client.receive().is_none());
    drop(release);
}
