//! What is asked of the fault injectors.

use serde_json::{Value, json};

use crate::random::Random;

/// The tool to call and its arguments.
pub(crate) fn choose(random: &mut Random) -> (&'static str, Value) {
    let (tool, mut args) = random.weighted(&choices()).clone();
    if args["kind"] == "sleep" {
        let times = [(5, 1..40), (1, 600..1500)];
        let seconds = random.weighted(&times).clone();
        args["seconds"] = json!(random.milliseconds(seconds).as_secs_f64());
    }
    if args["kind"] == "memory" {
        // Beyond the limit of 32 MiB, and well below it.
        let sizes = [(2, "40MiB"), (3, "1MiB"), (3, "4MiB")];
        args["bytes"] = json!(random.weighted(&sizes));
    }
    (tool, args)
}

/// Every kind that a process survives and that ends; what hangs is released by and by.
fn choices() -> Vec<(u64, (&'static str, Value))> {
    let fail = |weight, kind: &str| (weight, ("fail", json!({ "kind": kind })));
    let memory = |weight, then: &str| (weight, ("fail", json!({"kind": "memory", "then": then})));
    vec![
        (40, ("ok", json!({}))),
        (2, ("fail", json!({"kind": "nothing that there is"}))),
        fail(5, "panic"),
        fail(4, "panic_formatted"),
        fail(3, "panic_payload"),
        fail(3, "panic_payload_drop"),
        fail(3, "panic_thread"),
        fail(2, "panic_hook"),
        fail(12, "failed"),
        fail(2, "broken"),
        fail(6, "bad_arguments"),
        fail(1, "hang"),
        fail(1, "spin"),
        fail(1, "lock"),
        fail(2, "wait"),
        fail(10, "sleep"),
        memory(4, "return"),
        memory(2, "wait"),
        memory(1, "hang"),
    ]
}
