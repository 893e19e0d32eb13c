//! Errors that a plugin returns: no fault of its thread, each with a meaning of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    thread,
};

use keepsight_contract::{CallError, Response};
use serde_json::json;

use super::{Case, stage::Stage};
use crate::support::{Gate, Script, gate::LONGEST};

pub(super) const CASES: &[Case] = &[
    ("error: bad arguments", bad_arguments),
    ("error: failed", failed),
    ("error: failed on frame after frame", failed_again_and_again),
    ("error: broken", broken),
    ("error: cancelled, though nobody cancelled", cancelled),
    ("error in open", in_open),
    ("error in init: failed", init_failed),
    ("error in init: something is missing", init_unmet),
    ("plugin broken while streams and queued calls wait", broken_while_others_wait),
];

fn bad_arguments() {
    let stage = Stage::injecting("");
    stage.fail("bad_arguments", 400, "refused on request");
    stage.counted_and_no_fault("run.bad_arguments", 1);
    stage.call("ok", json!({}), 200);
    stage.end();
}

fn failed() {
    let stage = Stage::injecting("");
    for _ in 0..3 {
        stage.fail("failed", 500, "a failure on request");
    }
    stage.counted_and_no_fault("run.failed", 3);
    assert_eq!(stage.well()["generation"], 1);
    stage.call("ok", json!({}), 200);
    stage.end();
}

fn failed_again_and_again() {
    let stage = Stage::injecting(
        "config.faults = [{ at = \"run\", kind = \"failed\", every = 1 }]
         [streams.s]
         source = \"test:matrix\"
         plugins = [\"p\"]",
    );
    stage.fault("run.failed", "a failure on request");
    stage.end();
}

fn broken() {
    let stage = Stage::injecting("");
    stage.fail("broken", 500, "broken on request");
    stage.fault("run.broken", "broken on request");
    stage.went_through("FAILED", "run.broken", "broken on request");
    let health = stage
        .site
        .await_health("p", |health| health["state"] == "INITIALIZED" && health["generation"] == 2);
    assert_eq!(health["restarts"], 1, "{health:#}");
    stage.call("ok", json!({}), 200);
    stage.end();
}

fn cancelled() {
    let stage = Stage::injecting("");
    stage.fail("cancelled", 503, "");
    stage.counted_and_no_fault("run.cancelled", 1);
    stage.call("ok", json!({}), 200);
    stage.end();
}

fn in_open() {
    let stage = Stage::planning("at = \"open\", kind = \"failed\"");
    let answer = stage.call("ok", json!({}), 500);
    assert!(answer["detail"].as_str().unwrap().contains("a failure on request"), "{answer}");
    stage.call("ok", json!({}), 200);
    stage.end();
}

fn init_failed() {
    let stage = Stage::injecting(
        "restart.backoff = [\"1h\", \"1h\"]
         config.faults = [{ at = \"init\", kind = \"failed\" }]",
    );
    stage.state("FAILED", "init.failed", "a failure on request");
    stage.call("ok", json!({}), 503);
    stage.end();
}

fn init_unmet() {
    let stage = Stage::planning("at = \"init\", kind = \"unmet\"");
    stage.state("UNAVAILABLE", "dependency.file_missing", "it is missing on request");
    stage.call("ok", json!({}), 503);
    stage.end();
}

/// Two calls run, eight wait, a stream goes on: each call has one answer, and those that waited were
/// never run.
fn broken_while_others_wait() {
    let (gate, runs) = (Gate::default(), Arc::new(AtomicU64::new(0)));
    let (held, counted) = (gate.clone(), runs.clone());
    let script = Script::default().run(move |request, _| {
        if request.frame().is_none() {
            counted.fetch_add(1, SeqCst);
            held.wait();
            return Err(CallError::broken("for good"));
        }
        Ok(Response::new())
    });
    let stage = Stage::playing(script, "[streams.s]\nsource = \"test:matrix\"\nplugins = [\"p\"]");
    stage.site.await_state("p", "RUNNING");
    let (answer, answers) = mpsc::channel();
    let (mut refused, mut broken, mut given_up) = (0, 0, 0);
    thread::scope(|scope| {
        for _ in 0..12 {
            let (stage, answer) = (&stage, answer.clone());
            scope.spawn(move || answer.send(stage.site.run_tool("p", "do", &json!({}))).unwrap());
        }
        drop(answer);
        // Two find the queue full; then it is.
        for _ in 0..2 {
            let (status, answer) = answers.recv_timeout(LONGEST).unwrap();
            assert_eq!(status, 503, "{answer}");
            refused += 1;
        }
        gate.await_waiting(2);
        gate.open();
        for (status, answer) in answers.iter() {
            match status {
                500 => broken += 1,
                503 => given_up += 1,
                _ => panic!("{answer}"),
            }
        }
    });
    assert_eq!((refused, broken, given_up), (2, 2, 8), "each has one answer");
    assert_eq!(runs.load(SeqCst), 2, "no call of a generation is run by the next");
    stage.went_through("FAILED", "run.broken", "for good");
    stage.site.await_health("p", |health| {
        health["state"] == "RUNNING" && health["generation"].as_u64() > Some(1)
    });
    stage.end();
}
