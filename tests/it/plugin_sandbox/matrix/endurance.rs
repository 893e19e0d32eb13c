//! Faults without an end.

use std::fs;

use keepsight::{
    api::Backend,
    loader::{ToolCall, ToolError},
};
use serde_json::json;

use super::{Case, is_alone, stage::Stage};

pub(super) const CASES: &[Case] = &[("ten thousand panics in a row", ten_thousand_panics)];

/// What a process has of things that could run out.
#[derive(Debug)]
struct Holdings {
    /// In bytes.
    resident: u64,
    threads: usize,
    descriptors: usize,
}

/// Resident memory may differ by so much, in bytes: what the allocator keeps for later.
const RESIDENT_SLACK: u64 = 8 << 20;

fn ten_thousand_panics() {
    if !is_alone() {
        return;
    }
    // No two faults are within that window, so that it is one instance from the first to the last.
    let stage = Stage::injecting("restart.window = \"0.000001ms\"");
    stage.site.await_state("p", "INITIALIZED");
    // So many fill every history and cache that there is.
    panic_times(&stage, 3_000);
    let before = Holdings::now();
    panic_times(&stage, 10_000);
    let after = Holdings::now();
    assert!(after.resident < before.resident + RESIDENT_SLACK, "{before:?} {after:?}");
    // Calls have two threads and health has its own, whether they are there at the moment or not.
    assert!(after.threads <= before.threads + 2, "{before:?} {after:?}");
    assert!(after.descriptors <= before.descriptors + 2, "{before:?} {after:?}");

    let health = stage.well();
    let counted = ["error_count", "success_count", "generation"].map(|key| &health[key]);
    assert_eq!(counted, [13_000, 0, 1], "{health:#}");
    let memory = stage.report()["memory"]["bytes"].as_u64().unwrap();
    assert!(memory < 1 << 20, "{memory} bytes are still the plugin's");
    stage.call("ok", json!({}), 200);
    stage.end();
}

fn panic_times(stage: &Stage, times: u32) {
    for _ in 0..times {
        let args = json!({ "kind": "panic_formatted" });
        let call = ToolCall { tool: "fail".to_owned(), args, frame: None, session: None };
        match stage.site.runtime.run_tool("p", call) {
            Err(ToolError::Fault { code, .. }) => assert_eq!(code, "run.panicked"),
            other => panic!("{other:?}"),
        }
    }
}

impl Holdings {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: u64 = resident.trim().trim_end_matches("kB").trim().parse().unwrap();
        Self {
            resident: kib << 10,
            threads: fs::read_dir("/proc/self/task").unwrap().count(),
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
        }
    }
}
