//! `/v1/plugins` and its like, `/v1/health`, `/livez`, `/readyz`.

use expect_test::{Expect, expect};
use keepsight::{
    inspector::{Liveness, Readiness, ReadinessCheck, Verdict},
    lifecycle::LifecycleState,
};
use serde_json::{Value, json};

use super::{
    client::{Answer, get, request},
    fake_backend::{FakeBackend, busy_plugin, failed_plugin, plugin},
};

/// One plugin of each state, not in the order of their names.
fn all_states() -> FakeBackend {
    let plugins = vec![
        failed_plugin("e-failed"),
        busy_plugin("c-running"),
        plugin("a-loaded", LifecycleState::Loaded),
        plugin("d-unavailable", LifecycleState::Unavailable),
        plugin("b-initialized", LifecycleState::Initialized),
    ];
    FakeBackend { plugins, ..FakeBackend::default() }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

#[track_caller]
fn check(answer: &Answer, status: u16, body: Expect) {
    assert_eq!(answer.status, status, "{answer:?}");
    body.assert_eq(&pretty(&answer.json()));
}

#[test]
fn the_list_is_flat_and_in_the_order_of_names() {
    let server = all_states().serve();
    let answer = get(server.address(), "/v1/plugins");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let list = answer.json();
    let states: Vec<_> =
        list.as_array().unwrap().iter().map(|item| (&item["name"], &item["state"])).collect();
    let expected = [
        ("a-loaded", "LOADED"),
        ("b-initialized", "INITIALIZED"),
        ("c-running", "RUNNING"),
        ("d-unavailable", "UNAVAILABLE"),
        ("e-failed", "FAILED"),
    ];
    let found: Vec<_> = states
        .iter()
        .map(|(name, state)| (name.as_str().unwrap(), state.as_str().unwrap()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn an_item_has_exactly_its_11_keys() {
    const KEYS: [&str; 11] = [
        "avg_execution_time_ms",
        "description",
        "error_count",
        "last_execution_time_ms",
        "last_used",
        "name",
        "reason",
        "state",
        "success_count",
        "uptime_seconds",
        "version",
    ];
    let server = all_states().serve();
    for path in ["/v1/plugins", "/v1/plugins/"] {
        let body = get(server.address(), path).json();
        let items = body.get("plugins").unwrap_or(&body).as_array().unwrap().clone();
        assert_eq!(items.len(), 5);
        for item in items {
            let keys: Vec<_> = item.as_object().unwrap().keys().cloned().collect();
            assert_eq!(keys, KEYS, "{path}");
        }
    }
}

#[test]
fn items_say_what_is_known_and_null_for_the_rest() {
    let server = all_states().serve();
    let list = get(server.address(), "/v1/plugins").json();
    let unused = json!({
        "name": "a-loaded", "state": "LOADED", "description": "looks at pictures",
        "version": "1.2.3", "reason": null, "uptime_seconds": null, "last_used": null,
        "success_count": 0, "error_count": 0, "last_execution_time_ms": null,
        "avg_execution_time_ms": null,
    });
    assert_eq!(list[0], unused);
    let busy = json!({
        "name": "c-running", "state": "RUNNING", "description": "looks at pictures",
        "version": "1.2.3", "reason": null, "uptime_seconds": 61.5,
        "last_used": "1970-01-01T00:17:40.250Z", "success_count": 10, "error_count": 2,
        "last_execution_time_ms": 12.345, "avg_execution_time_ms": 11.0,
    });
    assert_eq!(list[2], busy);
    assert_eq!(list[4]["reason"], "init panicked: no luck");
}

#[test]
fn the_summary_counts() {
    let server = all_states().serve();
    let mut body = get(server.address(), "/v1/plugins/").json();
    assert_eq!(body["plugins"], get(server.address(), "/v1/plugins").json());
    body.as_object_mut().unwrap().remove("plugins");
    let counts = json!({ "total": 5, "available": 2, "failed": 1, "unavailable": 1 });
    assert_eq!(body, counts);
}

#[test]
fn a_plugins_health_says_more() {
    let server = all_states().serve();
    check(
        &get(server.address(), "/v1/plugins/c-running/health"),
        200,
        expect![[r#"
        {
          "avg_execution_time_ms": 11.0,
          "code": null,
          "degraded": [
            {
              "code": "gpu.cpu_fallback",
              "hint": "install a driver",
              "reason": "no adapter"
            }
          ],
          "description": "looks at pictures",
          "error_count": 2,
          "generation": 4,
          "hint": null,
          "isolation": "thread",
          "last_execution_time_ms": 12.345,
          "last_used": "1970-01-01T00:17:40.250Z",
          "name": "c-running",
          "next_attempt_in_seconds": null,
          "not_contained": [
            "stack overflow",
            "abort"
          ],
          "quarantined": false,
          "reason": null,
          "restarts": 3,
          "since": "1970-01-01T00:16:40.000Z",
          "state": "RUNNING",
          "streams": {
            "door": "running",
            "yard": "waiting"
          },
          "success_count": 10,
          "uptime_seconds": 61.5,
          "version": "1.2.3",
          "waiting_for": [
            "yard"
          ]
        }
    "#]],
    );
    check(
        &get(server.address(), "/v1/plugins/e-failed/health"),
        200,
        expect![[r#"
        {
          "avg_execution_time_ms": null,
          "code": "init.panicked",
          "degraded": [],
          "description": "looks at pictures",
          "error_count": 0,
          "generation": 0,
          "hint": "see the log",
          "isolation": "thread",
          "last_execution_time_ms": null,
          "last_used": null,
          "name": "e-failed",
          "next_attempt_in_seconds": 1.2,
          "not_contained": [],
          "quarantined": true,
          "reason": "init panicked: no luck",
          "restarts": 0,
          "since": "1970-01-01T00:16:40.000Z",
          "state": "FAILED",
          "streams": {},
          "success_count": 0,
          "uptime_seconds": null,
          "version": "1.2.3",
          "waiting_for": []
        }
    "#]],
    );
}

#[test]
fn what_is_not_there_is_not_found() {
    let server = all_states().serve();
    for (path, detail) in [
        ("/v1/plugins/x/health", "Plugin 'x' not found"),
        ("/v1/plugins/x/manifest", "Plugin 'x' not found"),
        ("/v1/plugins/c-running", "Not Found"),
        ("/v1/plugins/c-running/", "Not Found"),
        ("/x", "Not Found"),
        ("/v1/plugins/%zz/health", "Not Found"),
    ] {
        let answer = get(server.address(), path);
        assert_eq!((answer.status, answer.json()), (404, json!({ "detail": detail })), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
}

#[test]
fn the_manifest_has_the_clients_keys_and_no_others() {
    let server = all_states().serve();
    check(
        &get(server.address(), "/v1/plugins/c-running/manifest"),
        200,
        expect![[r#"
        {
          "capabilities": [],
          "description": "looks at pictures",
          "id": "looker",
          "name": "Looker",
          "tools": [
            {
              "capabilities": [],
              "description": "looks at a picture",
              "id": "look",
              "input_types": [
                "image"
              ],
              "inputs": {
                "properties": {
                  "frame_base64": {
                    "description": "a JPEG or PNG picture in base64, with or without a data-URL prefix",
                    "type": "string"
                  }
                },
                "type": "object"
              },
              "output_types": [],
              "outputs": {
                "properties": {},
                "type": "object"
              },
              "title": "Look"
            }
          ],
          "type": "vision",
          "version": "1.2.3"
        }
    "#]],
    );
}

#[test]
fn known_paths_name_the_methods_they_take() {
    let server = all_states().serve();
    for (head, allow) in [
        ("POST /v1/plugins", "GET, OPTIONS"),
        ("DELETE /v1/plugins/c-running/health", "GET, OPTIONS"),
        ("PUT /v1/plugins/c-running/manifest", "GET, OPTIONS"),
        ("GET /v1/plugins/c-running/tools/look/run", "POST, OPTIONS"),
        ("GET /v1/plugins/c-running/reload", "POST, OPTIONS"),
        ("PATCH /v1/health", "GET, OPTIONS"),
        ("POST /livez", "GET, OPTIONS"),
        ("POST /v1/streams/door/snapshot.jpg", "GET, OPTIONS"),
    ] {
        let answer = request(server.address(), head, "");
        assert_eq!(answer.status, 405, "{head}");
        assert_eq!(answer.header("allow"), Some(allow), "{head}");
        assert_eq!(answer.json(), json!({ "detail": "Method Not Allowed" }), "{head}");
    }
}

fn readiness_check(name: &str, verdict: Verdict) -> ReadinessCheck {
    ReadinessCheck {
        kind: "plugin",
        name: name.to_owned(),
        state: if verdict == Verdict::Ready { "RUNNING" } else { "FAILED" },
        verdict,
        code: (verdict != Verdict::Ready).then(|| "init.panicked".to_owned()),
        reason: (verdict != Verdict::Ready).then(|| "no luck".to_owned()),
    }
}

fn with_checks(verdicts: &[Verdict]) -> FakeBackend {
    let names = ["a", "b", "c"].iter().zip(verdicts);
    let checks = names.map(|(name, verdict)| readiness_check(name, *verdict)).collect();
    FakeBackend { readiness: Readiness { checks }, ..all_states() }
}

#[test]
fn the_whole_is_healthy_or_degraded() {
    let version = env!("CARGO_PKG_VERSION");
    for (verdicts, status) in [
        (&[][..], "healthy"),
        (&[Verdict::Ready], "healthy"),
        (&[Verdict::Ready, Verdict::WithinGrace], "degraded"),
        (&[Verdict::NotReady], "degraded"),
    ] {
        let server = with_checks(verdicts).serve();
        let answer = get(server.address(), "/v1/health");
        let expected = json!({ "status": status, "plugins_loaded": 2, "version": version });
        assert_eq!((answer.status, answer.json()), (200, expected), "{verdicts:?}");
    }
}

#[test]
fn livez_tells_of_lost_containment() {
    let server = all_states().serve();
    assert_eq!(get(server.address(), "/livez").status, 200);
    let liveness = Liveness::ContainmentLost { reason: "128 abandoned threads".to_owned() };
    let server = FakeBackend { liveness, ..all_states() }.serve();
    check(
        &get(server.address(), "/livez"),
        503,
        expect![[r#"
        {
          "detail": "containment is lost: 128 abandoned threads; restart the process"
        }
    "#]],
    );
}

#[test]
fn readyz_counts_what_is_away_for_longer_than_its_grace() {
    let ready = [Verdict::Ready, Verdict::WithinGrace];
    let server = with_checks(&ready).serve();
    check(
        &get(server.address(), "/readyz"),
        200,
        expect![[r#"
        {
          "status": "ready"
        }
    "#]],
    );
    check(
        &get(server.address(), "/readyz?verbose"),
        200,
        expect![[r#"
        {
          "checks": [
            {
              "code": null,
              "kind": "plugin",
              "name": "a",
              "reason": null,
              "state": "RUNNING",
              "verdict": "ready"
            },
            {
              "code": "init.panicked",
              "kind": "plugin",
              "name": "b",
              "reason": "no luck",
              "state": "FAILED",
              "verdict": "within grace"
            }
          ],
          "status": "ready"
        }
    "#]],
    );

    let server = with_checks(&[Verdict::NotReady, Verdict::Ready, Verdict::NotReady]).serve();
    check(
        &get(server.address(), "/readyz"),
        503,
        expect![[r#"
        {
          "detail": "not ready: plugin 'a', plugin 'c'",
          "not_ready": [
            {
              "code": "init.panicked",
              "kind": "plugin",
              "name": "a",
              "reason": "no luck",
              "state": "FAILED",
              "verdict": "not ready"
            },
            {
              "code": "init.panicked",
              "kind": "plugin",
              "name": "c",
              "reason": "no luck",
              "state": "FAILED",
              "verdict": "not ready"
            }
          ],
          "status": "not ready"
        }
    "#]],
    );
    assert_eq!(get(server.address(), "/readyz?exclude=a").status, 503);
    assert_eq!(get(server.address(), "/readyz?exclude=a&exclude=c").status, 200);
}
