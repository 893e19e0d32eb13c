//! What a plugin's author sees of the host, and its limits.

use std::{
    path::Path,
    sync::mpsc,
    time::{Duration, SystemTime},
};

use serde_json::json;

use super::*;

/// A folder of a test's own, removed with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        let folder = std::env::temp_dir().join(format!("keepsight-{name}-{now}"));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn with_state(folder: &Path) -> (RecordingHost, Host) {
    let recording = RecordingHost::with_state_dir(folder);
    let host = recording.host();
    (recording, host)
}

#[test]
fn what_a_plugin_tells_is_kept() {
    let recording = RecordingHost::new();
    let host = recording.host();
    host.counter("frames").add(2);
    host.event("started", Value::Null);
    host.degraded("slow", "too slow", "buy a faster one");
    host.degraded("slow", "still too slow", "buy a faster one");
    assert_eq!(host.counter("frames").value(), 2);
    assert_eq!(recording.events(), [("started".to_owned(), Value::Null)]);
    let degraded = recording.degraded();
    assert_eq!((degraded.len(), &*degraded[0].reason), (1, "still too slow"));
    host.recovered("slow");
    assert!(recording.degraded().is_empty());
    drop(host.scope().enter());
    assert_eq!(recording.scopes_entered(), 1);
}

#[test]
fn metrics_beyond_the_cap_count_for_nobody() {
    let recording = RecordingHost::new();
    let host = recording.host();
    for index in 0..Host::METRICS_MAX {
        host.counter(&format!("count_{index:03}")).increment();
        host.gauge(&format!("gauge_{index:03}")).set(1.0);
        host.histogram(&format!("times_{index:03}")).record(1.0);
    }
    let known = recording.metric_names();
    assert_eq!(known.len(), 3 * Host::METRICS_MAX);
    host.counter("one_too_many").increment();
    host.gauge("one_too_many").set(1.0);
    host.histogram("one_too_many").record(1.0);
    assert_eq!(recording.metric_names(), known);
    assert_eq!(host.counter("one_too_many").value(), 0, "it counts for nobody");
    host.counter("count_007").increment();
    assert_eq!(host.counter("count_007").value(), 2, "those that are there go on");
}

#[test]
fn a_name_too_long_counts_for_nobody() {
    let recording = RecordingHost::new();
    let longest = "x".repeat(Host::NAME_BYTES_MAX);
    recording.host().counter(&longest).increment();
    recording.host().counter(&format!("{longest}x")).increment();
    assert_eq!(recording.metric_names(), [longest]);
}

#[test]
fn events_and_degradations_are_bounded() {
    let recording = RecordingHost::new();
    let host = recording.host();
    let text = |bytes| Value::from("x".repeat(bytes - 2));
    host.event("fits", text(Host::EVENT_BYTES_MAX));
    host.event(&"é".repeat(Host::NAME_BYTES_MAX), text(Host::EVENT_BYTES_MAX + 1));
    let events = recording.events();
    assert_eq!(events[0].1, text(Host::EVENT_BYTES_MAX));
    let left_out = json!({ "truncated": true, "bytes": Host::EVENT_BYTES_MAX + 1 });
    assert_eq!(events[1], ("é".repeat(Host::NAME_BYTES_MAX / 2), left_out));

    for index in 0..=Host::DEGRADATIONS_MAX {
        host.degraded(format!("code.{index}"), "r".repeat(2000), "h".repeat(2000));
    }
    let degraded = recording.degraded();
    assert_eq!(degraded.len(), Host::DEGRADATIONS_MAX);
    let last = &degraded[Host::DEGRADATIONS_MAX - 1];
    assert_eq!(last.code, format!("code.{}", Host::DEGRADATIONS_MAX - 1));
    assert_eq!((last.reason.len(), last.hint.len()), (1000, 1000));
}

#[test]
fn threads_are_stopped_and_joined_and_their_panics_counted() {
    let recording = RecordingHost::new();
    let host = recording.host();
    let waits = |stop: StopToken| {
        while !stop.is_stopped() {
            thread::yield_now();
        }
    };
    host.spawn("waits", waits).unwrap();
    host.spawn("falls", |_| std::panic::resume_unwind(Box::new("no hook, no noise"))).unwrap();
    assert_eq!(recording.join_threads(), 1);
    assert_eq!(recording.join_threads(), 0);
}

#[test]
fn there_are_no_more_threads_than_a_plugin_may_own() {
    let recording = RecordingHost::new();
    let host = recording.host();
    let (ended, ends) = mpsc::channel();
    for _ in 0..Host::THREADS_MAX {
        let ended = ended.clone();
        let waits = move |stop: StopToken| {
            while !stop.is_stopped() {
                thread::yield_now();
            }
            ended.send(()).unwrap();
        };
        host.spawn("waits", waits).unwrap();
    }
    let refused = host.spawn("one too many", |_| ()).unwrap_err();
    assert_eq!(refused.to_string(), "cannot start the thread \"one too many\"");
    recording.join_threads();
    assert_eq!(ends.try_iter().count(), Host::THREADS_MAX);
    host.spawn("one of a few", |_| ()).unwrap();
    assert_eq!(recording.join_threads(), 0);
}

#[test]
fn what_is_asked_for_is_recorded_and_answered_by_the_test() {
    let display = Requirement::EnvVar { name: "DISPLAY".to_owned() };
    let none = RecordingHost::new();
    assert_eq!(none.host().check(&display), None, "a host without probes");
    assert_eq!(none.checked(), std::slice::from_ref(&display));
    let found = Finding::unmet("dependency.env_missing", "DISPLAY", "it is not set", "set it");
    let recording = RecordingHost::with_finding(found.clone());
    assert_eq!(recording.host().check(&display), Some(found));
}

#[test]
fn state_is_replaced_wholly_or_refused() {
    let nowhere = RecordingHost::new();
    let refused = nowhere.host().write_state("x", b"y").unwrap_err();
    assert!(matches!(refused, StateError::NoFolder), "{refused}");
    assert_eq!(nowhere.host().state_dir(), None);
    assert!(nowhere.degraded().is_empty(), "nobody wants state here");

    let place = Place::new("state");
    let (_, host) = with_state(&place.0);
    host.write_state("counts", b"1").unwrap();
    host.write_state("counts", b"2").unwrap();
    assert_eq!(fs::read(place.0.join("counts")).unwrap(), b"2");
    assert_eq!(place.names(), ["counts"]);
    for name in ["", "../x", "a/b", "a\\b", ".hidden", "a\0b"] {
        let refused = host.write_state(name, b"").unwrap_err();
        assert!(matches!(refused, StateError::Name { .. }), "{name}");
    }
    assert_eq!(place.names(), ["counts"]);
}

#[test]
fn two_who_write_the_same_state_at_once_leave_what_one_of_them_wrote() {
    let place = Place::new("contended");
    let (_, host) = with_state(&place.0);
    thread::scope(|scope| {
        for letter in [b'a', b'b', b'c'] {
            let host = &host;
            scope.spawn(move || {
                for length in 1..20 {
                    host.write_state("counts", &vec![letter; length * 100]).unwrap();
                }
            });
        }
        for _ in 0..200 {
            let found = fs::read(place.0.join("counts")).unwrap_or_default();
            assert!(found.iter().all(|byte| *byte == found[0]), "two in one file");
            assert!(found.len().is_multiple_of(100), "half a file");
        }
    });
    assert_eq!(place.names(), ["counts"]);
}

#[test]
fn state_that_can_not_be_written_degrades_until_it_can() {
    let place = Place::new("unwritable");
    let folder = place.0.join("plugins");
    fs::write(&folder, "a file where a folder should be").unwrap();
    let (recording, host) = with_state(&folder);
    for _ in 0..3 {
        let refused = host.write_state("counts", b"1").unwrap_err();
        assert!(matches!(&refused, StateError::Unwritable { .. }), "{refused}");
        let (path, remedy) = (folder.display().to_string(), StateError::REMEDY);
        assert!(refused.to_string().contains(&path), "{refused}");
        assert!(refused.to_string().contains(remedy), "{refused}");
        assert!(std::error::Error::source(&refused).is_some());
        assert_eq!(host.state_dir(), None);
        let degraded = recording.degraded();
        assert_eq!(degraded.len(), 1, "{degraded:?}");
        assert_eq!((&*degraded[0].code, &*degraded[0].hint), ("state.unwritable", remedy));
        assert!(degraded[0].reason.contains(&path), "{degraded:?}");
    }
    fs::remove_file(&folder).unwrap();
    host.write_state("counts", b"2").unwrap();
    assert!(recording.degraded().is_empty());
    assert_eq!(fs::read(folder.join("counts")).unwrap(), b"2");

    // It vanishes, and comes back by itself.
    fs::remove_dir_all(&folder).unwrap();
    host.write_state("counts", b"3").unwrap();
    assert_eq!(fs::read(folder.join("counts")).unwrap(), b"3");

    // Something is in the way of the file itself; nothing half written stays.
    fs::create_dir(folder.join("taken")).unwrap();
    host.write_state("taken", b"4").unwrap_err();
    assert_eq!(recording.degraded().len(), 1);
    let entries = fs::read_dir(&folder).unwrap().count();
    assert_eq!(entries, 2, "counts and taken");
    host.write_state("counts", b"5").unwrap();
    assert!(recording.degraded().is_empty());
}

#[test]
fn a_fake_clock_moves_when_it_is_told() {
    let clock = crate::testing::FakeClock::new();
    let start = clock.now();
    assert_eq!(clock.now(), start);
    clock.clone().advance(Duration::from_secs(86_400));
    assert_eq!(clock.now() - start, Duration::from_secs(86_400));
}
