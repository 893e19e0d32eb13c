//! What goes wrong while the tracker runs: its source, its frames, its neighbours.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use keepsight::streams::FrameOutcome;
use keepsight_contract::{
    Frame, FrameSize, PixelBuffer, PixelFormat, SourceFault, testing::frames,
};
use keepsight_fault_injector::{release_all, wait_until_hung};
use keepsight_jpeg::{JpegDecoder, Picture, encode};
use serde_json::{Value, json};

use super::support::{check_alive, check_undisturbed, find_fed};
use crate::support::{Behaviour, Site, Switch, site::Setup};

const TRACKER: &str =
    "[plugins.tracker]\nuse = \"video-tracker\"\nconfig = { gpu = \"off\", threads = 1 }\n";

#[test]
fn a_camera_that_is_missing_is_the_streams_matter_and_the_plugin_waits_for_it() {
    let switch = Switch::named("tracker-door", Behaviour::Fails(SourceFault::NotFound));
    let toml = format!(
        "{TRACKER}[streams.door]\nsource = \"test:tracker-door\"\nplugins = [\"tracker\"]\n"
    );
    let site = Site::start_with(&toml, Setup::with_everything()).unwrap();
    let health = site.await_health("tracker", |health| {
        health["state"] == "INITIALIZED" && health["waiting_for"] == json!(["door"])
    });
    assert_eq!((&health["reason"], &health["error_count"]), (&json!(null), &json!(0)));
    let stream = site.await_stream("door", |stream| stream["code"] == "source.not_found");
    assert_eq!(stream["state"], "reconnecting", "{stream:#}");
    assert_eq!(stream["hint"], "ask the test", "{stream:#}");
    let (status, answer) = site.get("/v1/streams/door/tracks");
    assert_eq!(status, 503, "{answer}");

    switch.set(Behaviour::Gives);
    let health = site.await_state("tracker", "RUNNING");
    assert_eq!(health["generation"], 1);
    site.await_health("tracker", |health| health["waiting_for"] == json!([]));
}

#[cfg(feature = "camera")]
#[test]
fn a_real_camera_that_nobody_plugged_in_is_named_with_a_remedy() {
    let toml = format!(
        "{TRACKER}[streams.door]\nsource = \"camera:usb-dead_beef_0\"\nplugins = [\"tracker\"]\n"
    );
    let site = Site::start_with(&toml, Setup::with_everything()).unwrap();
    let stream = site.await_stream("door", |stream| stream["code"] == "source.not_found");
    assert_eq!(stream["state"], "reconnecting", "{stream:#}");
    assert!(stream["reason"].as_str().unwrap().contains("usb-dead_beef_0"), "{stream:#}");
    assert!(stream["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{stream:#}");
    site.await_health("tracker", |health| {
        health["state"] == "INITIALIZED" && health["waiting_for"] == json!(["door"])
    });
}

/// The outcome of each of the frames that `make` makes, and how the tracker was at the end.
fn run_made(
    name: &str,
    count: u64,
    make: impl Fn(u64) -> Frame + Send + Sync + 'static,
) -> (Vec<FrameOutcome>, Value) {
    Switch::named(name, Behaviour::GivesMade(Arc::new(make)));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let noted = heard.clone();
    let setup = Setup {
        listeners: vec![Arc::new(move |outcome| noted.lock().unwrap().push(outcome.clone()))],
        ..Setup::with_everything()
    };
    let toml = format!(
        "{TRACKER}[streams.s]\nsource = \"test:{name}?frames={count}\"\nmode = \"every\"\n\
         plugins = [\"tracker\"]\n"
    );
    let site = Site::start_with(&toml, setup).unwrap();
    site.await_stream("s", |stream| find_fed(stream, "tracker")["state"] == "closed");
    let health = site.health("tracker");
    check_alive(&site);
    let heard = std::mem::take(&mut *heard.lock().unwrap());
    let sequences: Vec<_> = heard.iter().map(|outcome| outcome.frame.sequence()).collect();
    assert_eq!(sequences, (0..count).collect::<Vec<_>>(), "{health:#}");
    (heard, health)
}

#[track_caller]
fn check_all_fine(outcomes: &[FrameOutcome], health: &Value) {
    for outcome in outcomes {
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    }
    assert_eq!(health["success_count"], outcomes.len(), "{health:#}");
    assert_eq!((&health["error_count"], &health["restarts"]), (&json!(0), &json!(0)));
}

#[test]
fn frames_of_another_size_and_format_in_the_middle_are_taken_as_they_come() {
    let (outcomes, health) = run_made("tracker-sizes", 8, |sequence| match sequence {
        0 | 1 => frames::gray(64, 48, |x, y| (x ^ y) as u8),
        2 | 3 => frames::gray(320, 200, |x, y| (x + y) as u8),
        4 => frames::rgb(320, 200, |x, _| [x as u8, 0, 255]),
        5 => frames::from_bytes(PixelFormat::Yuyv, 64, 48, vec![90; 64 * 48 * 2]),
        6 => frames::from_bytes(PixelFormat::Nv12, 63, 47, vec![90; 63 * 47 + 64 * 24 + 64]),
        _ => jpeg(64, 48),
    });
    check_all_fine(&outcomes, &health);
}

#[test]
fn frames_of_one_pixel_and_of_odd_sizes_are_frames() {
    let (outcomes, health) = run_made("tracker-tiny", 5, |sequence| match sequence {
        0 | 1 => frames::gray(1, 1, |_, _| 200),
        2 => frames::rgb(1, 1, |_, _| [1, 2, 3]),
        3 => frames::gray(1, 4000, |_, y| y as u8),
        _ => frames::gray(4000, 1, |x, _| x as u8),
    });
    check_all_fine(&outcomes, &health);
}

#[test]
fn frames_of_8k_are_frames() {
    let (outcomes, health) = run_made("tracker-8k", 2, |_| {
        let bytes = vec![110; 7680 * 4320 * 2];
        frames::from_bytes(PixelFormat::Yuyv, 7680, 4320, bytes)
    });
    check_all_fine(&outcomes, &health);
}

#[test]
fn a_damaged_picture_in_the_middle_is_one_error_and_the_next_one_is_fine() {
    let (outcomes, health) = run_made("tracker-damaged", 7, |sequence| match sequence {
        2 => compressed(64, 48, vec![0xff, 0xd8, 0xff, 0x00, 0x12]),
        3 => {
            let whole = jpeg(64, 48);
            compressed(64, 48, whole.pixels()[..whole.pixels().len() / 3].to_vec())
        }
        // Another size than the camera announced.
        5 => compressed(64, 48, jpeg(32, 32).pixels().to_vec()),
        _ => jpeg(64, 48),
    });
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|outcome| outcome.result.is_err())
        .map(|outcome| outcome.frame.sequence())
        .collect();
    assert_eq!(failed, [2, 3, 5]);
    assert_eq!((&health["error_count"], &health["success_count"]), (&json!(3), &json!(4)));
    assert_eq!((&health["restarts"], &health["generation"]), (&json!(0), &json!(1)));
}

/// The tracker, and beside it on the same stream a plugin that fails as `fault` says and is soon
/// given up.
#[track_caller]
fn start_beside(fault: &str) -> Site {
    start_beside_with(fault, &format!("{GIVEN_UP_SOON}\n{PATIENT}"))
}

const GIVEN_UP_SOON: &str =
    "restart = { budget = 2, window = \"10min\", backoff = [\"10ms\", \"20ms\"] }";
/// So that on a busy machine only the fault asked for is one.
const PATIENT: &str = "deadline = \"30s\"";

#[track_caller]
fn start_beside_with(fault: &str, settings: &str) -> Site {
    let toml = format!(
        "{TRACKER}[plugins.bad]
         use = \"fault-injector\"
         {settings}
         config.faults = [{fault}]
         [streams.scene]
         source = \"scene:?size=160x120&fps=30\"
         plugins = [\"bad\", \"tracker\"]"
    );
    let site = Site::start_with(&toml, Setup::with_everything()).unwrap();
    site.await_state("tracker", "RUNNING");
    site
}

#[test]
fn a_plugin_that_panics_once_is_running_again_and_the_tracker_noticed_nothing() {
    let site = start_beside("{ at = \"run\", kind = \"panic\", after = 5 }");
    let health = site.await_health("bad", |health| health["error_count"].as_u64() > Some(0));
    assert_eq!(health["generation"], 1, "{health:#}");
    check_undisturbed(&site, "scene", "tracker", 3);
    let before = site.health("bad")["success_count"].as_u64();
    site.await_health("bad", |health| health["success_count"].as_u64() > before);
}

#[test]
fn a_plugin_that_always_panics_is_quarantined_and_the_tracker_goes_on() {
    let site = start_beside("{ at = \"run\", kind = \"panic_formatted\", every = 1 }");
    let health = site.await_health("bad", |health| health["quarantined"] == true);
    let found = ["state", "code", "success_count"].map(|key| &health[key]);
    assert_eq!(found, [&json!("FAILED"), &json!("supervisor.quarantined"), &json!(0)]);
    assert!(health["reason"].as_str().unwrap().contains("panic on request"), "{health:#}");
    assert!(health["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{health:#}");
    check_undisturbed(&site, "scene", "tracker", 3);
    check_alive(&site);
}

#[test]
fn a_plugin_that_hangs_is_left_behind_at_its_deadline_and_the_tracker_goes_on() {
    let hangs = "{ at = \"run\", kind = \"hang\", after = 2 }";
    let site = start_beside_with(hangs, &format!("{GIVEN_UP_SOON}\ndeadline = \"200ms\""));
    assert!(wait_until_hung(1, Duration::from_secs(30)), "it hangs");
    check_undisturbed(&site, "scene", "tracker", 3);
    site.await_health("bad", |health| health["error_count"].as_u64() > Some(0));
    check_alive(&site);
    // What hung comes back too late for anyone to want it.
    release_all();
    check_undisturbed(&site, "scene", "tracker", 1);
}

#[test]
fn a_plugin_that_can_not_be_built_does_not_keep_the_tracker_from_being_built() {
    for (kind, state, code) in [
        ("panic", "FAILED", "init.panicked"),
        ("failed", "FAILED", "init.failed"),
        ("unmet", "UNAVAILABLE", "dependency.file_missing"),
    ] {
        let fault = format!("{{ at = \"init\", kind = \"{kind}\", every = 1 }}");
        let site = start_beside_with(
            &fault,
            &format!("restart.backoff = [\"1min\", \"1min\"]\n{PATIENT}"),
        );
        let health = site.await_health("bad", |health| health["state"] == state);
        assert_eq!(health["code"], code, "{health:#}");
        check_undisturbed(&site, "scene", "tracker", 1);
    }
}

fn jpeg(width: u32, height: u32) -> Frame {
    let picture = Picture::filled(width, height, [200, 120, 40]);
    compressed(width, height, encode(&picture, 90).unwrap())
}

fn compressed(width: u32, height: u32, bytes: Vec<u8>) -> Frame {
    let size = FrameSize::new(width, height);
    Frame::builder(PixelFormat::Mjpeg, size, PixelBuffer::from(bytes))
        .decoder(Arc::new(JpegDecoder::default()))
        .build()
        .unwrap()
}
