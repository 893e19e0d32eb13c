//! `/v1/streams`, tracks and pictures.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use expect_test::expect;
use keepsight::inspector::{StreamPluginReport, StreamState};
use keepsight_contract::FrameSize;
use serde_json::json;

use super::{
    client::get,
    fake_backend::{FakeBackend, stream, tracked},
};

/// `door` is in `state` with a result captured `age` ago; `yard` has none yet.
fn door(state: StreamState, age: Duration) -> FakeBackend {
    let mut yard = stream("yard", StreamState::Reconnecting);
    yard.reason = Some("no such camera".to_owned());
    yard.plugins.push(StreamPluginReport { plugin: "stats".to_owned(), ..yard.plugins[0].clone() });
    FakeBackend {
        streams: vec![yard, stream("door", state)],
        latest: Arc::new(Mutex::new(BTreeMap::from([("door".to_owned(), tracked(41, age))]))),
        ..FakeBackend::default()
    }
}

#[test]
fn streams_say_where_they_stand() {
    let server = door(StreamState::Live, Duration::ZERO).serve();
    let list = get(server.address(), "/v1/streams").json();
    assert_eq!((&list[0]["name"], &list[1]["name"]), (&json!("door"), &json!("yard")));
    let answer = get(server.address(), "/v1/streams/door");
    assert_eq!((answer.status, &answer.json()), (200, &list[0]));
    assert_eq!(answer.header("access-control-allow-origin"), None);
    expect![[r#"
        {
          "code": null,
          "critical": true,
          "device": "a generated scene",
          "format": "yuyv",
          "frames_dropped": 7,
          "frames_in": 100,
          "hint": null,
          "last_error": "it was unplugged",
          "last_error_at": "1970-01-01T00:16:30.000Z",
          "last_frame_age_seconds": 0.04,
          "memory": null,
          "mode": "newest",
          "name": "door",
          "nominal_rate": 15.0,
          "plugins": [
            {
              "dropped": 7,
              "errors": 1,
              "last_latency_ms": 8.5,
              "plugin": "tracker",
              "processed": 90,
              "state": "running"
            }
          ],
          "rate": 14.5,
          "reason": null,
          "reconnects": 1,
          "since": "1970-01-01T00:16:40.000Z",
          "size": {
            "height": 48,
            "width": 64
          },
          "source": "scene:",
          "source_counters": {
            "frames_damaged": 2
          },
          "state": "live"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&list[0]).unwrap());
}

#[test]
fn tracks_come_with_their_frame() {
    let server = door(StreamState::Live, Duration::from_secs(1)).serve();
    let answer = get(server.address(), "/v1/streams/door/tracks");
    assert_eq!(answer.status, 200);
    let mut body = answer.json();
    let time = body["time"].take();
    assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    let age = body["age_seconds"].take().as_f64().unwrap();
    assert!(age >= 1.0, "{age}");
    expect![[r#"
        {
          "age_seconds": null,
          "latency_ms": 8.5,
          "plugin": "tracker",
          "sequence": 41,
          "size": {
            "height": 48,
            "width": 64
          },
          "state": "live",
          "stream": "door",
          "time": null,
          "tracks": [
            {
              "age_frames": 9,
              "class": "person",
              "class_id": 0,
              "confidence": 0.9,
              "first_sequence": 1,
              "height": 24.0,
              "since_seconds": 0.5,
              "state": "confirmed",
              "track_id": 7,
              "velocity": [
                1.0,
                0.0
              ],
              "width": 32.0,
              "x": 16.0,
              "xyxy": [
                16.0,
                12.0,
                48.0,
                36.0
              ],
              "y": 12.0
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&body).unwrap());

    let chosen = get(server.address(), "/v1/streams/door/tracks?plugin=tracker");
    assert_eq!((chosen.status, &chosen.json()["tracks"]), (200, &body["tracks"]));
}

#[test]
fn what_is_not_there_is_told() {
    let server = door(StreamState::Live, Duration::ZERO).serve();
    for (path, status, detail) in [
        ("/v1/streams/x", 404, "Stream 'x' not found"),
        ("/v1/streams/x/tracks", 404, "Stream 'x' not found"),
        ("/v1/streams/x/snapshot.jpg", 404, "Stream 'x' not found"),
        ("/v1/streams/door/tracks?plugin=y", 404, "Stream 'door' feeds no plugin 'y'"),
        ("/v1/streams/door/snapshot.jpg?plugin=y", 404, "Stream 'door' feeds no plugin 'y'"),
        (
            "/v1/streams/yard/tracks?plugin=stats",
            503,
            "Stream 'yard' is reconnecting and has no result yet: no such camera",
        ),
        (
            "/v1/streams/yard/snapshot.jpg",
            503,
            "Stream 'yard' is reconnecting and has no result yet: no such camera",
        ),
    ] {
        let answer = get(server.address(), path);
        assert_eq!((answer.status, answer.detail().as_str()), (status, detail), "{path}");
    }
}

#[test]
fn a_result_without_tracks_has_none_to_give() {
    let backend = door(StreamState::Live, Duration::ZERO);
    backend.latest.lock().unwrap().get_mut("door").unwrap().response = Default::default();
    let server = backend.serve();
    let answer = get(server.address(), "/v1/streams/door/tracks");
    assert_eq!(
        (answer.status, answer.detail().as_str()),
        (404, "Plugin 'tracker' gives no tracks")
    );
}

#[test]
fn the_picture_has_its_tracks_drawn_on_it() {
    let server = door(StreamState::Live, Duration::ZERO).serve();
    let picture = |path: &str| {
        let answer = get(server.address(), path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/jpeg")));
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let picture = keepsight_jpeg::decode_picture(&answer.body).unwrap();
        assert_eq!(picture.size(), FrameSize::new(64, 48));
        picture.rgb().iter().map(|&sample| u64::from(sample)).sum::<u64>()
    };
    // The frame is black, so all light is the overlay's.
    assert!(picture("/v1/streams/door/snapshot.jpg") > 10_000);
    assert!(picture("/v1/streams/door/snapshot.jpg?plugin=tracker") > 10_000);
    assert_eq!(picture("/v1/streams/door/snapshot.jpg?overlay=0"), 0);
}

#[test]
fn a_picture_is_never_a_frozen_one() {
    for (state, age, detail) in [
        (StreamState::Stalled, 3, "Stream 'door' is stalled"),
        (StreamState::Reconnecting, 3, "Stream 'door' is reconnecting"),
        (StreamState::Ended, 3, "Stream 'door' is ended"),
        (StreamState::Live, 6, "Plugin 'tracker' has not answered to a frame of late"),
    ] {
        let server = door(state, Duration::from_secs(age)).serve();
        let answer = get(server.address(), "/v1/streams/door/snapshot.jpg");
        assert_eq!((answer.status, answer.detail().as_str()), (503, detail));
        let found = answer.json()["age_seconds"].as_f64().unwrap();
        assert!(found >= age as f64, "{found} is not {age}");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
}
