//! Panics of every shape, in a call and on threads that are no worker's.

use serde_json::json;

use super::{Case, is_alone, stage::Stage};

pub(super) const CASES: &[Case] = &[
    ("panic with a string", || in_a_call("panic", "a panic on request")),
    ("panic with a formatted message", || {
        in_a_call("panic_formatted", "of the kind PanicFormatted");
    }),
    ("panic with a payload of its own", || {
        in_a_call("panic_payload", "a panic whose payload is no text");
    }),
    ("panic whose payload panics when dropped", || {
        in_a_call("panic_payload_drop", "a panic whose payload is no text");
    }),
    ("panic on a thread of the plugin's own", on_an_own_thread),
    ("panic on a pool's thread in the plugin's scope", on_a_pools_thread),
    ("panic behind a panic hook of the plugin's own", behind_its_own_hook),
];

#[track_caller]
fn in_a_call(kind: &str, says: &str) {
    let stage = Stage::injecting("");
    stage.fail(kind, 500, says);
    let fault = stage.fault("run.panicked", says);
    assert!(fault["location"].as_str().unwrap().contains("fault.rs:"), "{fault:#}");
    assert_eq!(fault["hook_replaced"], false, "{fault:#}");
    let health = stage.well();
    let counted = ["error_count", "success_count", "generation"].map(|key| &health[key]);
    assert_eq!(counted, [1, 0, 1], "{health:#}");
    stage.call("ok", json!({}), 200);
    stage.end();
}

fn on_an_own_thread() {
    let stage = Stage::injecting("");
    stage.fail("panic_thread", 200, "");
    stage.fault(
        "thread.panicked",
        "thread \"panics\": panicked in thread: a thread's panic on request",
    );
    stage.degraded("thread.panicked", "a thread's panic on request");
    stage.call("ok", json!({}), 200);
    stage.end();
}

fn on_a_pools_thread() {
    let stage = Stage::injecting("");
    stage.fail("panic_scope", 200, "");
    stage.fault(
        "thread.panicked",
        "thread \"pool\": panicked in thread: a pool thread's panic on request",
    );
    stage.degraded("thread.panicked", "a pool thread's panic on request");
    stage.call("ok", json!({}), 200);
    stage.end();
}

/// The hook is the process's.
fn behind_its_own_hook() {
    if !is_alone() {
        return;
    }
    let stage = Stage::injecting("");
    stage.fail("panic_hook", 500, "behind a hook of the plugin's own");
    let fault = stage.fault("run.panicked", "behind a hook of the plugin's own");
    assert_eq!((&fault["hook_replaced"], &fault["location"]), (&json!(true), &json!(null)));
    stage.fail("panic_formatted", 500, "of the kind PanicFormatted");
    let next = stage.fault("run.panicked", "of the kind PanicFormatted");
    assert_eq!(next["hook_replaced"], false, "{next:#}");
    assert!(next["location"].as_str().unwrap().contains("fault.rs:"), "it was put back: {next:#}");
    stage.end();
}
