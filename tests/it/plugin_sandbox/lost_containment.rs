//! When too many threads hang: the process says that it can't go on like that, and starts nothing.

use keepsight_contract::{CallError, Response};
use serde_json::json;

use crate::support::{Gate, Script, Site, site::await_value};

#[test]
fn at_its_cap_the_process_says_so_and_starts_nothing_until_a_thread_returns() {
    let gate = Gate::default();
    let held = gate.clone();
    Script::default()
        .run(move |_, _| {
            held.wait();
            Ok(Response::new())
        })
        .named("lost-hangs");
    Script::default().run(|_, _| Err(CallError::broken("on request"))).named("lost-breaks");
    let site = Site::start(
        "[runtime.limits]
         call = \"20ms\"
         abandoned_threads = 2
         [plugins.hangs]
         use = \"scripted\"
         config = { script = \"lost-hangs\" }
         [plugins.breaks]
         use = \"scripted\"
         restart = { budget = 1000, window = \"10min\", backoff = [\"5ms\", \"5ms\"] }
         config = { script = \"lost-breaks\" }
         [plugins.idle]
         use = \"scripted\"
         config = { script = \"\" }",
    );
    for plugin in ["hangs", "breaks", "idle"] {
        site.await_state(plugin, "INITIALIZED");
    }
    assert_eq!(site.run_tool("hangs", "do", &json!({})).0, 408);
    assert_eq!(site.get("/livez").0, 200, "one of two");
    assert_eq!(site.get("/readyz").0, 200);
    assert_eq!(site.run_tool("hangs", "do", &json!({})).0, 408);

    let (status, body) = site.get("/livez");
    assert_eq!(status, 503, "{body}");
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.contains("2 threads hang") && detail.contains("restart"), "{detail}");
    let (status, body) = site.get("/readyz");
    assert_eq!((status, &body["detail"]), (503, &json!("not ready: containment 'containment'")));
    assert_eq!(body["not_ready"][0]["code"], "sandbox.containment_lost", "{body}");
    assert_eq!(site.get("/v1/health").1["status"], "degraded");

    // Health answers, and nothing begins that would need a thread.
    site.run_tool("breaks", "do", &json!({}));
    let (status, body) = site.run_tool("idle", "do", &json!({}));
    assert_eq!(status, 500, "{body}");
    let (status, body) = site.post("/v1/plugins/idle/reload", "");
    assert_eq!(status, 503, "{body}");
    let health = site.health("idle");
    assert_eq!(health["code"], "sandbox.process_cap_reached", "{health}");

    gate.open();
    await_value(|| site.get("/livez").0.into(), |status| *status == 200);
    assert_eq!(site.get("/readyz").0, 200);
    assert_eq!(site.post("/v1/plugins/idle/reload", "").0, 200);
    assert_eq!(site.run_tool("idle", "do", &json!({})).0, 200);
}
