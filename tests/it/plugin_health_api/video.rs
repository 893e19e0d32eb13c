//! Live pictures and the tracks that belong to them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use keepsight::{
    api::{Drained, HttpServer, LatestResult, ResultFeed},
    config::ServerLimits,
    inspector::StreamState,
};
use keepsight_contract::FrameSize;
use serde_json::json;

use super::{
    client::{Client, get},
    exposition::Samples,
    fake_backend::{FakeBackend, stream, tracked},
};
use crate::support::{Script, Site, Switch, gate::LONGEST, test_source::Behaviour};

/// A stream whose results a test gives.
struct Door {
    server: HttpServer,
    latest: Arc<Mutex<BTreeMap<String, LatestResult>>>,
    results: Arc<ResultFeed>,
}

/// Somebody who looks at live pictures.
struct Viewer {
    client: Client,
    rest: Vec<u8>,
}

/// One picture as it was sent.
struct Picture {
    sequence: u64,
    jpeg: Vec<u8>,
}

impl Door {
    fn new(configure: impl FnOnce(&mut ServerLimits)) -> Self {
        let backend = FakeBackend {
            streams: vec![stream("door", StreamState::Live)],
            ..FakeBackend::default()
        };
        let (latest, results) = (backend.latest.clone(), backend.results.clone());
        let server = backend.serve_with(|config| configure(&mut config.limits));
        let door = Self { server, latest, results };
        door.gives(1);
        door
    }

    /// The tracker has answered to the frame `sequence`.
    fn gives(&self, sequence: u64) {
        let result = tracked(sequence, Duration::ZERO);
        self.latest.lock().unwrap().insert("door".to_owned(), result.clone());
        let (door, tracker) = ("door".into(), "tracker".into());
        self.results.publish(&door, &tracker, &result.frame, &result.response);
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn metric(&self, name: &str) -> f64 {
        let text = String::from_utf8(get(self.address(), "/metrics").body).unwrap();
        Samples::parse(&text).value(name, &[]).unwrap()
    }
}

impl Viewer {
    #[track_caller]
    fn new(address: SocketAddr, path: &str) -> Self {
        let mut client = Client::connect(address);
        let answer = client.request(&format!("GET {path}"), "");
        assert_eq!(answer.status, 200, "{answer:?}");
        let content_type = "multipart/x-mixed-replace; boundary=frame";
        assert_eq!(answer.header("content-type"), Some(content_type));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        Self { client, rest: Vec::new() }
    }

    /// The next picture; `None` at the end.
    fn next(&mut self) -> Option<Picture> {
        loop {
            let head_end = self.rest.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(head_end) = head_end {
                let head = String::from_utf8(self.rest[..head_end].to_vec()).unwrap();
                assert!(head.starts_with("--frame\r\nContent-Type: image/jpeg\r\n"), "{head:?}");
                let number = |name: &str| -> u64 {
                    let line = head.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                    line.trim_start_matches([':', ' ']).parse().unwrap()
                };
                let end = head_end + 4 + usize::try_from(number("Content-Length")).unwrap();
                if self.rest.len() >= end + 2 {
                    let sequence = number("X-Frame-Sequence");
                    let jpeg = self.rest[head_end + 4..end].to_vec();
                    assert_eq!(self.rest[end..end + 2], *b"\r\n");
                    self.rest.drain(..end + 2);
                    return Some(Picture { sequence, jpeg });
                }
            }
            self.rest.extend(self.client.chunk_bytes()?);
        }
    }

    /// Looks on until a picture of frame `sequence` comes.
    #[track_caller]
    fn await_frame(&mut self, sequence: u64) -> Picture {
        loop {
            let picture = self.next().expect("another picture");
            assert!(picture.sequence <= sequence, "{} came", picture.sequence);
            if picture.sequence == sequence {
                return picture;
            }
        }
    }
}

fn light(jpeg: &[u8]) -> u64 {
    let picture = keepsight_jpeg::decode_picture(jpeg).unwrap();
    assert_eq!(picture.size(), FrameSize::new(64, 48));
    picture.rgb().iter().map(|&sample| u64::from(sample)).sum()
}

const VIDEO: &str = "/v1/streams/door/video.mjpeg";

#[test]
fn pictures_come_as_results_do() {
    let door = Door::new(|_| {});
    let mut drawn = Viewer::new(door.address(), VIDEO);
    let mut plain = Viewer::new(door.address(), &format!("{VIDEO}?overlay=0&plugin=tracker"));
    // The frame is black, so all light is the overlay's.
    assert!(light(&drawn.await_frame(1).jpeg) > 10_000);
    assert_eq!(light(&plain.await_frame(1).jpeg), 0);
    door.gives(2);
    drawn.await_frame(2);
    plain.await_frame(2);
}

#[test]
fn a_picture_is_encoded_once_for_all_who_look() {
    let door = Door::new(|_| {});
    let mut viewers: Vec<_> = (0..20).map(|_| Viewer::new(door.address(), VIDEO)).collect();
    for viewer in &mut viewers {
        viewer.await_frame(1);
    }
    for sequence in 2..=10 {
        door.gives(sequence);
        for viewer in &mut viewers {
            viewer.await_frame(sequence);
        }
    }
    assert_eq!(door.metric("keepsight_viewers"), 20.0);
    assert_eq!(door.metric("keepsight_pictures_encoded_total"), 10.0);
}

#[test]
fn nothing_is_encoded_while_nobody_looks() {
    let door = Door::new(|_| {});
    let mut viewer = Viewer::new(door.address(), VIDEO);
    viewer.await_frame(1);
    drop(viewer);
    let end = Instant::now() + LONGEST;
    while door.metric("keepsight_viewers") > 0.0 {
        assert!(Instant::now() < end, "the viewer is still there");
        // Only by writing to it is a client noticed to be gone.
        door.gives(2);
    }
    let before = door.metric("keepsight_pictures_encoded_total");
    door.gives(3);
    // Whoever comes now sees the newest, which is the first that is encoded again.
    Viewer::new(door.address(), VIDEO).await_frame(3);
    assert_eq!(door.metric("keepsight_pictures_encoded_total"), before + 1.0);
}

#[test]
fn viewers_are_limited_and_their_place_becomes_free() {
    let door = Door::new(|limits| limits.viewers = 1);
    let first = Viewer::new(door.address(), VIDEO);
    let refused = get(door.address(), VIDEO);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.detail(), "as many viewers as are allowed look at live pictures");
    drop(first);
    let end = Instant::now() + LONGEST;
    let mut sequence = 1;
    while door.metric("keepsight_viewers") > 0.0 {
        assert!(Instant::now() < end, "the place never became free");
        sequence += 1;
        door.gives(sequence);
    }
    Viewer::new(door.address(), VIDEO);
}

#[test]
fn a_viewer_who_takes_nothing_is_dropped_and_nobody_waits_for_it() {
    let door = Door::new(|limits| limits.write_time = Duration::from_millis(100));
    let _slow = Viewer::new(door.address(), VIDEO);
    let mut quick = Viewer::new(door.address(), &format!("{VIDEO}?overlay=0"));
    let end = Instant::now() + LONGEST;
    for sequence in 2.. {
        door.gives(sequence);
        quick.await_frame(sequence);
        if door.metric("keepsight_viewers") == 1.0 {
            break;
        }
        assert!(Instant::now() < end, "it is still there");
    }
}

#[test]
fn what_is_not_live_has_no_video() {
    let server = FakeBackend {
        streams: vec![stream("door", StreamState::Reconnecting)],
        latest: Arc::new(Mutex::new(BTreeMap::from([(
            "door".to_owned(),
            tracked(1, Duration::ZERO),
        )]))),
        ..FakeBackend::default()
    }
    .serve();
    let answer = get(server.address(), VIDEO);
    assert_eq!((answer.status, answer.detail().as_str()), (503, "Stream 'door' is reconnecting"));
    assert_eq!(get(server.address(), "/v1/streams/x/video.mjpeg").status, 404);
    let other = get(server.address(), &format!("{VIDEO}?plugin=y"));
    assert_eq!(other.detail(), "Stream 'door' feeds no plugin 'y'");
}

#[test]
fn viewers_do_not_keep_a_server_from_stopping() {
    let door = Door::new(|_| {});
    let mut viewer = Viewer::new(door.address(), VIDEO);
    viewer.await_frame(1);
    assert_eq!(door.server.stop(LONGEST), Drained { cut_off: 0 });
    assert!(viewer.next().is_none());
}

#[test]
fn video_ends_with_its_stream_and_comes_back_with_it() {
    let switch = Switch::named("filmed", Behaviour::Gives);
    Script::default().named("filmed");
    let site = Site::start(
        "[streams.door]\nsource = \"test:filmed\"\nplugins = [\"it\"]\n\
         [plugins.it]\nuse = \"scripted\"\nconfig = { script = \"filmed\" }",
    );
    site.await_stream("door", |stream| stream["plugins"][0]["processed"] != json!(0));
    let mut viewer = Viewer::new(site.address(), VIDEO);
    let first = viewer.next().unwrap().sequence;
    assert!(viewer.next().unwrap().sequence > first);
    switch.set(Behaviour::Fails(keepsight_contract::SourceFault::Lost));
    while viewer.next().is_some() {}
    assert_eq!(get(site.address(), VIDEO).status, 503);
    switch.set(Behaviour::Gives);
    site.await_stream("door", |stream| stream["state"] == "live");
    let end = Instant::now() + LONGEST;
    while get_status(site.address()) != 200 {
        assert!(Instant::now() < end, "no picture came back");
    }
}

fn get_status(address: SocketAddr) -> u16 {
    Client::connect(address).request(&format!("GET {VIDEO}"), "").status
}

#[test]
fn followers_are_told_the_tracks_of_each_frame() {
    let door = Door::new(|_| {});
    let mut client = Client::connect(door.address());
    assert_eq!(client.request("GET /v1/events?stream=door", "").status, 200);
    let first = client.chunk().unwrap();
    assert!(first.starts_with("retry: "), "{first:?}");
    let mut text = String::new();
    for sequence in 2..=4_u64 {
        door.gives(sequence);
        while !text.contains(&format!("\"sequence\":{sequence},")) {
            text.push_str(&client.chunk().unwrap());
        }
    }
    let last = text.trim_end().rsplit("event: tracks\ndata: ").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!((&data["stream"], &data["plugin"]), (&json!("door"), &json!("tracker")));
    assert_eq!(data["size"], json!({ "width": 64, "height": 48 }));
    assert_eq!(data["tracks"][0]["track_id"], 7);
    assert_eq!(data["tracks"][0]["xyxy"], json!([16.0, 12.0, 48.0, 36.0]));
    // They are of now: whoever comes back resumes with what happened, not with old tracks.
    assert!(!text.contains("id: "), "{text}");
}
