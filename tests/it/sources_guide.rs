//! The guide to the sources names the parameters that they have.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use keepsight_contract::{
    CaptureWish, SourceUri, registered,
    testing::{RecordingHost, call_context},
};

/// Parameters in the first column of the guide's table for `scheme`.
fn documented(guide: &str, scheme: &str) -> BTreeSet<String> {
    let heading = format!("\n## {scheme}\n");
    let start = guide.find(&heading).unwrap_or_else(|| panic!("the guide has no {scheme}"));
    let section = &guide[start + heading.len()..];
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned()).collect()
}

/// Parameters that a source of `scheme` says it knows, asked for one that none does.
fn known(scheme: &str) -> BTreeSet<String> {
    // An address may have a query of its own, unless some of it is ours.
    let uri: SourceUri = match scheme {
        "rtsp" => "rtsp://host/path?stall=9&no-such=1".parse().unwrap(),
        "ffmpeg" => "ffmpeg:film.mp4?stall=9&no-such=1".parse().unwrap(),
        _ => format!("{scheme}:0?no-such=1").parse().unwrap(),
    };
    let source = registered::sources().find(|source| source.schemes.contains(&scheme)).unwrap();
    let (call, host) = (call_context(Duration::from_secs(60)), RecordingHost::new().host());
    let opened = (source.open)(&uri, &CaptureWish::default(), &call, &host);
    let error = opened.err().expect("no source has it");
    let (_, known) = error.reason().split_once("it knows ").expect("it says what it knows");
    known.split(", ").filter(|name| *name != "none").map(str::to_owned).collect()
}

#[test]
fn the_guide_names_every_parameter_of_every_source() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sources.md");
    let guide = fs::read_to_string(path).unwrap();
    let guarded = ["camera", "rtsp", "file", "ffmpeg", "exec", "scene"];
    for scheme in registered::sources().flat_map(|source| source.schemes) {
        if *scheme == "rtsps" || *scheme == "test" {
            continue;
        }
        assert!(guarded.contains(scheme), "the guide says nothing of {scheme}:");
        assert_eq!(documented(&guide, scheme), known(scheme), "{scheme}:");
    }
}
