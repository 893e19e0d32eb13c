//! Panics in every place where a plugin's code runs, beside calls.

use keepsight_contract::{Finding, PROBES, Probe, ProbeCheck, Requirement};
use serde_json::json;

use super::{Case, stage::Stage};
use crate::support::{Gate, Script};

pub(super) const CASES: &[Case] = &[
    ("panic in init", in_init),
    ("panic in open", in_open),
    ("panic in a session's drop", in_a_sessions_drop),
    ("panic in the plugin's drop", in_the_plugins_drop),
    ("panic in a probe", in_a_probe),
];

fn in_init() {
    let stage = Stage::injecting(
        "restart.backoff = [\"1h\", \"1h\"]
         config.faults = [{ at = \"init\", kind = \"panic\" }]",
    );
    stage.state("FAILED", "init.panicked", "panicked in init: a panic on request");
    stage.site.await_health("p", |health| health["next_attempt_in_seconds"].is_number());
    stage.fault("init.panicked", "a panic on request");
    stage.call("ok", json!({}), 503);
    stage.end();
}

fn in_open() {
    let stage = Stage::planning("at = \"open\", kind = \"panic\"");
    let answer = stage.call("ok", json!({}), 500);
    assert!(answer["detail"].as_str().unwrap().contains("panicked in open"), "{answer}");
    stage.fault("open.panicked", "a panic on request");
    assert_eq!(stage.well()["error_count"], 1, "a call that could not begin is one that failed");
    stage.call("ok", json!({}), 200);
    stage.end();
}

fn in_a_sessions_drop() {
    let stage = Stage::planning("at = \"drop\", kind = \"panic\"");
    stage.call("ok", json!({}), 200);
    stage.fault("close.panicked", "a panic on request");
    stage.call("ok", json!({}), 200);
    let health = stage.well();
    assert_eq!((&health["success_count"], &health["generation"]), (&json!(2), &json!(1)));
    stage.end();
}

fn in_the_plugins_drop() {
    let stage = Stage::planning("at = \"shutdown\", kind = \"panic\"");
    stage.call("ok", json!({}), 200);
    let (status, answer) = stage.site.post("/v1/plugins/p/reload", "");
    assert_eq!(status, 200, "{answer}");
    stage.fault("close.panicked", "a panic on request");
    let health = stage.well();
    assert_eq!(health["generation"], 2, "the next one is well: {health:#}");
    stage.call("ok", json!({}), 200);
    stage.end();
}

fn in_a_probe() {
    let stage = Stage::playing(Script::default().requires(camera("panics")), "");
    stage.state("UNAVAILABLE", "probe.panicked", "panicked in probe: a probe's panic");
    let requirements = stage.report()["requirements"].clone();
    let found = (&requirements[0]["code"], &requirements[0]["met"]);
    assert_eq!(found, (&json!("probe.panicked"), &json!(false)));
    stage.call("do", json!({}), 503);
    stage.end();
}

/// What the probe of this binary's tests checks.
pub(super) fn camera(uri: &str) -> Requirement {
    Requirement::Camera { uri: uri.to_owned() }
}

/// Where the probe hangs.
pub(super) static HANGING_PROBE: std::sync::LazyLock<Gate> =
    std::sync::LazyLock::new(Gate::default);

/// For a kind of requirement for which no crate has one.
#[linkme::distributed_slice(PROBES)]
static CAMERA: Probe = Probe { kind: "camera", check: ProbeCheck::InProcess(look_for_camera) };

fn look_for_camera(requirement: &Requirement) -> Finding {
    match requirement.subject().as_str() {
        "panics" => panic!("a probe's panic"),
        "hangs" => HANGING_PROBE.wait(),
        _ => {}
    }
    Finding::met(requirement.subject(), "it is there")
}
