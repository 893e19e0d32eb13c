//! A session that panics, hangs or says no ends alone.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use keepsight::streams::FrameOutcome;
use keepsight_contract::{CallError, Response};
use serde_json::json;

use crate::support::{Behaviour, Gate, Script, Site, Switch};

/// A stream with a plugin of the script and one beside it that does well.
fn start(script: &str) -> Site {
    Site::start(&format!(
        "[plugins.bad]
         use = \"scripted\"
         deadline = \"200ms\"
         restart = {{ budget = 3, window = \"10min\", backoff = [\"10ms\", \"50ms\"] }}
         config = {{ script = \"{script}\" }}
         [plugins.good]
         use = \"scripted\"
         config = {{ script = \"\" }}
         [streams.s]
         source = \"test:{script}\"
         plugins = [\"bad\", \"good\"]"
    ))
}

/// Frames that the plugin beside the bad one has seen by now.
fn seen_by_good(site: &Site) -> u64 {
    site.stream("s")["plugins"][1]["processed"].as_u64().unwrap()
}

#[track_caller]
fn check_good_goes_on(site: &Site) {
    let before = seen_by_good(site);
    site.await_stream("s", |report| {
        report["plugins"][1]["processed"].as_u64().unwrap() > before + 20
    });
    let health = site.health("good");
    assert_eq!((&health["state"], &health["error_count"]), (&json!("RUNNING"), &json!(0)));
}

#[test]
fn one_panic_ends_one_session_and_another_is_opened() {
    let runs = Arc::new(AtomicU64::new(0));
    Script::default()
        .run(move |_, _| {
            assert_ne!(runs.fetch_add(1, SeqCst), 10, "the eleventh");
            Ok(Response::new())
        })
        .named("panics-once");
    let site = start("panics-once");
    let health = site.await_health("bad", |health| health["error_count"] == 1);
    assert_eq!(health["generation"], 1);
    let successes = |health: &serde_json::Value| health["success_count"].as_u64().unwrap();
    site.await_health("bad", |health| successes(health) > 20 && health["state"] == "RUNNING");
    check_good_goes_on(&site);
}

#[test]
fn a_session_that_keeps_panicking_is_restarted_then_quarantined() {
    Script::default().run(|_, _| panic!("every time")).named("panics-always");
    let site = start("panics-always");
    let health = site.await_health("bad", |health| health["quarantined"] == true);
    assert_eq!(
        (&health["state"], &health["code"]),
        (&json!("FAILED"), &json!("supervisor.quarantined"))
    );
    assert!(health["reason"].as_str().unwrap().contains("every time"), "{health:#}");
    assert_eq!(health["restarts"], 3);
    check_good_goes_on(&site);

    Script::default().named("panics-always");
    let (status, answer) = site.post("/v1/plugins/bad/reload", "");
    assert_eq!(status, 200, "{answer}");
    site.await_state("bad", "RUNNING");
    assert_eq!(site.health("bad")["quarantined"], false);
}

#[test]
fn a_session_that_hangs_is_abandoned_and_another_is_opened() {
    let (gate, hung) = (Gate::default(), Arc::new(AtomicBool::new(false)));
    let held = gate.clone();
    Script::default()
        .run(move |_, _| {
            if !hung.swap(true, SeqCst) {
                held.wait();
            }
            Ok(Response::new())
        })
        .named("hangs-once");
    let site = start("hangs-once");
    gate.await_waiting(1);
    check_good_goes_on(&site);
    site.await_health("bad", |health| health["error_count"] == 1);
    site.await_health("bad", |health| {
        health["success_count"].as_u64().unwrap() > 5 && health["state"] == "RUNNING"
    });
    gate.open();
    check_good_goes_on(&site);
}

#[test]
fn an_ordinary_failure_is_counted_and_the_session_goes_on() {
    let sessions = Arc::new(AtomicU64::new(0));
    let opened = sessions.clone();
    Script::default()
        .open(move |_| {
            opened.fetch_add(1, SeqCst);
            Ok(())
        })
        .run(|request, _| {
            let sequence = request.frame().unwrap().sequence();
            if sequence % 2 == 0 {
                Err(CallError::failed("an even one"))
            } else {
                Ok(Response::new())
            }
        })
        .named("fails-half");
    let site = start("fails-half");
    site.await_health("bad", |health| health["error_count"].as_u64().unwrap() > 20);
    assert_eq!(sessions.load(SeqCst), 1);
}

#[test]
fn failures_without_end_and_a_broken_instance_count_as_faults() {
    Script::default().run(|_, _| Err(CallError::failed("no more"))).named("fails-always");
    let health = start("fails-always").await_health("bad", |health| health["quarantined"] == true);
    assert!(health["reason"].as_str().unwrap().contains("no more"), "{health:#}");

    Script::default().run(|_, _| Err(CallError::broken("in two"))).named("broken");
    let site = start("broken");
    let health = site.await_health("bad", |health| health["quarantined"] == true);
    assert!(health["reason"].as_str().unwrap().contains("in two"), "{health:#}");
    check_good_goes_on(&site);
}

#[test]
fn a_session_that_can_not_be_opened_fails_alone() {
    let site = Site::start(
        "[plugins.bad]
         use = \"scripted\"
         restart = { budget = 2, window = \"10min\", backoff = [\"10ms\", \"50ms\"] }
         config = { script = \"\" }
         [streams.s]
         source = \"test:refusing\"
         plugins = [\"bad\"]
         settings = { bad = { label = \"refuse\" } }",
    );
    let health = site.await_health("bad", |health| health["quarantined"] == true);
    assert!(health["reason"].as_str().unwrap().contains("told to refuse"), "{health:#}");
}

#[test]
fn a_frame_of_another_size_opens_another_session() {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let noted = sizes.clone();
    Script::default()
        .open(move |stream| {
            noted.lock().unwrap().push(stream.size.unwrap().to_string());
            Ok(())
        })
        .named("sizes");
    let switch = Switch::named("sizes", Behaviour::Gives);
    let site = start("sizes");
    site.await_health("bad", |health| health["success_count"].as_u64().unwrap() > 3);
    switch.set(Behaviour::GivesSize(32, 32));
    let wanted = ["16x8", "32x32"];
    site.await_health("bad", |_| *sizes.lock().unwrap() == wanted);
}

#[test]
fn a_listener_hears_every_outcome_in_order() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let noted = heard.clone();
    let listener = Arc::new(move |outcome: &FrameOutcome| {
        assert!(outcome.result.is_ok());
        noted.lock().unwrap().push(outcome.frame.sequence());
    });
    let site = Site::try_start(
        "[plugins.p]
         use = \"scripted\"
         config = { script = \"\" }
         [streams.s]
         source = \"test:heard?frames=100\"
         mode = \"every\"
         plugins = [\"p\"]",
        vec![listener],
    )
    .unwrap();
    site.await_stream("s", |report| report["plugins"][0]["state"] == "closed");
    assert_eq!(*heard.lock().unwrap(), (0..100).collect::<Vec<_>>());
}
