//! What is wrong with an output is said before anything runs.

use std::{
    fs,
    path::Path,
    process::{self, Command, Stdio},
};

use keepsight::{
    config::{Config, Environment},
    outputs::OutputError,
    runtime::{OutputTrial, Runtime, RuntimeOptions, StartError},
};
use keepsight_contract::Finding;

use super::support::{Sink, SinkBehaviour, output, setup, stream};
use crate::support::{Site, gate::LONGEST, site::Setup};

#[track_caller]
fn refused(outputs: &str) -> OutputError {
    let toml = stream("never", "newest") + outputs;
    match Site::start_with(&toml, setup()) {
        Err(StartError::Output(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it started"),
    }
}

#[test]
fn an_unknown_scheme_refuses_the_start_and_names_those_that_are_known() {
    let error = refused(&output("mqtt:broker", "\"tracks\""));
    assert!(matches!(error, OutputError::NoTarget { .. }));
    assert_eq!(
        error.to_string(),
        "output \"mqtt:broker\": this build writes to no mqtt: addresses; it knows file, sink"
    );
}

#[test]
fn two_outputs_of_one_place_refuse_the_start() {
    let error = refused(
        &(output("file:a/b.jsonl", "\"tracks\"") + &output("file:./a//b.jsonl", "\"json\"")),
    );
    assert!(matches!(error, OutputError::Duplicate { .. }), "{error}");
    assert!(error.to_string().contains("file:./a//b.jsonl"), "{error}");
}

#[test]
fn a_trial_says_what_stands_in_the_way_and_leaves_no_file() {
    Sink::named("trial-refuses", SinkBehaviour::Refuses);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("below/tracks.jsonl");
    let toml = output(&format!("file:{}", path.display()), "\"tracks\"")
        + &output("sink:trial-refuses", "\"tracks\"");
    let runtime = runtime(&toml);
    let trials = runtime.try_outputs(LONGEST);
    let finding = |trial: &OutputTrial| {
        let Finding { met, code, reason, .. } = trial.finding.clone();
        (met, code.into_owned(), reason)
    };
    let found: Vec<_> = trials.iter().map(finding).collect();
    let refused = (false, "output.failed".to_owned(), "the test refuses".to_owned());
    let fine = (true, "ok".to_owned(), "can be opened and written to".to_owned());
    assert_eq!(found, [fine, refused]);
    assert!(!path.exists());
    assert!(runtime.outputs().is_empty(), "nothing has begun");
    runtime.shut_down();
}

/// What a site would run, not begun.
fn runtime(toml: &str) -> Runtime {
    let setup = setup();
    let environment = Environment { plugins: &[], variable: &|_| None };
    let text = format!("version = 1\n{toml}");
    let config = Config::parse(&text, Path::new("test.toml"), &environment).unwrap();
    let Setup { catalog, probe_program, pace, listeners, .. } = setup;
    Runtime::new(&config, &catalog, RuntimeOptions { probe_program, pace, listeners }).unwrap()
}

/// Runs the program with `arguments` in `folder`, where its configuration is.
fn keepsight(folder: &Path, arguments: &[&str]) -> process::Output {
    Command::new(env!("CARGO_BIN_EXE_keepsight"))
        .args(arguments)
        .current_dir(folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn check_tries_each_output() {
    let folder = tempfile::tempdir().unwrap();
    let toml = format!(
        "version = 1\n{}{}",
        output("file:below/tracks.jsonl", "\"tracks\""),
        output("file:keepsight.toml/x", "\"json\""),
    );
    fs::write(folder.path().join("keepsight.toml"), toml).unwrap();
    let ended = keepsight(folder.path(), &["check"]);
    let out = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(1), "degraded, not missing: {out}");
    assert!(out.contains("ok       output file:below/tracks.jsonl"), "{out}");
    assert!(out.contains("missing  output file:keepsight.toml/x"), "{out}");
    assert!(out.contains("cannot make the folder keepsight.toml"), "{out}");
}

#[test]
fn an_unknown_scheme_is_a_configuration_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let toml = format!("version = 1\n{}", output("mqtt:broker", "\"tracks\""));
    fs::write(folder.path().join("keepsight.toml"), toml).unwrap();
    for command in ["run", "check"] {
        let ended = keepsight(folder.path(), &[command]);
        assert_eq!(ended.status.code(), Some(2));
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(said.contains("writes to no mqtt: addresses; it knows file"), "{said}");
    }
}
