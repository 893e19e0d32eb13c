use std::{
    any::Any,
    borrow::Cow,
    fmt,
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Counter, Finding, Gauge, Histogram, Requirement};

/// What the runtime does for one plugin instance or source. Cloning shares it.
#[derive(Clone)]
pub struct Host(Arc<dyn HostServices>);

/// Makes the work of a thread that the runtime doesn't know, such as a thread pool's, count as
/// this plugin's: its panics, its memory, its log lines.
#[derive(Clone)]
pub struct Scope(Arc<dyn HostServices>);

/// While it lives, this thread's work counts as the plugin's. It stays on its thread.
#[must_use = "the scope is left when the guard is dropped"]
pub struct ScopeGuard(#[expect(dead_code, reason = "held for its drop")] Box<dyn Any>);

/// Tells an owned thread to end. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct StopToken(Arc<AtomicBool>);

/// Something works less well than it should, though it works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Degradation {
    /// A stable code, such as `gpu.cpu_fallback`.
    pub code: Cow<'static, str>,
    /// What is the matter.
    pub reason: String,
    /// What a person can do about it.
    pub hint: String,
}

/// Why a thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the thread {name:?}")]
pub struct SpawnError {
    name: String,
    source: io::Error,
}

/// The runtime's side of [`Host`]; plugin authors don't need it.
pub trait HostServices: Send + Sync {
    /// Starts a thread that the host joins at shutdown, after asking it to stop.
    ///
    /// # Errors
    /// When the system has no thread to give.
    fn spawn(&self, name: &str, task: Box<dyn FnOnce(StopToken) + Send>) -> io::Result<()>;
    /// Enters the plugin's scope on the calling thread until the guard is dropped there.
    fn enter_scope(&self) -> Box<dyn Any>;
    /// The counter of that name, made at first use.
    fn counter(&self, name: &str) -> Counter;
    /// The gauge of that name, made at first use.
    fn gauge(&self, name: &str) -> Gauge;
    /// The histogram of that name, made at first use.
    fn histogram(&self, name: &str) -> Histogram;
    /// Publishes an event.
    fn event(&self, kind: &str, data: Value);
    /// Notes or renews a degradation.
    fn degraded(&self, degradation: Degradation);
    /// Clears the degradation of that code.
    fn recovered(&self, code: &str);
    /// What this host's probes find about a requirement; `None` where it has no probes.
    fn check(&self, requirement: &Requirement) -> Option<Finding> {
        let _ = requirement;
        None
    }
    /// Where state can be kept, if anywhere.
    fn state_dir(&self) -> Option<PathBuf>;
}

impl Host {
    /// A host that does what `services` do.
    pub fn new(services: Arc<dyn HostServices>) -> Self {
        Self(services)
    }

    /// Starts a thread of the plugin's own. It should end soon once its [`StopToken`] says so;
    /// it is joined at shutdown, and a panic in it is the plugin's.
    ///
    /// # Errors
    /// [`SpawnError`] when the system has no thread to give.
    pub fn spawn(
        &self,
        name: &str,
        task: impl FnOnce(StopToken) + Send + 'static,
    ) -> Result<(), SpawnError> {
        self.0
            .spawn(name, Box::new(task))
            .map_err(|source| SpawnError { name: name.to_owned(), source })
    }

    /// What a foreign thread enters to work for this plugin.
    pub fn scope(&self) -> Scope {
        Scope(self.0.clone())
    }

    /// The counter of that name; names are the plugin's own and their number is capped.
    pub fn counter(&self, name: &str) -> Counter {
        self.0.counter(name)
    }

    /// The gauge of that name; names are the plugin's own and their number is capped.
    pub fn gauge(&self, name: &str) -> Gauge {
        self.0.gauge(name)
    }

    /// The histogram of that name; names are the plugin's own and their number is capped.
    pub fn histogram(&self, name: &str) -> Histogram {
        self.0.histogram(name)
    }

    /// Publishes an event of the kind `kind`, such as `track_started`.
    pub fn event(&self, kind: &str, data: Value) {
        self.0.event(kind, data);
    }

    /// Says that something works less well than it should, until [`Host::recovered`].
    pub fn degraded(
        &self,
        code: impl Into<Cow<'static, str>>,
        reason: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let (code, reason, hint) = (code.into(), reason.into(), hint.into());
        self.0.degraded(Degradation { code, reason, hint });
    }

    /// Says that what [`Host::degraded`] reported under `code` is well again.
    pub fn recovered(&self, code: &str) {
        self.0.recovered(code);
    }

    /// Whether something is there that would be welcome and isn't required, as the host's probes
    /// find; `None` where the host has no probes. It may take as long as a probe may.
    pub fn check(&self, requirement: &Requirement) -> Option<Finding> {
        self.0.check(requirement)
    }

    /// A folder of the instance's own that outlives the process, or `None` where the host has
    /// none that can be written.
    pub fn state_dir(&self) -> Option<PathBuf> {
        self.0.state_dir()
    }

    /// Replaces the file `name` in the state folder, wholly or not at all.
    ///
    /// # Errors
    /// When there is no state folder, `name` is more than a file name, or writing fails.
    pub fn write_state(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let folder = self.state_dir().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "there is no state folder to write to")
        })?;
        if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{name:?} is not a file name"),
            ));
        }
        let unfinished = folder.join(format!(".{name}.new"));
        let mut file = std::fs::File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(unfinished, folder.join(name))
    }
}

impl Scope {
    /// Enters the scope on this thread.
    pub fn enter(&self) -> ScopeGuard {
        ScopeGuard(self.0.enter_scope())
    }
}

impl StopToken {
    /// Asks the thread to end.
    pub fn stop(&self) {
        self.0.store(true, Relaxed);
    }

    /// Whether the thread should end.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scope")
    }
}
