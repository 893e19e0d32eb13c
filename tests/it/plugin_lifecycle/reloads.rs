//! When a reload is under way, and when it is not any more.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
    time::Duration,
};

use keepsight::{
    loader::{
        DependencyChecker, ExplainConfig, InstanceHost, InstanceLimits, InstanceSpec,
        PluginInstance, PluginRegistry, ProbeProgram, SystemClock,
    },
    sandbox::{Sandbox, SandboxLimits},
    supervisor::Supervisor,
};
use serde_json::json;

use crate::support::{gate::LONGEST, site::catalog};

#[test]
fn an_outcome_that_can_be_seen_is_the_end_of_its_load() {
    let sandbox = Sandbox::new(SandboxLimits::default());
    let program = ProbeProgram::at("/nonexistent");
    let checker = DependencyChecker::new(sandbox.clone(), program, LONGEST);
    let spec = InstanceSpec {
        name: "p".to_owned(),
        plugin: "scripted".to_owned(),
        config: json!({"script": ""}),
        explain: ExplainConfig::default(),
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
    let catalog = catalog();
    let entry = catalog.plugin("scripted").cloned();
    let host = InstanceHost::new("p", None, &sandbox, |_| {});
    // What the instance reports never reaches its supervisor, as in the moment between an
    // outcome and its event.
    let (reports, _lost) = mpsc::channel();
    let (_silent, events) = mpsc::channel();
    let instance =
        PluginInstance::new(spec, entry, String::new(), sandbox, Arc::new(checker), host, reports);
    let registry = PluginRegistry::new([instance.clone()]);
    let supervisor =
        Supervisor::start(registry, BTreeMap::new(), events, Arc::new(SystemClock)).unwrap();
    supervisor.load_all();
    assert!(instance.wait_outcome(LONGEST));
    supervisor.reload("p").unwrap();
    assert_eq!(instance.generation(), 2);
}
