//! From the scene to tracks, held against what is really in it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use keepsight::streams::FrameOutcome;
use keepsight_contract::{Pace, Track, TrackState, Tracks, TruthObject};
use serde_json::json;

use crate::support::{Site, site::Setup};

/// Runs the scene to its end, and gives each frame's outcome in order.
fn run(frames: u64) -> (Site, Vec<FrameOutcome>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let noted = heard.clone();
    let setup = Setup {
        pace: Pace::Unpaced,
        listeners: vec![Arc::new(move |outcome| noted.lock().unwrap().push(outcome.clone()))],
        ..Setup::with_everything()
    };
    let toml = format!(
        "[plugins.tracker]
         use = \"video-tracker\"
         config = {{ gpu = \"off\", threads = 1 }}
         [streams.scene]
         source = \"scene:?frames={frames}&fps=10&targets=4&seed=1\"
         mode = \"every\"
         plugins = [\"tracker\"]"
    );
    let site = Site::start_with(&toml, setup).unwrap();
    site.await_stream("scene", |report| report["plugins"][0]["state"] == "closed");
    let heard = std::mem::take(&mut *heard.lock().unwrap());
    (site, heard)
}

#[test]
fn the_objects_of_the_scene_are_found_and_keep_their_numbers() {
    let (_site, outcomes) = run(16);
    let sequences: Vec<_> = outcomes.iter().map(|outcome| outcome.frame.sequence()).collect();
    assert_eq!(sequences, (0..16).collect::<Vec<_>>(), "no frame is left out");

    let (mut visible, mut found) = (0, 0);
    let mut numbers: BTreeMap<u64, BTreeMap<u64, usize>> = BTreeMap::new();
    for outcome in &outcomes {
        let tracks = &outcome.result.as_ref().unwrap().output::<Tracks>().unwrap().0;
        for object in &outcome.frame.truth().unwrap().objects {
            if object.visibility < 0.8 {
                continue;
            }
            visible += 1;
            if let Some(track) = track_of(object, tracks) {
                found += 1;
                *numbers.entry(object.id).or_default().entry(track.track_id).or_default() += 1;
            }
        }
    }
    assert!(visible >= 16, "there is something to see: {visible}");
    assert!(found * 10 >= visible * 7, "{found} of {visible} were found");
    // An object that is found again under another number counts against it.
    let kept: usize = numbers.values().map(|ids| *ids.values().max().unwrap()).sum();
    assert!(kept * 10 >= found * 8, "{kept} of {found} kept their number: {numbers:?}");
}

/// The track whose box is the object's.
fn track_of<'a>(object: &TruthObject, tracks: &'a [Track]) -> Option<&'a Track> {
    let seen = tracks.iter().filter(|track| track.state == TrackState::Confirmed);
    seen.filter(|track| track.bbox.iou(&object.bbox) >= 0.5)
        .max_by(|a, b| a.bbox.iou(&object.bbox).total_cmp(&b.bbox.iou(&object.bbox)))
}

#[test]
fn tracks_are_on_the_wire_with_their_frame() {
    let (site, outcomes) = run(4);
    let (status, answer) = site.get("/v1/streams/scene/tracks");
    assert_eq!(status, 200, "{answer}");
    assert_eq!(keys(&answer), FRAME_KEYS);
    assert_eq!(answer["sequence"], 3);
    assert_eq!((&answer["stream"], &answer["plugin"]), (&json!("scene"), &json!("tracker")));
    assert_eq!(answer["size"], json!({"width": 640, "height": 480}));
    assert!(answer["time"].as_str().unwrap().ends_with('Z'), "{answer:#}");
    let tracks = answer["tracks"].as_array().unwrap();
    let last = outcomes.last().unwrap().result.as_ref().unwrap();
    assert_eq!(tracks.len(), last.output::<Tracks>().unwrap().0.len());
    assert!(!tracks.is_empty(), "{answer:#}");
    for track in tracks {
        assert_eq!(keys(track), TRACK_KEYS);
        let number = |key: &str| track[key].as_f64().unwrap();
        let [x, y, width, height] = ["x", "y", "width", "height"].map(number);
        let corners = track["xyxy"].as_array().unwrap().iter().map(|c| c.as_f64().unwrap());
        for (corner, expected) in corners.zip([x, y, x + width, y + height]) {
            assert!((corner - expected).abs() < 0.01, "{track:#}");
        }
        assert!((0.0..=1.0).contains(&number("confidence")), "{track:#}");
    }
    assert!(tracks.iter().any(|track| track["class"] == "person"), "{answer:#}");

    let (status, answer) = site.get("/v1/streams/scene/tracks?plugin=tracker");
    assert_eq!((status, &answer["sequence"]), (200, &json!(3)));
    let (status, _) = site.get("/v1/streams/scene/tracks?plugin=stats");
    assert_eq!(status, 404);
}

fn keys(value: &serde_json::Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

const FRAME_KEYS: &[&str] = &[
    "age_seconds",
    "latency_ms",
    "plugin",
    "sequence",
    "size",
    "state",
    "stream",
    "time",
    "tracks",
];
const TRACK_KEYS: &[&str] = &[
    "age_frames",
    "class",
    "class_id",
    "confidence",
    "first_sequence",
    "height",
    "since_seconds",
    "state",
    "track_id",
    "velocity",
    "width",
    "x",
    "xyxy",
    "y",
];

#[test]
fn a_stream_that_is_too_fast_is_looked_at_less_often_and_says_so() {
    let toml = "[plugins.tracker]
         use = \"video-tracker\"
         config = { gpu = \"off\", threads = 1 }
         [streams.fast]
         source = \"scene:?fps=240&size=64x48\"
         plugins = [\"tracker\"]";
    let site = Site::start_with(toml, Setup::with_everything()).unwrap();
    let health = site.await_health("tracker", |health| {
        let degraded = health["degraded"].as_array().unwrap();
        degraded.iter().any(|degraded| degraded["code"] == "detection.slowed")
    });
    let reason = health["degraded"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("fast: at every ") && reason.contains("ms"), "{health:#}");
    assert!(health["degraded"][0]["hint"].as_str().unwrap().contains("detect_every"));
    // It is told of a stream, and has nothing to do with the plugin's being well.
    assert_eq!((&health["state"], &health["error_count"]), (&json!("RUNNING"), &json!(0)));
}
