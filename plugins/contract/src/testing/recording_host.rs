use std::{
    any::Any,
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use serde_json::Value;

use crate::{
    Counter, Degradation, Finding, Gauge, Histogram, Host, HostServices, Requirement, StopToken,
};

/// A host that keeps what a plugin tells it. Cloning shares it.
#[derive(Clone, Default)]
pub struct RecordingHost(Arc<Mutex<Records>>);

#[derive(Default)]
struct Records {
    counters: BTreeMap<String, Counter>,
    gauges: BTreeMap<String, Gauge>,
    histograms: BTreeMap<String, Histogram>,
    events: Vec<(String, Value)>,
    degraded: Vec<Degradation>,
    threads: Vec<(StopToken, thread::JoinHandle<()>)>,
    scopes_entered: usize,
    state_dir: Option<PathBuf>,
    finding: Option<Finding>,
}

impl RecordingHost {
    /// A host without a state folder.
    pub fn new() -> Self {
        Self::default()
    }

    /// A host whose state folder is `folder`.
    pub fn with_state_dir(folder: impl Into<PathBuf>) -> Self {
        let host = Self::new();
        host.records().state_dir = Some(folder.into());
        host
    }

    /// A host whose probes find `finding`, whatever they are asked.
    pub fn with_finding(finding: Finding) -> Self {
        let host = Self::new();
        host.records().finding = Some(finding);
        host
    }

    /// What to hand to the plugin.
    pub fn host(&self) -> Host {
        Host::new(Arc::new(self.clone()))
    }

    /// Events so far: kind and data.
    pub fn events(&self) -> Vec<(String, Value)> {
        self.records().events.clone()
    }

    /// Degradations now in force.
    pub fn degraded(&self) -> Vec<Degradation> {
        self.records().degraded.clone()
    }

    /// How often a foreign thread entered the plugin's scope.
    pub fn scopes_entered(&self) -> usize {
        self.records().scopes_entered
    }

    /// Stops and joins the plugin's threads; says how many of them panicked.
    pub fn join_threads(&self) -> usize {
        let threads = std::mem::take(&mut self.records().threads);
        for (stop, _) in &threads {
            stop.stop();
        }
        threads.into_iter().filter_map(|(_, thread)| thread.join().err()).count()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostServices for RecordingHost {
    fn spawn(&self, name: &str, task: Box<dyn FnOnce(StopToken) + Send>) -> io::Result<()> {
        let stop = StopToken::default();
        let token = stop.clone();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || task(token))?;
        self.records().threads.push((stop, thread));
        Ok(())
    }

    fn enter_scope(&self) -> Box<dyn Any> {
        self.records().scopes_entered += 1;
        Box::new(())
    }

    fn counter(&self, name: &str) -> Counter {
        self.records().counters.entry(name.to_owned()).or_default().clone()
    }

    fn gauge(&self, name: &str) -> Gauge {
        self.records().gauges.entry(name.to_owned()).or_default().clone()
    }

    fn histogram(&self, name: &str) -> Histogram {
        self.records().histograms.entry(name.to_owned()).or_default().clone()
    }

    fn event(&self, kind: &str, data: Value) {
        self.records().events.push((kind.to_owned(), data));
    }

    fn degraded(&self, degradation: Degradation) {
        let mut records = self.records();
        records.degraded.retain(|known| known.code != degradation.code);
        records.degraded.push(degradation);
    }

    fn recovered(&self, code: &str) {
        self.records().degraded.retain(|known| known.code != code);
    }

    fn check(&self, _: &Requirement) -> Option<Finding> {
        self.records().finding.clone()
    }

    fn state_dir(&self) -> Option<PathBuf> {
        self.records().state_dir.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plugin_tells_is_kept() {
        let recording = RecordingHost::new();
        let host = recording.host();
        host.counter("frames").add(2);
        host.event("started", Value::Null);
        host.degraded("slow", "too slow", "buy a faster one");
        host.degraded("slow", "still too slow", "buy a faster one");
        assert_eq!(host.counter("frames").value(), 2);
        assert_eq!(recording.events(), [("started".to_owned(), Value::Null)]);
        assert_eq!(recording.degraded().len(), 1);
        host.recovered("slow");
        assert!(recording.degraded().is_empty());
        drop(host.scope().enter());
        assert_eq!(recording.scopes_entered(), 1);
    }

    #[test]
    fn threads_are_stopped_and_joined() {
        let recording = RecordingHost::new();
        recording
            .host()
            .spawn("waits", |stop| {
                while !stop.is_stopped() {
                    thread::yield_now();
                }
            })
            .unwrap();
        assert_eq!(recording.join_threads(), 0);
    }

    #[test]
    fn state_is_replaced_wholly_or_refused() {
        let nowhere = RecordingHost::new().host().write_state("x", b"y").unwrap_err();
        assert_eq!(nowhere.kind(), io::ErrorKind::NotFound);
        let folder = std::env::temp_dir().join(format!("keepsight-state-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let host = RecordingHost::with_state_dir(&folder).host();
        host.write_state("counts", b"1").unwrap();
        host.write_state("counts", b"2").unwrap();
        assert_eq!(std::fs::read(folder.join("counts")).unwrap(), b"2");
        for name in ["", "../x", "a/b", ".hidden"] {
            let refused = host.write_state(name, b"").unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{name}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
