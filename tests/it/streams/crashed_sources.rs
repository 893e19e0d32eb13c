//! A source that ends the process is known to the next one, and left alone when it does it again.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use keepsight::{
    config::{Config, Environment},
    loader::ProbeProgram,
    runtime::{Runtime, RuntimeOptions},
    streams::{SourceState, StreamStatus},
};
use keepsight_contract::Pace;

use crate::support::{Behaviour, Switch, gate::LONGEST, site};

/// In a child: the state folder.
const STATE: &str = "KEEPSIGHT_TEST_SOURCE_STATE";

/// A process with a source that is well, and one that behaves as said.
fn start(state_dir: &Path, bad: Behaviour) -> Runtime {
    Switch::named("well", Behaviour::Gives);
    Switch::named("deadly", bad);
    let text = format!(
        "version = 1
         [runtime]
         state_dir = {state_dir:?}
         [streams.bad]
         source = \"test:deadly\"
         [streams.good]
         source = \"test:well\""
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
fn be_a_child_that_dies() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let dies = Behaviour::GivesMade(Arc::new(|_| std::process::abort()));
    let _runtime = start(Path::new(&state), dies);
    std::thread::sleep(LONGEST);
    unreachable!("the source should have ended this process");
}

#[test]
fn a_source_that_ends_the_process_twice_is_left_alone() {
    be_a_child_that_dies();
    let folder = tempfile::tempdir().unwrap();
    let test = std::thread::current().name().expect("a test's thread has its name").to_owned();
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
    let runtime = start(folder.path(), Behaviour::Gives);
    let bad = status(&runtime, "bad");
    assert_eq!(bad.state, SourceState::Failed);
    assert_eq!(bad.code.as_deref(), Some("supervisor.crashed_process"));
    assert!(bad.hint.unwrap().contains("restart"));
    assert_ne!(status(&runtime, "good").state, SourceState::Failed);
    runtime.shut_down();
    drop(runtime);

    // After an end in order it has another chance.
    let runtime = start(folder.path(), Behaviour::Gives);
    assert_ne!(status(&runtime, "bad").state, SourceState::Failed);
    runtime.shut_down();
}
