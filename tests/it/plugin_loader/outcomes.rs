//! One outcome for each instance, whatever the others do.

use keepsight_contract::{Finding, InitError};
use serde_json::json;

use crate::support::{Gate, Script, Site};

/// The health of an instance of the script, once it has its outcome.
#[track_caller]
fn check(name: &str, state: &str, code: &str, reason: &str) {
    let site = Site::start(&format!(
        "[plugins.{name}]\nuse = \"scripted\"\nconfig = {{ script = \"{name}\" }}"
    ));
    let health = site.await_state(name, state);
    assert_eq!(health["code"], code, "{health:#}");
    assert!(health["reason"].as_str().unwrap().contains(reason), "{health:#}");
    assert!(health["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{health:#}");
    let (status, answer) = site.run_tool(name, "do", &json!({}));
    assert_eq!(status, 503, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains(reason), "{answer}");
}

#[test]
fn init_that_says_no_fails_with_its_reason_and_causes() {
    let error = || std::io::Error::other("the disk is full of cats");
    Script::default().init(move |_| Err(InitError::from(error()))).named("init-no");
    check("init-no", "FAILED", "init.failed", "the disk is full of cats");
}

#[test]
fn init_that_panics_fails_with_the_panics_message() {
    Script::default().init(|_| panic!("no {} today", "luck")).named("init-panics");
    check("init-panics", "FAILED", "init.panicked", "no luck today");
}

#[test]
fn init_that_lacks_something_is_unavailable() {
    let finding = || Finding::unmet("dependency.sun_missing", "sun", "it is night", "wait");
    Script::default().init(move |_| Err(InitError::Unmet(finding()))).named("init-unmet");
    check("init-unmet", "UNAVAILABLE", "dependency.sun_missing", "it is night");
}

#[test]
fn init_that_hangs_fails_at_its_deadline_and_holds_nobody_up() {
    let gate = Gate::default();
    let held = gate.clone();
    Script::default()
        .init(move |_| {
            held.wait();
            Ok(())
        })
        .named("init-hangs");
    let site = Site::start(
        "runtime.limits.init = \"200ms\"
         [plugins.slow]
         use = \"scripted\"
         config = { script = \"init-hangs\" }
         [plugins.quick]
         use = \"scripted\"
         config = { script = \"\" }",
    );
    gate.await_waiting(1);
    assert_eq!(site.await_state("quick", "INITIALIZED")["reason"], json!(null));
    let health = site.await_state("slow", "FAILED");
    assert_eq!(health["code"], "init.timed_out", "{health:#}");
    gate.open();
}

#[test]
fn a_configuration_that_is_not_the_plugins_fails_that_instance_alone() {
    let site = Site::start(
        "[plugins.wrong]
         use = \"scripted\"
         config = { script = \"\", colour = \"blue\" }
         [plugins.right]
         use = \"scripted\"
         config = { script = \"\" }",
    );
    let health = site.await_state("wrong", "FAILED");
    assert_eq!(health["code"], "config.invalid");
    assert!(health["reason"].as_str().unwrap().contains("colour"), "{health:#}");
    // Only a person can mend that, so no restart is due.
    assert_eq!(health["next_attempt_in_seconds"], json!(null));
    site.await_state("right", "INITIALIZED");
}

#[test]
fn every_instance_is_listed_whatever_became_of_it() {
    Script::default().init(|_| panic!("first")).named("list-panics");
    let unmet = || Finding::unmet("dependency.x", "x", "second", "x");
    Script::default().init(move |_| Err(InitError::Unmet(unmet()))).named("list-unmet");
    let site = Site::start(
        "[plugins.c]\nuse = \"scripted\"\nconfig = { script = \"list-panics\" }
         [plugins.a]\nuse = \"scripted\"\nconfig = { script = \"list-unmet\" }
         [plugins.b]\nuse = \"scripted\"\nconfig = { script = \"\" }",
    );
    site.await_state("c", "FAILED");
    site.await_state("a", "UNAVAILABLE");
    site.await_state("b", "INITIALIZED");
    let (_, list) = site.get("/v1/plugins");
    let names: Vec<_> = list.as_array().unwrap().iter().map(|item| &item["name"]).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let (_, counts) = site.get("/v1/plugins/");
    let counts = ["total", "available", "failed", "unavailable"].map(|key| counts[key].as_u64());
    assert_eq!(counts, [Some(3), Some(1), Some(1), Some(1)]);
}
