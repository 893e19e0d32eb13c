//! `/v1/events`: following, resuming, and who is left behind.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use keepsight::{
    api::{Drained, EventKind, EventLog, HttpServer},
    config::ServerLimits,
};
use keepsight_contract::Response;
use serde_json::{Map, Value, json};

use super::{
    client::{Client, get},
    exposition::Samples,
    fake_backend::FakeBackend,
};
use crate::support::{Script, Site, Switch, gate::LONGEST, test_source::Behaviour};

/// Somebody who follows the events.
struct Follower {
    client: Client,
    blocks: VecDeque<String>,
    text: String,
}

/// One event as it was sent.
#[derive(Debug)]
struct Sent {
    id: Option<String>,
    kind: String,
    data: Value,
}

impl Follower {
    /// Follows `path`, with header lines after it; waits for the beginning of the answer.
    #[track_caller]
    fn new(address: SocketAddr, path: &str) -> Self {
        let mut client = Client::connect(address);
        let answer = client.request(&format!("GET {path}"), "");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let mut follower = Self { client, blocks: VecDeque::new(), text: String::new() };
        let first = follower.block().unwrap();
        assert!(first.starts_with("retry: 2000\nid: "), "{first:?}");
        follower
    }

    /// The next lines up to an empty one; `None` at the end.
    fn block(&mut self) -> Option<String> {
        while self.blocks.is_empty() {
            self.text.push_str(&self.client.chunk()?);
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                self.blocks.push_back(block.to_owned());
                self.text = rest.to_owned();
            }
        }
        self.blocks.pop_front()
    }

    /// The next event; `None` at the end. Signs of life are read over.
    fn next(&mut self) -> Option<Sent> {
        loop {
            let block = self.block()?;
            let field = |name: &str| {
                let line = block.lines().find_map(|line| line.strip_prefix(name));
                line.map(str::to_owned)
            };
            if let Some(kind) = field("event: ") {
                let data = serde_json::from_str(&field("data: ").unwrap()).unwrap();
                return Some(Sent { id: field("id: "), kind, data });
            }
        }
    }

    /// Reads on until an event is as wanted.
    #[track_caller]
    fn await_event(&mut self, wanted: impl Fn(&Sent) -> bool) -> Sent {
        loop {
            let sent = self.next().expect("the events go on");
            if wanted(&sent) {
                return sent;
            }
        }
    }
}

fn publish(log: &EventLog, plugin: &str, index: u64) {
    let data = Map::from_iter([("index".to_owned(), index.into())]);
    log.publish(EventKind::Fault, Some(plugin), Some("door"), data);
}

fn server(limits: impl FnOnce(&mut ServerLimits)) -> (HttpServer, Arc<EventLog>) {
    let backend = FakeBackend::default();
    let log = backend.events.clone();
    (backend.serve_with(|config| limits(&mut config.limits)), log)
}

#[test]
fn followers_have_what_happens_from_then_on() {
    let (server, log) = server(|_| {});
    publish(&log, "early", 0);
    let mut all = Follower::new(server.address(), "/v1/events");
    let mut some = Follower::new(server.address(), "/v1/events?plugin=b&stream=door");
    let mut none = Follower::new(server.address(), "/v1/events?stream=yard");
    publish(&log, "a", 1);
    publish(&log, "b", 2);
    for (plugin, index) in [("a", 1), ("b", 2)] {
        let sent = all.next().unwrap();
        assert_eq!(sent.kind, "fault");
        let data = &sent.data;
        assert_eq!((&data["plugin"], &data["index"]), (&json!(plugin), &json!(index)));
        assert_eq!(data["stream"], "door");
        assert!(data["time"].as_str().unwrap().ends_with('Z'), "{data}");
    }
    assert_eq!(some.next().unwrap().data["index"], 2);
    log.publish(EventKind::StreamState, None, Some("yard"), Map::new());
    assert_eq!(none.next().unwrap().kind, "stream_state");
}

#[test]
fn whoever_comes_back_goes_on_where_they_were() {
    let (server, log) = server(|_| {});
    let mut first = Follower::new(server.address(), "/v1/events");
    for index in 1..=3 {
        publish(&log, "a", index);
    }
    let id = first.next().unwrap().id.unwrap();
    drop(first);
    let mut second = Follower::new(server.address(), &format!("/v1/events\nLast-Event-ID: {id}"));
    for index in 2..=3 {
        let sent = second.next().unwrap();
        assert_eq!((sent.kind.as_str(), &sent.data["index"]), ("fault", &json!(index)));
    }
}

#[test]
fn what_the_log_no_longer_holds_is_a_gap() {
    let (server, log) = server(|_| {});
    let mut first = Follower::new(server.address(), "/v1/events");
    publish(&log, "a", 1);
    let id = first.next().unwrap().id.unwrap();
    drop(first);
    let length = EventLog::LENGTH as u64;
    for index in 2..=length + 5 {
        publish(&log, "a", index);
    }
    let head = format!("/v1/events\nLast-Event-ID: {id}");
    let mut late = Follower::new(server.address(), &head);
    let gap = late.next().unwrap();
    assert_eq!((gap.kind.as_str(), &gap.data), ("gap", &json!({ "missed": 4 })));
    assert_eq!(gap.id, None);
    assert_eq!(late.next().unwrap().data["index"], 6);

    // An id of another life of the process: nobody knows how much is missing.
    let mut stranger = Follower::new(server.address(), "/v1/events\nLast-Event-ID: 00000000-3");
    let gap = stranger.next().unwrap();
    assert_eq!((gap.kind.as_str(), &gap.data), ("gap", &json!({ "missed": null })));
    assert_eq!(stranger.next().unwrap().data["index"], 6);
}

#[test]
fn an_id_of_another_life_of_the_process_is_a_gap() {
    let (before, log) = server(|_| {});
    let mut first = Follower::new(before.address(), "/v1/events");
    publish(&log, "a", 1);
    let id = first.next().unwrap().id.unwrap();
    drop((first, before));

    // Another process may have come as far by now.
    let (after, log) = server(|_| {});
    (1..=3).for_each(|index| publish(&log, "a", index));
    let mut again = Follower::new(after.address(), &format!("/v1/events\nLast-Event-ID: {id}"));
    let gap = again.next().unwrap();
    assert_eq!((gap.kind.as_str(), &gap.data), ("gap", &json!({ "missed": null })));
    for index in 1..=3 {
        assert_eq!(again.next().unwrap().data["index"], index);
    }
}

#[test]
fn a_plugin_that_chatters_pushes_out_nobody_else() {
    Script::default()
        .init(|host| {
            (0..3 * EventLog::LENGTH).for_each(|index| host.event("chatter", json!(index)));
            Ok(())
        })
        .named("chatty");
    Script::default().init(|_| panic!("as told")).named("not-chatty");
    let site = Site::start(
        "[plugins.chatty]\nuse = \"scripted\"\nconfig = { script = \"chatty\" }\n\
         [plugins.quiet]\nuse = \"scripted\"\nconfig = { script = \"not-chatty\" }",
    );
    site.await_state("chatty", "INITIALIZED");
    site.await_state("quiet", "FAILED");
    assert_eq!(site.post("/v1/plugins/chatty/reload", "").0, 200);
    let everything = "\nLast-Event-ID: beginning";
    for plugin in ["quiet", "chatty"] {
        let head = format!("/v1/events?plugin={plugin}{everything}");
        let mut follower = Follower::new(site.address(), &head);
        assert_eq!(follower.next().unwrap().kind, "gap");
        // The first thing that ever was told of it.
        let first = follower.await_event(|sent| sent.kind != "plugin_event");
        assert_eq!(first.data["generation"], 1, "{first:?}");
    }
    let mut follower =
        Follower::new(site.address(), &format!("/v1/events?plugin=chatty{everything}"));
    follower.await_event(|sent| sent.data["data"] == json!(3 * EventLog::LENGTH - 1));
}

#[test]
fn signs_of_life_come_while_nothing_happens_and_no_request_limit_counts() {
    let (server, log) = server(|limits| {
        limits.heartbeat = Duration::from_millis(20);
        limits.request_time = Duration::from_millis(20);
    });
    let mut follower = Follower::new(server.address(), "/v1/events?plugin=b");
    publish(&log, "a", 1);
    let mut ids = Vec::new();
    for _ in 0..4 {
        let block = follower.block().unwrap();
        ids.push(
            block.strip_prefix(": alive\nid: ").unwrap_or_else(|| panic!("{block}")).to_owned(),
        );
    }
    publish(&log, "b", 2);
    assert_eq!(follower.next().unwrap().data["index"], 2);
    // Whoever comes back after signs of life alone has missed nothing.
    let head = format!("/v1/events\nLast-Event-ID: {}", ids[3]);
    assert_eq!(Follower::new(server.address(), &head).next().unwrap().data["index"], 2);
}

fn subscribers(address: SocketAddr) -> Option<f64> {
    let text = String::from_utf8(get(address, "/metrics").body).unwrap();
    Samples::parse(&text).value("keepsight_event_subscribers", &[])
}

#[test]
fn followers_are_limited() {
    let (server, _log) = server(|limits| limits.subscribers = 1);
    let address = server.address();
    let first = Follower::new(address, "/v1/events");
    assert_eq!(subscribers(address), Some(1.0));
    let refused = get(address, "/v1/events");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.detail(), "as many subscribers as are allowed follow the events");
    drop(first);
    let end = Instant::now() + LONGEST;
    while get(address, "/v1/events").status != 200 {
        assert!(Instant::now() < end, "the place never became free");
    }
}

#[test]
fn whoever_takes_nothing_is_left_behind_and_nobody_waits() {
    let (server, log) = server(|limits| limits.write_time = Duration::from_millis(100));
    let address = server.address();
    let _slow = Follower::new(address, "/v1/events");
    let reason = "x".repeat(6000);
    let end = Instant::now() + LONGEST;
    while subscribers(address) != Some(0.0) {
        assert!(Instant::now() < end, "it is still there");
        for _ in 0..256 {
            let data = Map::from_iter([("reason".to_owned(), reason.as_str().into())]);
            log.publish(EventKind::Fault, None, None, data);
        }
    }
}

#[test]
fn followers_do_not_keep_a_server_from_stopping() {
    let (server, _log) = server(|_| {});
    let mut follower = Follower::new(server.address(), "/v1/events");
    assert_eq!(server.stop(LONGEST), Drained { cut_off: 0 });
    assert!(follower.next().is_none());
}

#[test]
fn events_are_private() {
    let (server, _log) = server(|_| {});
    let mut client = Client::connect(server.address());
    let head = "GET /v1/events\nOrigin: http://evil.example";
    assert_eq!(client.request(head, "").status, 403);
}

#[test]
fn the_runtime_tells_what_happens() {
    let switch = Switch::named("followed", Behaviour::Gives);
    Script::default()
        .init(|host| {
            host.event("ready", json!({ "answer": 42 }));
            Ok(())
        })
        .run(|request, _| match request.frame() {
            Some(_) => Ok(Response::new()),
            None => panic!("only for frames"),
        })
        .named("followed");
    let site = Site::start(
        "[streams.door]\nsource = \"test:followed\"\nplugins = [\"it\"]\n\
         [plugins.it]\nuse = \"scripted\"\nconfig = { script = \"followed\" }",
    );
    // An id that nobody gave has everything from the beginning.
    let everything = "\nLast-Event-ID: beginning";
    let mut plugin = Follower::new(site.address(), &format!("/v1/events?plugin=it{everything}"));
    let sent = plugin.await_event(|sent| sent.kind == "plugin_event");
    assert_eq!(
        (&sent.data["kind"], &sent.data["data"]),
        (&json!("ready"), &json!({ "answer": 42 }))
    );
    let sent = plugin.await_event(|sent| sent.kind == "plugin_state");
    let (from, state) = (&sent.data["from"], &sent.data["state"]);
    assert_eq!((from, state), (&json!("LOADED"), &json!("INITIALIZED")));
    assert_eq!(sent.data["code"], "lifecycle.initialized");

    assert_eq!(site.run_tool("it", "do", &json!({})).0, 500);
    let sent = plugin.await_event(|sent| sent.kind == "fault");
    assert_eq!((&sent.data["code"], &sent.data["generation"]), (&json!("run.panicked"), &json!(1)));
    assert!(sent.data["location"].as_str().unwrap().contains("events.rs:"), "{sent:?}");

    assert_eq!(site.post("/v1/plugins/it/reload", "").0, 200);
    plugin.await_event(|sent| sent.data["code"] == "lifecycle.reload_asked");
    plugin.await_event(|sent| sent.data["state"] == "INITIALIZED" && sent.data["generation"] == 2);

    let mut stream = Follower::new(site.address(), &format!("/v1/events?stream=door{everything}"));
    stream.await_event(|sent| sent.kind == "stream_state" && sent.data["state"] == "live");
    switch.set(Behaviour::Fails(keepsight_contract::SourceFault::Lost));
    let sent = stream.await_event(|sent| sent.data["state"] == "reconnecting");
    assert_eq!(
        (&sent.data["code"], &sent.data["hint"]),
        (&json!("source.lost"), &json!("ask the test"))
    );
}
