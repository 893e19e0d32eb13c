//! `/v1/inspector/…`.

use std::time::{Duration, SystemTime};

use expect_test::expect;
use keepsight::inspector::{Cooling, Disk, GpuSurvey, HostReport, OutputReport, Temperature};
use keepsight_contract::Requirement;
use serde_json::{Value, json};

use super::{client::get, fake_backend::FakeBackend};
use crate::support::{Script, Site, site::await_value};

#[test]
fn a_panics_stack_can_be_looked_at() {
    let site = Site::start(
        "[plugins.inspected-stack]
         use = \"fault-injector\"
         restart = { budget = 1000, window = \"1s\", backoff = [\"1ms\", \"1ms\"] }",
    );
    site.await_state("inspected-stack", "INITIALIZED");
    // One is taken a second, and names that fall together share that second, whatever test of
    // this process they are in: so it panics until it has had its turn.
    let ask = || {
        site.run_tool("inspected-stack", "fail", &json!({ "kind": "panic" }));
        site.get("/v1/inspector/plugins/inspected-stack").1["faults"].clone()
    };
    let has_stack = |fault: &&Value| fault["has_backtrace"] == true;
    let faults =
        await_value(ask, |faults| faults.as_array().unwrap().iter().any(|fault| has_stack(&fault)));
    let fault = faults.as_array().unwrap().iter().find(has_stack).unwrap();
    let backtrace = fault["backtrace"].as_str().unwrap();
    assert!(backtrace.contains("fault_injector"), "{backtrace}");
}

#[test]
fn a_panic_is_shown_with_its_place() {
    let site = Site::start("[plugins.inspected]\nuse = \"fault-injector\"");
    site.await_state("inspected", "INITIALIZED");
    assert_eq!(site.run_tool("inspected", "ok", &json!({})).0, 200);
    assert_eq!(site.run_tool("inspected", "fail", &json!({ "kind": "panic" })).0, 500);
    assert_eq!(site.run_tool("inspected", "fail", &json!({ "kind": "failed" })).0, 500);

    let (status, plugin) = site.get("/v1/inspector/plugins/inspected");
    assert_eq!(status, 200, "{plugin}");
    let fault = &plugin["faults"][0];
    assert_eq!(fault["code"], "run.panicked", "{plugin:#}");
    assert!(fault["reason"].as_str().unwrap().contains("a panic on request"), "{fault:#}");
    let location = fault["location"].as_str().unwrap();
    assert!(location.contains("fault-injector") && location.contains(".rs:"), "{location}");
    assert!(fault["at"].as_str().unwrap().ends_with('Z'), "{fault:#}");

    assert_eq!(plugin["errors"], json!({ "run.failed": 1, "run.panicked": 1 }), "{plugin:#}");
    assert_eq!(plugin["timings"]["count"], 3, "{plugin:#}");
    let time = |key: &str| plugin["timings"][key].as_f64().unwrap();
    assert!(time("p50_ms") <= time("p95_ms") && time("p99_ms") <= time("max_ms"), "{plugin:#}");
    // The tests' allocator counts, as the binary's does.
    let memory = &plugin["memory"];
    assert_eq!((&memory["measured"], &memory["limit_bytes"]), (&json!(true), &Value::Null));
    assert!(memory["peak_bytes"].as_u64() > Some(0), "{memory}");
    assert_eq!(plugin["manifest"]["id"], "fault-injector");
    assert_eq!(plugin["isolation"], "thread");
    assert!(plugin["not_contained"].as_array().unwrap().contains(&json!("abort")));
    assert_eq!(plugin["restart_policy"]["budget"], 5);

    let steps: Vec<_> = plugin["transitions"].as_array().unwrap().iter().collect();
    let walk = |step: &&Value| (step["from"].clone(), step["to"].clone());
    let expected = [(Value::Null, json!("LOADED")), (json!("LOADED"), json!("INITIALIZED"))];
    assert_eq!(steps.iter().map(walk).collect::<Vec<_>>(), expected, "{plugin:#}");
    assert_eq!(steps[1]["code"], "lifecycle.initialized");

    // The list has the same, without the texts of the stacks.
    let (status, mut list) = site.get("/v1/inspector/plugins");
    assert_eq!(status, 200, "{list}");
    assert_eq!(list[0]["faults"][0].get("backtrace"), None);
    assert_eq!(list[0]["faults"][0]["has_backtrace"], true);
    assert_eq!(list[0]["transitions"].take(), plugin["transitions"]);
}

#[test]
fn a_requirement_is_shown_with_what_its_check_found() {
    let variable = |name: &str| Requirement::EnvVar { name: name.to_owned() };
    Script::default()
        .requires(variable("PATH"))
        .requires(variable("KEEPSIGHT_NO_SUCH"))
        .named("inspected");
    let site = Site::start("[plugins.it]\nuse = \"scripted\"\nconfig = { script = \"inspected\" }");
    site.await_health("it", |health| health["next_attempt_in_seconds"].is_number());
    let (_, plugin) = site.get("/v1/inspector/plugins/it");
    let found = |index: usize| {
        let finding = &plugin["requirements"][index];
        (finding["met"].clone(), finding["code"].clone())
    };
    assert_eq!(found(0), (json!(true), json!("ok")), "{plugin:#}");
    assert_eq!(found(1), (json!(false), json!("dependency.variable_missing")), "{plugin:#}");
    assert_eq!(plugin["timings"]["p99_ms"], Value::Null);
    assert!(plugin["next_attempt_in_seconds"].as_f64().unwrap() > 1.0, "{plugin:#}");
}

#[test]
fn a_panic_in_init_is_a_fault_too() {
    Script::default().init(|_| panic!("not today")).named("inspected-init");
    let site =
        Site::start("[plugins.it]\nuse = \"scripted\"\nconfig = { script = \"inspected-init\" }");
    site.await_state("it", "FAILED");
    let (_, plugin) = site.get("/v1/inspector/plugins/it");
    let fault = &plugin["faults"][0];
    assert_eq!(fault["code"], "init.panicked", "{plugin:#}");
    assert!(fault["location"].as_str().unwrap().contains("inspector.rs:"), "{plugin:#}");
}

#[test]
fn unknown_plugins_are_not_found() {
    let server = FakeBackend::default().serve();
    let answer = get(server.address(), "/v1/inspector/plugins/x");
    assert_eq!((answer.status, answer.detail().as_str()), (404, "Plugin 'x' not found"));
    for path in ["/v1/inspector", "/v1/inspector/plugins/", "/v1/inspector/x"] {
        assert_eq!(get(server.address(), path).detail(), "Not Found", "{path}");
    }
}

#[test]
fn the_host_says_what_is_known_and_null_for_the_rest() {
    let host = HostReport {
        uptime: Duration::from_millis(1500),
        clock_synchronized: Some(true),
        temperatures: vec![Temperature { name: "cpu-thermal".to_owned(), celsius: 61.25 }],
        cooling: vec![Cooling { name: "Processor".to_owned(), state: 2, state_max: 10 }],
        disk: Some(Disk { path: "/var/lib/x".to_owned(), total_bytes: 9, available_bytes: 4 }),
        resident_bytes: Some(1 << 20),
        abandoned: 1,
        abandoned_ever: 2,
        gpu: GpuSurvey::Found(Duration::from_secs(3), json!({ "adapters": [] })),
        outputs: vec![failing_output()],
        ..HostReport::default()
    };
    let server = FakeBackend { host, ..FakeBackend::default() }.serve();
    let mut body = get(server.address(), "/v1/inspector/host").json();
    assert!(body["time"].take().as_str().unwrap().ends_with('Z'));
    body["version"].take();
    expect![[r#"
        {
          "abandoned_workers": 1,
          "abandoned_workers_ever": 2,
          "children": null,
          "clock_synchronized": true,
          "cooling": [
            {
              "name": "Processor",
              "state": 2,
              "state_max": 10
            }
          ],
          "disk": {
            "available_bytes": 4,
            "path": "/var/lib/x",
            "total_bytes": 9
          },
          "gpu": {
            "age_seconds": 3.0,
            "reason": null,
            "report": {
              "adapters": []
            },
            "status": "known"
          },
          "isolation": "thread",
          "last_reread": null,
          "memory": {
            "available_bytes": null,
            "resident_bytes": 1048576,
            "total_bytes": null
          },
          "not_contained": [
            "stack overflow",
            "abort",
            "segmentation fault",
            "panic while unwinding",
            "process exit",
            "allocation failure"
          ],
          "outputs": [
            {
              "code": "output.no_space",
              "hint": "free some space",
              "last_error": "full",
              "last_error_at": "1970-01-01T00:00:00.000Z",
              "overflowing": true,
              "reason": "full",
              "records_dropped": 3,
              "records_queued": 4,
              "records_written": 2,
              "since": "1970-01-01T00:00:00.000Z",
              "state": "failing",
              "to": "file:tracks.jsonl",
              "what": [
                "tracks"
              ]
            }
          ],
          "panic": "unwind",
          "temperatures": [
            {
              "celsius": 61.25,
              "name": "cpu-thermal"
            }
          ],
          "threads": null,
          "throttling": true,
          "time": null,
          "uptime_seconds": 1.5,
          "version": null
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&body).unwrap());
}

fn failing_output() -> OutputReport {
    OutputReport {
        to: "file:tracks.jsonl".to_owned(),
        what: vec!["tracks"],
        state: "failing",
        code: Some("output.no_space"),
        reason: Some("full".to_owned()),
        hint: Some("free some space"),
        since: SystemTime::UNIX_EPOCH,
        written: 2,
        dropped: 3,
        queued: 4,
        overflowing: true,
        last_error: Some("full".to_owned()),
        last_error_at: Some(SystemTime::UNIX_EPOCH),
    }
}

#[test]
fn adapters_are_looked_for_beside_the_request() {
    for (gpu, status, reason) in [
        (GpuSurvey::NotInBuild, "not in this build", "this build has no GPU support"),
        (GpuSurvey::Looking, "not known yet", "not known yet; a child process looks"),
        (GpuSurvey::Failed(Duration::ZERO, "it died".to_owned()), "failed", "it died"),
    ] {
        let host = HostReport { gpu, ..HostReport::default() };
        let server = FakeBackend { host, ..FakeBackend::default() }.serve();
        let body = get(server.address(), "/v1/inspector/host").json();
        assert_eq!(
            (&body["gpu"]["status"], &body["gpu"]["reason"]),
            (&json!(status), &json!(reason))
        );
        assert_eq!(body["throttling"], Value::Null);
    }
    // With the real thing, a later request has what the first one set going.
    let site = Site::start("");
    let host = || site.get("/v1/inspector/host").1;
    let body = await_value(host, |host| host["gpu"]["status"] != "not known yet");
    let known = ["known", "not in this build"].contains(&body["gpu"]["status"].as_str().unwrap());
    assert!(known, "{body:#}");
    #[cfg(target_os = "linux")]
    assert!(body["threads"].as_u64() > Some(1) && body["memory"]["total_bytes"].is_u64(), "{body}");
}
