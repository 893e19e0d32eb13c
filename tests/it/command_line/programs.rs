//! Sources that are other programs.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use super::{network_camera::NetworkCamera, support::Place};

/// However slow the machine is.
const LONGEST: Duration = Duration::from_secs(60);

fn stream_of(source: &str) -> String {
    format!("version = 1\n[streams.cam]\nsource = {source:?}\nplugins = []\n")
}

/// Whether a process runs; one that has ended and wasn't collected doesn't.
fn runs(process: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

/// Processes of the group that `process` belongs to.
fn group_of(process: &str) -> Vec<String> {
    let group = |process: &str| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(2).map(str::to_owned)
    };
    let wanted = group(process).expect("it runs");
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().into_string().ok());
    processes.filter(|process| group(process).as_ref() == Some(&wanted)).collect()
}

#[track_caller]
fn all_end(processes: &[String]) {
    let end = Instant::now() + LONGEST;
    while processes.iter().any(|process| runs(process)) {
        assert!(Instant::now() < end, "of {processes:?} some still run");
        thread::yield_now();
    }
}

/// Runs a source that is a shell with a child of its own, which first does `begin`; ends Keepsight
/// by `signal`, and sees whether something is left.
fn leaves_nothing(begin: &str, signal: &str) {
    let place = Place::new();
    let script = format!(
        r#"{begin} sleep 600 & echo $$ $! >pids; printf "YUV4MPEG2 W2 H2 F9:1 Cmono\n"
        while printf "FRAME\n1234"; do sleep 0.1; done; while :; do sleep 600; done"#
    );
    place.write("keepsight.toml", &stream_of(&format!("exec:sh -c '{script}'")));
    let serving = place.serve(&[]);
    serving.await_get("/v1/streams/cam", |stream| stream["state"] == "live");
    let pids = fs::read_to_string(place.path().join("pids")).unwrap();
    let started: Vec<&str> = pids.split_whitespace().collect();
    let group = group_of(started[0]);
    assert!(started.iter().all(|process| group.contains(&(*process).to_owned())), "{group:?}");
    assert!(group.len() > started.len(), "who ends them when we can't: {group:?}");
    serving.signal(signal);
    if signal == "TERM" {
        let ended = serving.ended();
        ended.check(0, &[]);
        assert!(!ended.err.contains("in time"), "the source is closed within its second: {ended}");
        assert!(!runs(started[0]), "it outlives us");
    }
    all_end(&group);
}

/// What a program does that means to live on.
const STUBBORN: &str = r#"trap "" TERM HUP INT PIPE;"#;

#[test]
fn a_program_ends_with_us() {
    leaves_nothing("", "TERM");
}

#[test]
fn a_program_ends_even_if_we_are_killed() {
    leaves_nothing("", "KILL");
}

#[test]
fn a_program_that_will_not_end_is_ended_with_us_and_holds_nothing_up() {
    leaves_nothing(STUBBORN, "TERM");
}

#[test]
fn a_program_that_will_not_end_is_ended_even_if_we_are_killed() {
    leaves_nothing(STUBBORN, "KILL");
}

#[test]
fn a_program_that_dies_is_started_again_and_its_last_words_are_the_reason() {
    let place = Place::new();
    // The first run ends; the second one goes on.
    let script = r#"printf "YUV4MPEG2 W2 H2 F9:1 Cmono\nFRAME\n1234"
        if mkdir once 2>/dev/null; then echo "lost rtsp://cam:s3cret@h/s" >&2; exit 7; fi
        while printf "FRAME\n1234"; do sleep 0.1; done"#;
    place.write("keepsight.toml", &stream_of(&format!("exec:sh -c '{script}'")));
    let serving = place.serve(&[]);
    let stream = serving.await_get("/v1/streams/cam", |stream| {
        stream["reconnects"].as_u64() > Some(0) && stream["state"] == "live"
    });
    assert!(stream["frames_in"].as_u64() > Some(1), "{stream}");
    serving.signal("TERM");
    let ended = serving.ended();
    ended.check(0, &["sh ended with exit status: 7: lost rtsp://cam:***@h/s", "source.lost"]);
    assert!(!ended.err.contains("s3cret"), "{ended}");
}

#[test]
fn an_absent_program_is_a_finding_with_its_remedy() {
    let place = Place::new();
    place.write("keepsight.toml", &stream_of("ffmpeg:film.mp4"));
    let mut command = place.command(&["check"]);
    command.env("PATH", "/nonexistent");
    let ended = super::support::ended(&mut command);
    for part in ["the program ffmpeg is not installed", "apt install ffmpeg"] {
        assert!(ended.out.contains(part), "{ended}");
    }
    assert_ne!(ended.code, Some(0), "{ended}");
}

#[test]
fn a_network_camera_that_is_switched_off_and_on_comes_back() {
    if let Some(reason) = NetworkCamera::lacking() {
        assert!(std::env::var_os("KEEPSIGHT_TEST_RTSP").is_none(), "{reason}");
        eprintln!("a_network_camera_that_is_switched_off_and_on_comes_back: skipped, {reason}");
        return;
    }
    let (camera, port) = NetworkCamera::start(0);
    let place = Place::new();
    place.write("keepsight.toml", &stream_of(&format!("rtsp://127.0.0.1:{port}/cam")));
    let serving = place.serve(&[]);
    let live = |before: u64| {
        serving.await_get("/v1/streams/cam", |stream| {
            stream["state"] == "live" && stream["frames_in"].as_u64() > Some(before + 5)
        })
    };
    let stream = live(0);
    assert_eq!((&stream["size"]["width"], &stream["format"]), (&320.into(), &"nv12".into()));
    let before = stream["frames_in"].as_u64().unwrap();

    drop(camera);
    let lost = serving.await_get("/v1/streams/cam", |stream| {
        stream["state"] == "reconnecting" && stream["code"] == "source.not_found"
    });
    assert!(lost["reason"].as_str().unwrap().contains("Connection refused"), "{lost}");
    assert!(lost["hint"].as_str().unwrap().contains("camera"), "{lost}");

    let (_camera, _) = NetworkCamera::start(port);
    let back = live(before);
    assert!(back["reconnects"].as_u64() > Some(0), "{back}");
    serving.signal("TERM");
    serving.ended().check(0, &[]);
}
