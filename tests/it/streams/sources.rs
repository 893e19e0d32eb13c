//! What a source does wrong is its stream's state, and never the end.

use std::sync::Arc;

use keepsight::{runtime::StartError, streams::StreamError};
use keepsight_contract::{SourceFault, testing};
use serde_json::json;

use crate::support::{Behaviour, Gate, Site, Switch, client::get};

fn start(source: &str) -> Site {
    Site::start(&format!(
        "[plugins.p]
         use = \"scripted\"
         config = {{ script = \"\" }}
         [streams.s]
         source = \"test:{source}\"
         plugins = [\"p\"]"
    ))
}

#[test]
fn a_live_stream_runs_its_plugins_and_says_so() {
    let site = start("live");
    let report = site.await_stream("s", |report| report["plugins"][0]["processed"] != 0);
    assert_eq!(report["state"], "live");
    assert_eq!(report["plugins"][0]["state"], "running");
    let health = site.await_state("p", "RUNNING");
    assert_eq!(health["streams"], json!({"s": "running"}));
    assert_eq!(health["waiting_for"], json!([]));
}

#[test]
fn a_source_that_is_not_there_is_tried_again_and_found() {
    let switch = Switch::named("later", Behaviour::Fails(SourceFault::NotFound));
    let site = start("later");
    let report = site.await_stream("s", |report| report["state"] == "reconnecting");
    assert_eq!(report["code"], "source.not_found");
    assert_eq!(report["reason"], "the test says so");
    assert_eq!(report["hint"], "ask the test");
    let health = site.await_state("p", "INITIALIZED");
    assert_eq!(health["waiting_for"], json!(["s"]), "a missing camera is no fault of the plugin");

    switch.set(Behaviour::Gives);
    let report = site.await_stream("s", |report| report["state"] == "live");
    assert_eq!(report["reason"], json!(null));
    assert!(report["reconnects"].as_u64().unwrap() >= 1);
    site.await_health("p", |health| health["waiting_for"] == json!([]));
}

#[test]
fn a_source_that_is_lost_is_closed_and_opened_again() {
    let switch = Switch::named("lost", Behaviour::Gives);
    let site = start("lost");
    site.await_stream("s", |report| report["state"] == "live");
    switch.set(Behaviour::Fails(SourceFault::Lost));
    site.await_stream("s", |report| report["code"] == "source.lost");
    switch.set(Behaviour::Gives);
    let report = site.await_stream("s", |report| report["state"] == "live");
    assert!(report["reconnects"].as_u64().unwrap() >= 1, "{report:#}");
    assert_eq!(switch.open_count(), 1);
}

#[test]
fn a_driver_that_panics_is_contained_and_tried_again() {
    let switch = Switch::named("panics", Behaviour::Panics);
    let site = start("panics");
    let report = site.await_stream("s", |report| report["state"] == "reconnecting");
    assert_eq!(report["code"], "source_open.panicked", "{report:#}");
    assert!(report["reason"].as_str().unwrap().contains("the test's driver panics"));
    switch.set(Behaviour::Gives);
    site.await_stream("s", |report| report["state"] == "live");
}

#[test]
fn a_source_that_gives_nothing_is_stalled() {
    let switch = Switch::named("silent", Behaviour::Gives);
    let site = start("silent");
    site.await_stream("s", |report| report["state"] == "live");
    switch.set(Behaviour::Silent);
    let report = site.await_stream("s", |report| report["state"] == "stalled");
    assert_eq!(report["code"], "source.stalled");
    switch.set(Behaviour::Gives);
    site.await_stream("s", |report| report["state"] == "live");
}

#[test]
fn a_picture_that_never_changes_is_no_live_camera() {
    let same = testing::frames::gray(16, 8, |x, y| (x * y) as u8);
    let frozen = Arc::new(move |_| same.clone());
    let switch = Switch::named("frozen", Behaviour::Gives);
    let site = Site::start(
        "[plugins.p]
         use = \"scripted\"
         config = { script = \"\" }
         [streams.s]
         source = \"test:frozen\"
         frozen_after = \"200ms\"
         plugins = [\"p\"]",
    );
    site.await_stream("s", |report| report["state"] == "live");
    switch.set(Behaviour::GivesMade(frozen));
    let report = site.await_stream("s", |report| report["state"] == "stalled");
    assert_eq!(report["code"], "source.frozen");
    assert!(report["reason"].as_str().unwrap().contains("not changed by a single byte"));
    assert!(report["hint"].as_str().unwrap().contains("frozen_after"), "{report:#}");
    let frozen = |value: &str| format!("keepsight_stream_frozen{{stream=\"s\"}} {value}\n");
    let metrics = || get(site.address(), "/metrics");
    assert!(String::from_utf8(metrics().body).unwrap().contains(&frozen("1")));
    // Frames still come and are worked on; no picture of them is shown as one of now.
    let before = report["plugins"][0]["processed"].as_u64().unwrap();
    site.await_stream("s", |report| report["plugins"][0]["processed"].as_u64() > Some(before + 5));
    assert_eq!(get(site.address(), "/v1/streams/s/snapshot.jpg").status, 503);
    switch.set(Behaviour::Gives);
    let report = site.await_stream("s", |report| report["state"] == "live");
    assert_eq!((&report["code"], &report["reconnects"]), (&json!(null), &json!(0)));
    assert!(String::from_utf8(metrics().body).unwrap().contains(&frozen("0")));
}

#[test]
fn a_file_may_show_the_same_for_as_long_as_it_likes() {
    let same = testing::frames::gray(16, 8, |_, _| 7);
    Switch::named("still", Behaviour::GivesMade(Arc::new(move |_| same.clone())));
    let site = Site::start(
        "[plugins.p]
         use = \"scripted\"
         config = { script = \"\" }
         [streams.s]
         source = \"test:still?frames=100\"
         frozen_after = \"1ms\"
         mode = \"every\"
         plugins = [\"p\"]",
    );
    let report = site.await_stream("s", |report| report["plugins"][0]["state"] == "closed");
    assert_eq!((&report["state"], &report["code"]), (&json!("ended"), &json!(null)));
}

#[test]
fn a_driver_that_hangs_holds_up_neither_health_nor_the_end() {
    let gate = Gate::default();
    Switch::named("hangs", Behaviour::Hangs(gate.clone()));
    let site = start("hangs");
    gate.await_waiting(1);
    assert_eq!(site.stream("s")["state"], "opening");
    site.await_state("p", "INITIALIZED");
    gate.open();
    site.await_stream("s", |report| report["state"] == "live");
}

#[test]
fn a_wrong_address_is_not_tried_again() {
    let site = start("wrong?speed=9");
    let report = site.await_stream("s", |report| report["state"] == "failed");
    assert_eq!(report["code"], "source.invalid");
    assert!(report["reason"].as_str().unwrap().contains("speed"), "{report:#}");
}

#[test]
fn a_file_ends_and_every_frame_was_seen() {
    let site = Site::start(
        "[plugins.p]
         use = \"scripted\"
         config = { script = \"\" }
         [streams.s]
         source = \"test:file?frames=500\"
         mode = \"every\"
         plugins = [\"p\"]",
    );
    let report = site.await_stream("s", |report| report["plugins"][0]["state"] == "closed");
    assert_eq!(report["state"], "ended");
    assert_eq!(report["plugins"][0]["processed"], 500);
    assert_eq!(report["frames_dropped"], 0);
}

#[test]
fn what_can_not_be_opened_by_this_build_refuses_the_start() {
    for (stream, message) in [
        ("source = \"rtsp://x\"\nplugins = [\"p\"]", "opens no rtsp: sources; it knows test"),
        (
            "source = \"test:x\"\nplugins = [\"p\"]\nsettings = { p = { script = \"other\" } }",
            "`script` can't differ by stream",
        ),
        ("source = \"test:x\"\nplugins = [\"p\"]\nsettings = { p = { colour = 1 } }", "colour"),
    ] {
        let toml = format!(
            "[plugins.p]\nuse = \"scripted\"\nconfig = {{ script = \"\" }}\n[streams.s]\n{stream}"
        );
        let error = Site::try_start(&toml, Vec::new()).err().expect(message);
        assert!(matches!(error, StartError::Stream(_)), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn plugins_that_would_never_get_what_they_work_on_refuse_the_start() {
    for (order, message) in [
        ("\"second\"", "works on json, which no other plugin of the stream gives"),
        ("\"second\", \"first\"", "\"first\" gives behind it; name \"first\" first"),
    ] {
        let toml = format!(
            "[plugins.first]
             use = \"scripted\"
             config = {{ script = \"\" }}
             [plugins.second]
             use = \"following\"
             config = {{ script = \"\" }}
             [streams.s]
             source = \"test:x\"
             plugins = [{order}]"
        );
        let error = Site::try_start(&toml, Vec::new()).err().expect(message);
        assert_eq!(error.to_string(), "stream \"s\"");
        let StartError::Stream(StreamError::Wiring { source, .. }) = error else {
            panic!("{error}");
        };
        assert!(source.to_string().contains(message), "{source}");
    }
}
