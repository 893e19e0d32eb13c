//! When too many threads hang: the process says that it can't go on like that, and starts nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use keepsight::{
    inspector::{InspectorService, Liveness},
    loader::{
        DependencyChecker, Fault, InstanceHost, InstanceLimits, InstanceSpec, PluginInstance,
        PluginRegistry, ProbeProgram, SystemClock,
    },
    sandbox::{Sandbox, SandboxLimits},
    supervisor::{RestartPolicy, Supervisor},
};
use keepsight_contract::{CallError, Response};
use serde_json::json;

use crate::support::{
    Gate, Script, Site,
    gate::LONGEST,
    site::{await_value, catalog},
};

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
    assert_eq!(status, 503, "{body}");
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

#[test]
fn a_supervisor_without_progress_is_lost_containment_and_keeps_nobody_from_ending() {
    let sandbox = Sandbox::new(SandboxLimits::default());
    let checker = Arc::new(DependencyChecker::new(
        sandbox.clone(),
        ProbeProgram::at("/nonexistent"),
        LONGEST,
    ));
    let spec = InstanceSpec {
        name: "p".to_owned(),
        plugin: "scripted".to_owned(),
        config: json!({"script": ""}),
        explain: Default::default(),
        critical: false,
        grace: Duration::ZERO,
        limits: InstanceLimits {
            init: LONGEST,
            frame: LONGEST,
            call: LONGEST,
            session: LONGEST,
            close: LONGEST,
            memory: None,
        },
    };
    let gates = [Gate::default(), Gate::default()];
    let (held, count) = (gates.clone(), AtomicUsize::new(0));
    // Whoever is told of what happens holds up the supervisor, which nobody should.
    let host = InstanceHost::new("p", None, &sandbox, move |_| {
        if thread::current().name() == Some("keepsight-supervisor") {
            held[count.fetch_add(1, SeqCst).min(1)].wait();
        }
    });
    let entry = catalog().plugin("scripted").cloned();
    let (reports, events) = mpsc::channel();
    let instance = PluginInstance::new(
        spec,
        entry,
        String::new(),
        sandbox.clone(),
        checker.clone(),
        host,
        reports,
    );
    let registry = PluginRegistry::new([instance.clone()]);
    // A quarantine is told from the supervisor's own thread.
    let policy = RestartPolicy { budget: 0, ..RestartPolicy::default() };
    let policies = BTreeMap::from([("p".to_owned(), policy)]);
    let clock = Arc::new(SystemClock);
    let supervisor =
        Arc::new(Supervisor::start(registry.clone(), policies, events, clock).unwrap());
    let inspector = InspectorService::new(registry, supervisor.clone(), sandbox, checker, None)
        .with_stuck_after(Duration::from_secs(1));
    supervisor.load_all();
    assert!(instance.wait_outcome(LONGEST));

    instance.broke(Fault::reported("run.broken", "on request".to_owned(), None), 1);
    gates[0].await_waiting(1);
    let lost = || json!(inspector.liveness() != Liveness::Alive);
    await_value(lost, |lost| *lost == true);
    let Liveness::ContainmentLost { reason } = inspector.liveness() else { unreachable!() };
    assert!(reason.contains("supervisor has made no progress"), "{reason}");
    let checks = inspector.readiness().checks;
    assert_eq!(checks[0].code.as_deref(), Some("sandbox.containment_lost"));
    assert_eq!(inspector.plugins().len(), 1, "reports need no supervisor");
    assert_eq!(instance.generation(), 1, "and nothing was built");

    gates[0].open();
    await_value(lost, |lost| *lost == false);
    supervisor.reload("p").unwrap();

    instance.broke(Fault::reported("run.broken", "on request".to_owned(), None), 2);
    gates[1].await_waiting(1);
    assert!(!supervisor.stop(Duration::from_millis(10)), "it is left behind");
    gates[1].open();
}
