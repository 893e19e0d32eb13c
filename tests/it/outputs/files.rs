//! `file:`, from frames to lines.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::support::{await_end, await_report, lines, output, report, sequences, start, stream};

#[test]
fn every_frame_of_a_file_gives_a_line_of_what_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (tracks, both) = (folder.path().join("new/tracks.jsonl"), folder.path().join("both"));
    let to = |path: &Path| format!("file:{}", path.display());
    let toml = stream("lines?frames=200", "every")
        + &output(&to(&tracks), "\"tracks\", \"regions\"")
        + &output(&to(&both), "\"tracks\", \"json\"")
        + &output(&to(&folder.path().join("regions")), "\"regions\"");
    let site = start(&toml);
    await_end(&site);
    site.runtime.shut_down();

    let all: Vec<u64> = (0..200).collect();
    assert_eq!(sequences(&tracks), all);
    let line = &lines(&tracks)[7];
    let Value::Object(keys) = line else { panic!("{line}") };
    let keys: Vec<_> = keys.keys().map(String::as_str).collect();
    assert_eq!(keys, ["captured", "plugin", "sequence", "stream", "tracks"]);
    assert_eq!((&line["stream"], &line["plugin"]), (&json!("s"), &json!("p")));
    let captured = line["captured"].as_str().unwrap();
    assert!(captured.ends_with('Z') && captured.len() == "2026-01-01T00:00:00.000Z".len());

    assert_eq!(sequences(&both), all);
    assert_eq!(lines(&both)[7]["json"], json!({"sequence": 7}));

    let reports = site.runtime.outputs();
    let written: Vec<_> = reports.iter().map(|report| (report.written, report.dropped)).collect();
    assert_eq!(written, [(200, 0), (200, 0), (0, 0)]);
    assert!(!folder.path().join("regions").exists(), "a file is made when there is a line for it");
}

#[test]
fn what_is_kept_stays_below_its_size_and_holds_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracks.jsonl");
    let toml = stream("rotated?frames=500", "every")
        + &output(&format!("file:{}", path.display()), "\"tracks\"")
        + "keep = { size = \"16KiB\", age = \"1d\" }\n";
    let site = start(&toml);
    await_end(&site);
    site.runtime.shut_down();

    let mut files: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort_by_key(|file| (*file == path, file.clone()));
    let bytes: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes <= 16 << 10, "{bytes} bytes");
    assert!(files.len() > 2, "{files:?}");
    let kept: Vec<_> = files.iter().flat_map(|file| sequences(file)).collect();
    assert_eq!(kept, (500 - kept.len() as u64..500).collect::<Vec<_>>());
    assert_eq!(report(&site).written, 500);
}

#[test]
fn a_full_disk_is_reported_and_not_in_the_way() {
    let site = start(&(stream("full", "newest") + &output("file:/dev/full", "\"tracks\"")));
    let report = await_report(&site, |report| report.state == "failing" && report.dropped > 0);
    assert_eq!(report.code, Some("output.no_space"));
    let reason = report.reason.unwrap();
    assert!(reason.contains("cannot write to /dev/full: No space left"), "{reason}");
    assert!(report.hint.unwrap().contains("free some space"));
    assert_eq!(report.written, 0);
    let shown = &site.get("/v1/inspector/host").1["outputs"][0];
    assert_eq!(shown["to"], "file:/dev/full");
    assert_eq!((&shown["state"], &shown["code"]), (&json!("failing"), &json!("output.no_space")));
    let processed = |report: &Value| report["plugins"][0]["processed"].as_u64().unwrap();
    let before = processed(&site.stream("s"));
    site.await_stream("s", |report| processed(report) > before + 20);
}

#[test]
fn a_folder_that_is_removed_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("below");
    let path = below.join("tracks.jsonl");
    let site = start(
        &(stream("removed", "newest") + &output(&format!("file:{}", path.display()), "\"tracks\"")),
    );
    await_report(&site, |report| report.written > 3);

    fs::rename(&below, folder.path().join("away")).unwrap();
    let before = report(&site).written;
    await_report(&site, |report| report.written > before + 3);
    let (old, new) = (folder.path().join("away/tracks.jsonl"), path);
    site.runtime.shut_down();
    let lost = report(&site);
    assert_eq!(lost.dropped, 0);
    let all = [sequences(&old), sequences(&new)].concat();
    assert_eq!(all.len() as u64, lost.written);
    assert!(all.is_sorted());
}

#[test]
fn a_folder_that_can_not_be_made_is_reported_and_lines_wait_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("below");
    let path = below.join("tracks.jsonl");
    fs::write(&below, "in the way").unwrap();
    let site = start(
        &(stream("blocked", "newest") + &output(&format!("file:{}", path.display()), "\"tracks\"")),
    );
    let report = await_report(&site, |report| report.state == "failing" && report.queued > 10);
    assert_eq!((report.code, report.written, report.dropped), (Some("output.failed"), 0, 0));
    let reason = report.reason.unwrap();
    assert!(reason.starts_with("cannot make the folder "), "{reason}");

    fs::remove_file(&below).unwrap();
    let report = await_report(&site, |report| report.state == "writing" && report.written > 20);
    assert_eq!((report.code, report.dropped), (None, 0));
    assert!(report.last_error.is_some() && report.last_error_at.is_some());
    assert!(sequences(&path).is_sorted());
}
