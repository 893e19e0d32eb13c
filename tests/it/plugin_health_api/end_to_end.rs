//! The same contract with the real runtime behind it: faults of plugins, reloads, and the picture
//! of a scene that is tracked.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use keepsight::{
    api::HttpServer,
    bundled::BUNDLED,
    config::{Config, Environment},
    loader::{Catalog, ProbeProgram},
    runtime::{Runtime, RuntimeOptions},
};
use keepsight_contract::{Finding, InitError, Pace, Response};
use serde_json::{Value, json};

use crate::support::{
    Gate, Script, Site,
    client::{get, post},
    gate::LONGEST,
    site::await_value,
};

/// An instance `it` of the scripted plugin; `more` is added to the configuration.
fn scripted(script: &str, more: &str) -> Site {
    Site::start(&format!(
        "{more}\n[plugins.it]\nuse = \"scripted\"\nconfig = {{ script = \"{script}\" }}"
    ))
}

#[track_caller]
fn detail(body: &Value) -> &str {
    body["detail"].as_str().unwrap_or_else(|| panic!("no detail in {body}"))
}

#[test]
fn a_panic_is_answered_and_counted_and_the_next_call_goes_well() {
    let site = Site::start("[plugins.faults]\nuse = \"fault-injector\"");
    site.await_state("faults", "INITIALIZED");

    let (status, body) = site.run_tool("faults", "fail", &json!({ "kind": "panic" }));
    assert_eq!(status, 500, "{body}");
    assert!(detail(&body).contains("a panic on request"), "{body}");
    let health = site.await_health("faults", |health| health["error_count"] == 1);
    assert!(health["last_used"].is_string(), "{health}");

    let (status, body) = site.run_tool("faults", "ok", &json!({}));
    assert_eq!((status, &body["result"]), (200, &json!({ "calls": 1 })), "{body}");
    assert_eq!(body["plugin_id"], "faults");
    let health = site.await_health("faults", |health| health["success_count"] == 1);
    assert_eq!(health["error_count"], 1, "{health}");
    assert!(health["avg_execution_time_ms"].is_number(), "{health}");
}

#[test]
fn what_a_plugin_reports_has_its_status() {
    let site = Site::start("[plugins.faults]\nuse = \"fault-injector\"");
    site.await_state("faults", "INITIALIZED");
    for (kind, expected, words) in [
        ("failed", 500, "a failure on request"),
        ("bad_arguments", 400, "refused on request"),
        ("no_such_kind", 400, "no_such_kind"),
    ] {
        let (status, body) = site.run_tool("faults", "fail", &json!({ "kind": kind }));
        assert_eq!(status, expected, "{kind}: {body}");
        assert!(detail(&body).contains(words), "{kind}: {body}");
    }
    let (status, body) = site.run_tool("faults", "no-such-tool", &json!({}));
    assert_eq!(status, 400, "{body}");
    assert!(detail(&body).contains("no-such-tool"), "{body}");
}

#[test]
fn a_hang_is_answered_at_its_deadline_while_health_goes_on() {
    let gate = Gate::default();
    let held = gate.clone();
    Script::default()
        .run(move |_, _| {
            held.wait();
            Ok(Response::new())
        })
        .named("api-hang");
    let site = scripted("api-hang", "[runtime.limits]\ncall = \"200ms\"");
    site.await_state("it", "INITIALIZED");
    let address = site.address();
    thread::scope(|scope| {
        let path = "/v1/plugins/it/tools/do/run";
        let call = scope.spawn(move || post(address, path, r#"{"args":{}}"#));
        gate.await_waiting(1);
        assert_eq!(site.health("it")["state"], "RUNNING");
        let answer = call.join().unwrap();
        assert_eq!(answer.status, 408, "{answer:?}");
    });
    let health = site.await_health("it", |health| health["error_count"] == 1);
    assert_eq!(health["success_count"], 0, "{health}");
    assert_eq!(site.get("/livez").0, 200);
    gate.open();
}

#[test]
fn more_calls_than_may_wait_are_turned_away() {
    let gate = Gate::default();
    let held = gate.clone();
    Script::default()
        .run(move |_, _| {
            held.wait();
            Ok(Response::new())
        })
        .named("api-queue");
    let site = scripted("api-queue", "");
    site.await_state("it", "INITIALIZED");
    let (answers, answered) = mpsc::channel();
    thread::scope(|scope| {
        let call = || {
            let (answers, address) = (answers.clone(), site.address());
            scope.spawn(move || {
                let answer = post(address, "/v1/plugins/it/tools/do/run", r#"{"args":{}}"#);
                answers.send(answer).unwrap();
            });
        };
        // Two run; of nine more eight wait, and one is too many, whichever it is.
        for _ in 0..2 {
            call();
        }
        gate.await_waiting(2);
        for _ in 0..9 {
            call();
        }
        let first = answered.recv_timeout(LONGEST).unwrap();
        assert_eq!((first.status, first.header("retry-after")), (503, Some("1")), "{first:?}");
        gate.open();
        for _ in 0..10 {
            assert_eq!(answered.recv_timeout(LONGEST).unwrap().status, 200);
        }
    });
}

#[test]
fn what_is_not_ready_says_so_and_can_be_reloaded() {
    let gate = Gate::default();
    let (held, there) = (gate.clone(), Arc::new(AtomicBool::new(false)));
    let found = there.clone();
    Script::default()
        .init(move |_| {
            held.wait();
            if found.load(SeqCst) {
                return Ok(());
            }
            let hint = "put it there";
            Err(InitError::Unmet(Finding::unmet("dependency.thing", "a thing", "it is away", hint)))
        })
        .named("api-unready");
    let site = scripted("api-unready", "");
    gate.await_waiting(1);
    let (status, body) = site.run_tool("it", "do", &json!({}));
    assert_eq!(status, 503, "{body}");
    assert!(detail(&body).contains("LOADED"), "{body}");
    gate.open();

    let health = site.await_state("it", "UNAVAILABLE");
    assert_eq!(health["code"], "dependency.thing", "{health}");
    let (status, body) = site.run_tool("it", "do", &json!({}));
    assert_eq!(status, 503, "{body}");
    for words in ["UNAVAILABLE", "it is away", "put it there"] {
        assert!(detail(&body).contains(words), "{body}");
    }
    let (status, body) = site.post("/v1/plugins/it/reload", "");
    assert_eq!(status, 503, "{body}");
    assert!(detail(&body).contains("it is away"), "{body}");

    there.store(true, SeqCst);
    let (status, body) = site.post("/v1/plugins/it/reload", "");
    assert_eq!((status, &body), (200, &json!({ "status": "reloaded", "plugin": "it" })));
    assert_eq!(site.run_tool("it", "do", &json!({})).0, 200);
    assert_eq!(site.get("/v1/plugins/").1["available"], 1);
}

#[test]
fn a_reload_builds_anew_and_excludes_another() {
    let gate = Gate::default();
    gate.open();
    let (held, blocked) = (gate.clone(), Arc::new(AtomicBool::new(false)));
    let (again, second) = (Gate::default(), blocked.clone());
    let entered = again.clone();
    Script::default()
        .init(move |_| {
            held.wait();
            if second.load(SeqCst) {
                entered.wait();
            }
            Ok(())
        })
        .named("api-reload");
    let site = scripted("api-reload", "");
    let before = site.await_state("it", "INITIALIZED")["generation"].as_u64().unwrap();
    assert_eq!(site.post("/v1/plugins/it/reload", "").0, 200);
    assert_eq!(site.health("it")["generation"], before + 1);
    assert_eq!(site.post("/v1/plugins/other/reload", "").0, 404);

    blocked.store(true, SeqCst);
    let address = site.address();
    thread::scope(|scope| {
        let first = scope.spawn(move || post(address, "/v1/plugins/it/reload", "").status);
        again.await_waiting(1);
        let (status, body) = site.post("/v1/plugins/it/reload", "");
        assert_eq!(status, 409, "{body}");
        again.open();
        assert_eq!(first.join().unwrap(), 200);
    });
}

#[test]
fn what_is_tried_again_and_again_is_not_ready_all_the_while() {
    Script::default().init(|_| panic!("not today")).named("api-never");
    let restart = r#"restart = { budget = 1000, window = "10min", backoff = ["20ms", "20ms"] }"#;
    let site = Site::start(&format!(
        "[streams.door]\nsource = \"test:api-never\"\ncritical = true\ngrace = \"10s\"\n\
         [plugins.it]\nuse = \"scripted\"\ncritical = true\ngrace = \"500ms\"\n{restart}\n\
         config = {{ script = \"api-never\" }}"
    ));
    // No state lasts for half a second, and yet that is how long it has been away.
    let body = await_value(|| site.get("/readyz").1, |body| body["status"] == "not ready");
    assert!(site.health("it")["generation"].as_u64() > Some(3), "{body}");
    assert_eq!(detail(&body), "not ready: plugin 'it'");
    assert_eq!(body["not_ready"][0]["verdict"], "not ready");
    let (status, body) = site.get("/readyz?exclude=it&verbose");
    assert_eq!((status, &body["status"]), (200, &json!("ready")), "{body}");
    let (status, body) = site.get("/readyz?exclude=door");
    assert_eq!((status, body["not_ready"].as_array().unwrap().len()), (503, 1), "{body}");
}

/// What this build has, running `toml`.
fn bundled(catalog: &Catalog, toml: &str) -> (HttpServer, Arc<Runtime>) {
    let plugins = catalog.plugin_ids();
    let environment = Environment { plugins: &plugins, variable: &|_| None };
    let mut config = Config::parse(toml, Path::new("test.toml"), &environment).unwrap();
    config.server.listen.set_port(0);
    let probe_program = ProbeProgram::at(env!("CARGO_BIN_EXE_keepsight"));
    let options = RuntimeOptions { probe_program, pace: Pace::Native, listeners: Vec::new() };
    let runtime = Arc::new(Runtime::new(&config, catalog, options).unwrap());
    let server = HttpServer::start(&config.server, runtime.clone()).unwrap();
    runtime.begin();
    (server, runtime)
}

#[test]
fn a_tracked_scene_has_tracks_and_a_picture() {
    let catalog = Catalog::of_this_binary(BUNDLED).unwrap();
    if catalog.source("scene").is_none() || catalog.plugin("video-tracker").is_none() {
        eprintln!("skipped: this build lacks the feature scene or video-tracker");
        return;
    }
    let toml = r#"
        version = 1
        [streams.scene]
        source = "scene:?fps=10"
        plugins = ["tracker"]
        [plugins.tracker]
        use = "video-tracker"
        config = { gpu = "off" }
    "#;
    let (server, runtime) = bundled(&catalog, toml);
    let address = server.address();
    let ask = |path: &'static str| move || get(address, path).json();
    await_value(ask("/v1/streams/scene"), |stream| stream["state"] == "live");
    let tracked =
        await_value(ask("/v1/streams/scene/tracks"), |body| body["tracks"][0].is_object());
    for key in ["track_id", "x", "y", "width", "height", "xyxy", "confidence", "class", "class_id"]
    {
        assert!(tracked["tracks"][0].get(key).is_some(), "{key} is missing in {tracked}");
    }
    assert_eq!((&tracked["plugin"], &tracked["stream"]), (&json!("tracker"), &json!("scene")));

    let answer = get(address, "/v1/streams/scene/snapshot.jpg");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/jpeg")));
    let picture = keepsight_jpeg::decode_picture(&answer.body).unwrap();
    let size = json!({ "width": picture.width(), "height": picture.height() });
    assert_eq!(size, tracked["size"]);

    let health = get(address, "/v1/plugins/tracker/health").json();
    assert_eq!(
        (&health["state"], &health["streams"]),
        (&json!("RUNNING"), &json!({ "scene": "running" }))
    );
    server.stop(Duration::from_secs(5));
    runtime.shut_down();
}
