//! What hangs does not keep the program from ending when it is asked to.

use std::{path::Path, process::Command};

use super::{running::EMPTY, support::Place};
use crate::support::client;

/// Opening it hangs until somebody writes to it, which nobody does.
fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_plugin_that_hangs_in_init_does_not_keep_it_from_ending() {
    let place = Place::new();
    place.write("model.onnx", "not looked at before its description");
    make_pipe(&place.path().join("model.toml"));
    let text = "[plugins.eye]\nuse = \"video-tracker\"\n\
                config = { gpu = \"off\", model = \"model.onnx\" }\n";
    place.write("keepsight.toml", &format!("{EMPTY}{text}"));
    let serving = place.serve(&[]);
    assert_eq!(serving.get("/v1/plugins/eye/health")["state"], "LOADED");
    let (status, answer) = {
        let answer =
            client::post(serving.address(), "/v1/plugins/eye/tools/track/run", "{\"args\":{}}");
        (answer.status, answer.detail())
    };
    assert_eq!(status, 503, "{answer}");
    serving.signal("TERM");
    serving.ended().check(0, &[]);
}

#[test]
fn a_check_that_hangs_does_not_keep_it_from_ending() {
    let place = Place::new();
    make_pipe(&place.path().join("model.onnx"));
    let text = "[plugins.eye]\nuse = \"video-tracker\"\n\
                config = { gpu = \"off\", model = \"model.onnx\" }\n";
    place.write("keepsight.toml", &format!("{EMPTY}{text}"));
    let serving = place.serve(&[]);
    assert_eq!(serving.get("/v1/plugins/eye/health")["state"], "LOADED");
    serving.signal("TERM");
    serving.ended().check(0, &[]);
}

#[test]
fn a_source_that_hangs_does_not_keep_it_from_ending() {
    let place = Place::new();
    make_pipe(&place.path().join("film.avi"));
    let text = "[plugins.stats]\nuse = \"frame-stats\"\n\
                [streams.film]\nsource = \"file:film.avi\"\nplugins = [\"stats\"]\n";
    place.write("keepsight.toml", &format!("{EMPTY}{text}"));
    let serving = place.serve(&[]);
    serving.await_get("/v1/plugins/stats/health", |health| health["state"] == "INITIALIZED");
    serving.signal("TERM");
    serving.ended().check(0, &[]);
}

#[cfg(feature = "fault-injector")]
#[test]
fn a_plugin_that_hangs_on_a_stream_does_not_keep_it_from_ending() {
    for kind in ["hang", "spin"] {
        let place = Place::new();
        let text = format!(
            "[plugins.bad]\nuse = \"fault-injector\"\n\
             config.faults = [{{ at = \"run\", kind = \"{kind}\" }}]\n\
             [streams.scene]\nsource = \"scene:?size=64x48\"\nplugins = [\"bad\"]\n"
        );
        place.write("keepsight.toml", &format!("{EMPTY}{text}"));
        let serving = place.serve(&[]);
        serving.await_get("/v1/plugins/bad/health", |health| health["state"] == "RUNNING");
        serving.signal("TERM");
        serving.ended().check(0, &[]);
    }
}
