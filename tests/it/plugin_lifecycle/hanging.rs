//! Threads that hang: how many an instance may have, and what happens at that number.

use std::time::Duration;

use serde_json::{Value, json};

use keepsight_contract::Response;

use crate::support::{Gate, Script, Site};

/// A plugin that hangs, with one beside it that does well.
fn start(script: &str, stream: bool) -> Site {
    let plugins = if stream { "[\"hangs\", \"good\"]" } else { "[\"good\"]" };
    Site::start(&format!(
        "[runtime.limits]
         shutdown = \"200ms\"
         [plugins.hangs]
         use = \"scripted\"
         deadline = \"100ms\"
         restart = {{ budget = 100, window = \"10min\", backoff = [\"10ms\", \"20ms\"] }}
         config = {{ script = \"{script}\" }}
         [plugins.good]
         use = \"scripted\"
         config = {{ script = \"\" }}
         [streams.s]
         source = \"test:{script}\"
         plugins = {plugins}"
    ))
}

#[track_caller]
fn check_left_alone(health: &Value) {
    assert_eq!(
        [&health["state"], &health["code"], &health["next_attempt_in_seconds"]],
        [&json!("FAILED"), &json!("supervisor.quarantined"), &Value::Null],
        "{health:#}"
    );
    let reason = health["reason"].as_str().unwrap();
    assert!(reason.contains("3 of its threads hang"), "{reason}");
    assert!(health["hint"].as_str().unwrap().contains("returns"), "{health:#}");
}

fn abandoned(site: &Site) -> u64 {
    site.get("/v1/inspector/plugins/hangs").1["abandoned_workers"].as_u64().unwrap()
}

#[test]
fn three_hung_threads_quarantine_a_plugin_until_one_returns() {
    let gate = Gate::default();
    let held = gate.clone();
    Script::default()
        .run(move |_, _| {
            held.wait();
            Ok(Response::new())
        })
        .named("hangs-thrice");
    let site = start("hangs-thrice", true);
    let health = site.await_health("hangs", |health| health["quarantined"] == true);
    check_left_alone(&health);
    // Two sessions of the first generation, then one of the second.
    assert_eq!((&health["generation"], &health["restarts"]), (&json!(2), &json!(1)));
    assert_eq!(health["error_count"], 3);
    gate.await_waiting(3);
    assert_eq!(abandoned(&site), 3);

    // A reload can't help: it has no thread to give.
    let (status, answer) = site.post("/v1/plugins/hangs/reload", "");
    assert_eq!(status, 503, "{answer}");
    let health = site.await_health("hangs", |health| health["quarantined"] == true);
    check_left_alone(&health);
    let good = |site: &Site| site.health("good")["success_count"].as_u64().unwrap();
    let before = good(&site);
    site.await_health("good", |health| health["success_count"].as_u64().unwrap() > before + 20);

    gate.open();
    let health = site.await_state("hangs", "RUNNING");
    assert_eq!((&health["quarantined"], &health["restarts"]), (&json!(false), &json!(2)));
    assert_eq!((&health["generation"], &health["code"]), (&json!(4), &Value::Null));
    site.await_health("hangs", |health| health["success_count"].as_u64() > Some(5));
    site.await_health("hangs", |_| abandoned(&site) == 0);
}

#[test]
fn generations_that_hang_when_dropped_count_as_hung_threads() {
    let gate = Gate::default();
    let held = gate.clone();
    Script::default().on_drop(move || held.wait()).named("drops-never");
    let site = start("drops-never", false);
    site.await_state("hangs", "INITIALIZED");
    for generation in 2..5 {
        let (status, answer) = site.post("/v1/plugins/hangs/reload", "");
        assert_eq!(status, 200, "{answer}");
        assert_eq!(site.health("hangs")["generation"], generation);
    }
    let health = site.await_health("hangs", |health| health["quarantined"] == true);
    check_left_alone(&health);
    assert_eq!((&health["generation"], &health["restarts"]), (&json!(4), &json!(0)));
    gate.open();
    let health = site.await_state("hangs", "INITIALIZED");
    assert_eq!((&health["generation"], &health["restarts"]), (&json!(5), &json!(1)));
}

#[test]
fn generations_that_panic_when_dropped_cost_nothing() {
    Script::default().on_drop(|| panic!("in drop")).named("drops-badly");
    let site = start("drops-badly", false);
    site.await_state("hangs", "INITIALIZED");
    for generation in 2..10 {
        assert_eq!(site.post("/v1/plugins/hangs/reload", "").0, 200);
        let health = site.health("hangs");
        assert_eq!((&health["generation"], &health["restarts"]), (&json!(generation), &json!(0)));
        assert_eq!(
            (&health["state"], &health["quarantined"]),
            (&json!("INITIALIZED"), &json!(false))
        );
    }
    assert!(site.runtime.wait_loaded(Duration::ZERO));
}
