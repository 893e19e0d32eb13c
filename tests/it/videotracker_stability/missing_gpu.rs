//! No adapter, one that will not do, a driver that crashes or hangs.

use std::{path::PathBuf, process::Command};

use keepsight::loader::ProbeProgram;
use serde_json::json;

use super::support::{check_alive, check_unavailable, check_undisturbed, start_scene};
use crate::support::{Site, site::Setup};

/// A site whose probes are what the shell makes of `script`.
#[track_caller]
fn start(tracker: &str, runtime: &str, script: &str) -> (Site, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let probe_program = ProbeProgram::at(write_script(folder.path().join("probe"), script));
    let setup = Setup { probe_program, ..Setup::with_everything() };
    (start_scene(tracker, runtime, setup), folder)
}

/// Has the shell write a program: were it written here, a child that another test starts at that
/// moment could hold it open for writing, and it could not be run.
fn write_script(path: PathBuf, script: &str) -> PathBuf {
    let write = "printf '%s\\n' '#!/bin/sh' \"$2\" > \"$1\" && chmod 755 \"$1\"";
    let path_text = path.to_str().unwrap();
    let status = Command::new("sh").args(["-c", write, "sh", path_text, script]).status().unwrap();
    assert!(status.success());
    path
}

/// The real probe, on a machine whose drivers are gone.
fn without_drivers() -> String {
    format!(
        "VK_DRIVER_FILES=/nonexistent VK_ICD_FILENAMES=/nonexistent exec '{}' \"$@\"",
        env!("CARGO_BIN_EXE_keepsight")
    )
}

/// The survey of a machine with one adapter.
fn survey(kind: &str) -> String {
    let adapter = json!({
        "name": NOBODYS, "backend": "vulkan", "kind": kind, "driver": "1",
        "limits": {
            "buffer_bytes_max": 1 << 28, "storage_binding_bytes_max": 1 << 27,
            "storage_buffers_max": 8, "workgroup_memory_bytes": 32_768,
            "workgroup_invocations_max": 256,
        },
        "features": [], "sufficient": true,
    });
    format!("echo '{}'", json!({ "backends": ["vulkan"], "adapters": [adapter] }))
}

#[test]
fn required_without_an_adapter_is_unavailable_and_nothing_else_is() {
    let (site, _folder) = start("gpu = \"required\"", "", &without_drivers());
    let reason = ["no graphics driver offers an adapter"];
    check_unavailable(&site, "tracker", "dependency.gpu_missing", &reason);
    let health =
        site.await_health("tracker", |health| health["next_attempt_in_seconds"].is_number());
    assert_eq!(health["streams"], json!({"scene": "waiting"}));
    check_undisturbed(&site, "scene", "stats", 10);
}

#[test]
fn required_with_the_processor_as_its_only_adapter_is_unavailable() {
    let (site, _folder) = start("gpu = \"required\"", "", &survey("software"));
    let reason = ["no adapter will do", NOBODYS, "it is the processor"];
    check_unavailable(&site, "tracker", "dependency.gpu_missing", &reason);
    check_undisturbed(&site, "scene", "stats", 5);
}

#[test]
fn an_adapter_that_is_gone_by_the_time_of_init_is_missing_too() {
    let tracker = format!("gpu = \"required\", adapter = \"{NOBODYS}\"");
    let (site, _folder) = start(&tracker, "", &survey("discrete"));
    check_unavailable(&site, "tracker", "dependency.gpu_missing", &[]);
    check_undisturbed(&site, "scene", "stats", 5);
}

#[test]
fn a_driver_that_crashes_takes_the_probe_with_it_and_no_more() {
    let script = "echo 'the driver crashes' >&2; kill -SEGV $$";
    let (site, _folder) = start("gpu = \"required\"", "", script);
    let reason = ["signal: 11", "the driver crashes"];
    check_unavailable(&site, "tracker", "dependency.probe_failed", &reason);
    check_undisturbed(&site, "scene", "stats", 5);
}

#[test]
fn a_driver_that_hangs_is_ended_at_the_probes_limit() {
    let limit = "runtime.limits.probe = \"300ms\"";
    let (site, _folder) = start("gpu = \"required\"", limit, "exec sleep 600");
    check_unavailable(&site, "tracker", "dependency.probe_failed", &["300"]);
    check_undisturbed(&site, "scene", "stats", 5);
}

#[test]
fn a_reload_after_the_gpu_was_given_up_brings_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let program = write_script(folder.path().join("probe"), "exit 1");
    let setup = Setup { probe_program: ProbeProgram::at(program), ..Setup::with_everything() };
    // The file that says `gpu = "required"` can't change in a running process; a second site
    // with the same stream is what a restart with another file is.
    let site = start_scene("gpu = \"required\"", "", setup);
    site.await_state("tracker", "UNAVAILABLE");
    let (status, answer) = site.post("/v1/plugins/tracker/reload", "");
    assert_eq!(status, 503, "{answer}");
    assert_eq!(site.health("tracker")["generation"], 2);
    check_undisturbed(&site, "scene", "stats", 5);
    drop(site);
    let site = start_scene("gpu = \"off\"", "", Setup::with_everything());
    site.await_state("tracker", "RUNNING");
}

#[test]
fn off_tracks_on_the_processor_and_asks_for_no_adapter() {
    // Were the probe asked, it would fail.
    let (site, _folder) = start("gpu = \"off\"", "", "exit 1");
    check_undisturbed(&site, "scene", "tracker", 2);
    assert_eq!(site.health("tracker")["degraded"], json!([]));
    check_alive(&site);
}

#[test]
fn auto_without_an_adapter_tracks_on_the_processor_and_says_so() {
    let tracker = format!("gpu = \"auto\", adapter = \"{NOBODYS}\"");
    let (site, _folder) = start(&tracker, "", &without_drivers());
    check_undisturbed(&site, "scene", "tracker", 2);
    let health = site.health("tracker");
    let degraded = health["degraded"].as_array().unwrap();
    assert_eq!(degraded.len(), 1, "{health:#}");
    assert_eq!(degraded[0]["code"], "gpu.cpu_fallback", "{health:#}");
    // The child found that out: the process itself looks for no driver where it saw none.
    let reason = degraded[0]["reason"].as_str().unwrap();
    assert!(reason.contains("no graphics driver offers an adapter"), "{health:#}");
    assert!(degraded[0]["hint"].as_str().is_some_and(|text| !text.is_empty()), "{health:#}");
    check_undisturbed(&site, "scene", "stats", 5);
}

#[test]
fn auto_with_a_driver_that_crashes_tracks_on_the_processor_and_says_so() {
    let script = "echo 'the driver crashes' >&2; kill -SEGV $$";
    let (site, _folder) = start("gpu = \"auto\"", "", script);
    check_undisturbed(&site, "scene", "tracker", 2);
    let health = site.health("tracker");
    assert_eq!(health["degraded"][0]["code"], "gpu.cpu_fallback", "{health:#}");
    let reason = health["degraded"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("the driver crashes"), "{health:#}");
}

const NOBODYS: &str = "an adapter that nobody makes";
