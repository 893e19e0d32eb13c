//! At the cap of hung threads that the whole process may have, nothing is started again.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use keepsight::{
    lifecycle::LifecycleState,
    loader::{
        Clock, DependencyChecker, InstanceHost, InstanceSpec, PluginInstance, PluginRegistry,
        ProbeProgram,
    },
    sandbox::{Phase, Sandbox, SandboxLimits, SandboxScope},
    supervisor::Supervisor,
};
use keepsight_contract::InitError;
use serde_json::json;

use crate::support::{Gate, ManualClock, Script, gate::LONGEST, site::catalog};

#[test]
fn nothing_is_restarted_until_a_thread_returns() {
    Script::default().init(|_| Err(InitError::Failed("no".into()))).named("fails-at-cap");
    let limits = SandboxLimits { abandoned_per_process: 1, ..SandboxLimits::default() };
    let sandbox = Sandbox::new(limits);
    let clock = ManualClock::new();
    let shared_clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let checker = DependencyChecker::new(sandbox.clone(), ProbeProgram::at("/none"), LONGEST)
        .with_clock(shared_clock.clone());
    let spec = InstanceSpec {
        name: "p".to_owned(),
        config: json!({"script": "fails-at-cap"}),
        ..InstanceSpec::new("scripted")
    };
    let catalog = catalog();
    let entry = catalog.plugin("scripted").cloned();
    let host = InstanceHost::new("p", None, &sandbox, |_| {});
    let (reports, events) = mpsc::channel();
    let instance = PluginInstance::new(
        spec,
        entry,
        String::new(),
        sandbox.clone(),
        Arc::new(checker),
        host,
        reports,
    );
    let registry = PluginRegistry::new([instance.clone()]);
    let supervisor = Supervisor::start(registry, BTreeMap::new(), events, shared_clock).unwrap();
    supervisor.load_all();
    eventually(|| supervisor.supervision("p").next_attempt_in.is_some());

    let gate = Gate::default();
    let held = gate.clone();
    let scope = SandboxScope::new("other", None, 1);
    let limit = Duration::from_millis(20);
    let hangs = sandbox.run_once("hang", scope, Phase::Probe, limit, move |_| held.wait());
    assert_eq!(hangs.unwrap_err().code(), "probe.timed_out");
    assert!(sandbox.containment_lost());

    clock.advance(Duration::from_secs(3600));
    for _ in 0..3 {
        await_round(&supervisor);
    }
    assert_eq!(instance.generation(), 1);
    let supervision = supervisor.supervision("p");
    assert_eq!((supervision.restarts, supervision.next_attempt_in), (0, Some(Duration::ZERO)));

    gate.open();
    eventually(|| instance.generation() == 2 && instance.state() == LifecycleState::Failed);
    assert_eq!(supervisor.supervision("p").restarts, 1);
}

/// Waits until the supervisor begins another round.
fn await_round(supervisor: &Supervisor) {
    let asked = Instant::now();
    eventually(|| supervisor.idle_for() < asked.elapsed());
}

#[track_caller]
fn eventually(holds: impl Fn() -> bool) {
    let end = Instant::now() + LONGEST;
    while !holds() {
        assert!(Instant::now() < end, "not within {LONGEST:?}");
        thread::park_timeout(Duration::from_millis(2));
    }
}
