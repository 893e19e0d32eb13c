use std::{
    any::Any,
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use serde_json::Value;

use crate::{
    Counter, Degradation, Finding, Gauge, Histogram, Host, HostServices, Requirement, StateError,
    StopToken,
};

/// A host that keeps what a plugin tells it, within the limits that a [`Host`] has anywhere.
/// Cloning shares it.
///
/// ```
/// use keepsight_contract::testing::RecordingHost;
///
/// let recording = RecordingHost::new();
/// let host = recording.host();
/// host.counter("doors_opened").increment();
/// host.degraded("door.jammed", "the door is jammed", "oil it");
/// assert_eq!(host.counter("doors_opened").value(), 1);
/// assert_eq!(recording.degraded()[0].code, "door.jammed");
/// ```
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
    checked: Vec<Requirement>,
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

    /// What was asked for by [`Host::check`].
    pub fn checked(&self) -> Vec<Requirement> {
        self.records().checked.clone()
    }

    /// Names of the metrics that a person would see, sorted.
    pub fn metric_names(&self) -> Vec<String> {
        let records = self.records();
        let counters = records.counters.keys();
        let mut names: Vec<_> = counters
            .chain(records.gauges.keys())
            .chain(records.histograms.keys())
            .cloned()
            .collect();
        names.sort();
        names
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
        let mut records = self.records();
        records.threads.retain(|(_, thread)| !thread.is_finished());
        if records.threads.len() == Host::THREADS_MAX {
            let limit = Host::THREADS_MAX;
            return Err(io::Error::other(format!("the plugin has {limit} threads already")));
        }
        let stop = StopToken::default();
        let token = stop.clone();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || task(token))?;
        records.threads.push((stop, thread));
        Ok(())
    }

    fn enter_scope(&self) -> Box<dyn Any> {
        self.records().scopes_entered += 1;
        Box::new(())
    }

    fn counter(&self, name: &str) -> Counter {
        metric(&mut self.records().counters, name)
    }

    fn gauge(&self, name: &str) -> Gauge {
        metric(&mut self.records().gauges, name)
    }

    fn histogram(&self, name: &str) -> Histogram {
        metric(&mut self.records().histograms, name)
    }

    fn event(&self, kind: &str, data: Value) {
        self.records().events.push((kind.to_owned(), data));
    }

    fn degraded(&self, degradation: Degradation) {
        let mut records = self.records();
        records.degraded.retain(|known| known.code != degradation.code);
        if records.degraded.len() < Host::DEGRADATIONS_MAX {
            records.degraded.push(degradation);
        }
    }

    fn recovered(&self, code: &str) {
        self.records().degraded.retain(|known| known.code != code);
    }

    fn check(&self, requirement: &Requirement) -> Option<Finding> {
        let mut records = self.records();
        records.checked.push(requirement.clone());
        records.finding.clone()
    }

    fn state_dir(&self) -> Result<PathBuf, StateError> {
        let folder = self.records().state_dir.clone().ok_or(StateError::NoFolder)?;
        match fs::create_dir_all(&folder) {
            Ok(()) => Ok(folder),
            Err(source) => Err(StateError::Unwritable { path: folder, source }),
        }
    }
}

fn metric<M: Clone + Default>(metrics: &mut BTreeMap<String, M>, name: &str) -> M {
    let is_new = !metrics.contains_key(name);
    if is_new && (metrics.len() == Host::METRICS_MAX || name.len() > Host::NAME_BYTES_MAX) {
        return M::default();
    }
    metrics.entry(name.to_owned()).or_default().clone()
}

#[cfg(test)]
mod tests;
