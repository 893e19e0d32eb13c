//! `keepsight run`: it serves until it is asked to end.

use std::net::TcpListener;
#[cfg(all(feature = "scene", feature = "frame-stats"))]
use std::{fs, os::unix::fs::symlink};

#[cfg(all(feature = "scene", feature = "frame-stats"))]
use serde_json::{Value, json};

use super::support::Place;
use crate::support::client;

/// A configuration that needs nothing of this build.
pub(super) const EMPTY: &str = "version = 1\nruntime.limits.shutdown = \"500ms\"\n";

#[test]
fn an_address_that_is_taken_is_said_to_be() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place = Place::new();
    place.write("keepsight.toml", EMPTY);
    place.run(&["run", "--listen", &address]).check(4, &[&address, "is taken", "--listen"]);
}

#[test]
fn a_signal_ends_it_with_success() {
    for name in ["TERM", "INT"] {
        let place = Place::new();
        place.write("keepsight.toml", EMPTY);
        let serving = place.serve(&[]);
        serving.await_get("/v1/health", |health| health["status"] == "healthy");
        serving.signal(name);
        serving.ended().check(0, &[]);
    }
}

#[test]
fn a_client_that_keeps_its_connection_does_not_keep_it_from_ending() {
    let place = Place::new();
    place.write("keepsight.toml", EMPTY);
    let serving = place.serve(&[]);
    let mut idle = client::Client::connect(serving.address());
    assert_eq!(idle.request("GET /livez", "").status, 200);
    let mut begun = client::Client::connect(serving.address());
    begun.send(b"GET /livez HT");
    serving.signal("TERM");
    serving.ended().check(0, &[]);
    assert!(idle.is_closed());
}

#[cfg(all(feature = "scene", feature = "frame-stats"))]
#[test]
fn a_stream_that_runs_is_ended_with_it() {
    let place = Place::new();
    let text = "[plugins.stats]\nuse = \"frame-stats\"\n\
                [streams.scene]\nsource = \"scene:?size=64x48\"\nplugins = [\"stats\"]\n";
    place.write("keepsight.toml", &format!("{EMPTY}{text}"));
    let serving = place.serve(&[]);
    serving.await_get("/v1/streams/scene", |stream| {
        stream["plugins"][0]["processed"].as_u64() > Some(5)
    });
    serving.signal("TERM");
    serving.ended().check(0, &[]);
}

#[cfg(all(feature = "scene", feature = "frame-stats"))]
#[test]
fn a_full_disk_is_told_once_and_written_to_when_there_is_room_again() {
    let place = Place::new();
    let (link, real) = (place.path().join("out.jsonl"), place.path().join("real.jsonl"));
    symlink("/dev/full", &link).unwrap();
    let text = "[plugins.stats]\nuse = \"frame-stats\"\n\
                [streams.scene]\nsource = \"scene:?size=64x48\"\nplugins = [\"stats\"]\n\
                [[outputs]]\nto = \"file:out.jsonl\"\nwhat = [\"json\"]\n";
    place.write("keepsight.toml", &format!("{EMPTY}{text}"));
    let serving = place.serve(&[]);
    let output = |host: &Value| host["outputs"][0].clone();
    // A record that is lost was tried twice.
    let host = serving
        .await_get("/v1/inspector/host", |host| output(host)["records_dropped"].as_u64() > Some(0));
    assert_eq!(
        (&output(&host)["state"], &output(&host)["records_written"]),
        (&json!("failing"), &json!(0))
    );
    fs::remove_file(&link).unwrap();
    symlink(&real, &link).unwrap();
    let host = serving
        .await_get("/v1/inspector/host", |host| output(host)["records_written"].as_u64() > Some(5));
    assert_eq!(output(&host)["state"], "writing");
    serving.signal("TERM");
    let ended = serving.ended();
    ended.check(0, &["No space left", "free some space", "the output works again"]);
    assert_eq!(ended.err.matches("nothing can be written").count(), 1, "{ended}");
    assert!(fs::read_to_string(&real).unwrap().lines().count() > 5);
}

#[cfg(all(feature = "scene", feature = "video-tracker"))]
#[test]
fn without_a_configuration_the_scene_is_tracked() {
    let place = Place::new();
    let serving = place.serve(&[]);
    serving.await_get("/v1/streams", |streams| streams[0]["source"] == "scene:");
    if cfg!(feature = "bundled-model") {
        serving.await_get("/v1/plugins/video-tracker/health", |health| {
            health["state"] == "RUNNING" && health["success_count"].as_u64() > Some(0)
        });
    }
    serving.signal("TERM");
    serving.ended().check(0, &[]);
}

#[cfg(all(feature = "scene", feature = "frame-stats"))]
#[test]
fn a_source_can_be_named_instead_of_a_configuration() {
    let place = Place::new();
    // Not read: were it, the program would not start.
    place.write("keepsight.toml", "nonsense");
    let serving = place.serve(&["--source", "scene:?size=64x48&targets=0"]);
    let stream = &serving.await_get("/v1/streams", |streams| streams[0]["state"] == "live")[0];
    assert_eq!(stream["size"], serde_json::json!({"width": 64, "height": 48}), "{stream:#}");
}

#[cfg(feature = "video-tracker")]
#[test]
fn strictness_ends_it_when_something_is_missing() {
    let text = "version = 1\nruntime.strict = true\n[plugins.eye]\nuse = \"video-tracker\"\n\
                config = { gpu = \"off\", model = \"nowhere/model.onnx\" }\n";
    let place = Place::new();
    place.write("keepsight.toml", text);
    let ended = place.run(&["run", "--listen", "127.0.0.1:0"]);
    ended.check(3, &["\"eye\" is UNAVAILABLE", "nowhere/model.onnx"]);

    // Without it, it serves and says so.
    place.write("keepsight.toml", &text.replace("strict = true", "strict = false"));
    let serving = place.serve(&[]);
    let health =
        serving.await_get("/v1/plugins/eye/health", |health| health["state"] == "UNAVAILABLE");
    assert_eq!(health["code"], "dependency.model_missing");
    serving.signal("TERM");
    serving.ended().check(0, &[]);
}
