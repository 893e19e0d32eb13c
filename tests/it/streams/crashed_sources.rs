//! A source that ends the process is known to the next one, and left alone when it does it again.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
};

use keepsight::{
    config::{Config, Environment},
    loader::ProbeProgram,
    runtime::{Runtime, RuntimeOptions},
    streams::{SourceState, StreamStatus},
};
use keepsight_contract::Pace;

use crate::support::{Behaviour, Gate, Switch, gate::LONGEST, site};

/// In a child: the state folder.
const STATE: &str = "KEEPSIGHT_TEST_SOURCE_STATE";

/// A process with a source that behaves as said, and perhaps with another one.
fn start(state_dir: &Path, bad: Behaviour, other: Option<Behaviour>) -> Runtime {
    Switch::named("deadly", bad);
    let more = other.map_or("", |behaviour| {
        Switch::named("beside", behaviour);
        "[streams.other]\nsource = \"test:beside\""
    });
    let text = format!(
        "version = 1
         [runtime]
         state_dir = {state_dir:?}
         [streams.bad]
         source = \"test:deadly\"
         {more}"
    );
    let catalog = site::catalog();
    let environment = Environment { plugins: &[], variable: &|_| None };
    let config = Config::parse(&text, Path::new("test.toml"), &environment).unwrap();
    let probe_program = ProbeProgram::at("/nonexistent");
    let options = RuntimeOptions { probe_program, pace: Pace::Native, listeners: Vec::new() };
    let runtime = Runtime::new(&config, &catalog, options).unwrap();
    runtime.remember_crashes().unwrap();
    runtime.begin();
    runtime
}

fn status(runtime: &Runtime, stream: &str) -> StreamStatus {
    runtime.streams().find(stream).unwrap().report().status
}

/// The child's part; nothing where this is no child.
fn be_a_child_that_dies(with_another: bool) {
    let Some(state) = std::env::var_os(STATE) else { return };
    let gate = Gate::default();
    let held = gate.clone();
    let dies = Behaviour::GivesMade(Arc::new(move |_| {
        if with_another {
            gate.await_waiting(1);
        }
        std::process::abort();
    }));
    let other = with_another.then(|| Behaviour::Hangs(held));
    let _runtime = start(Path::new(&state), dies, other);
    thread::park_timeout(LONGEST);
    unreachable!("the source should have ended this process");
}

/// Two processes die in their source; in what state the third leaves it.
#[track_caller]
fn after_two_deaths(with_another: bool) -> (tempfile::TempDir, StreamStatus) {
    let folder = tempfile::tempdir().unwrap();
    let test = thread::current().name().expect("a test's thread has its name").to_owned();
    for _ in 0..2 {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &test, "--nocapture", "--test-threads=1"])
            .env(STATE, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), None, "by a signal");
    }
    let other = with_another.then_some(Behaviour::Gives);
    let runtime = start(folder.path(), Behaviour::Gives, other);
    let bad = status(&runtime, "bad");
    runtime.shut_down();
    (folder, bad)
}

#[test]
fn a_source_that_ends_the_process_twice_is_left_alone() {
    be_a_child_that_dies(false);
    let (folder, bad) = after_two_deaths(false);
    assert_eq!(bad.state, SourceState::Failed);
    assert_eq!(bad.code.as_deref(), Some("supervisor.crashed_process"));
    let reason = bad.reason.unwrap();
    assert!(reason.contains("source_next"), "{reason}");
    assert!(bad.hint.unwrap().contains("restart Keepsight"));

    // After an end in order it has another chance.
    let runtime = start(folder.path(), Behaviour::Gives, None);
    assert_ne!(status(&runtime, "bad").state, SourceState::Failed);
    runtime.shut_down();
}

/// A live source waits for its next frame at nearly any moment, so whoever ends the process finds
/// it running; leaving every camera alone would be worse than the crash.
#[test]
fn sources_that_were_not_alone_are_opened_again() {
    be_a_child_that_dies(true);
    let (_folder, bad) = after_two_deaths(true);
    assert_ne!(bad.state, SourceState::Failed);
}
