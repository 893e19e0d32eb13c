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
use serde_json::{Value, json};

use crate::{Counter, Finding, Gauge, Histogram, Requirement, StateError, state};

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
    /// What this host's probes find about a requirement; `None` where it has no probes, as that of
    /// a source or an output.
    fn check(&self, requirement: &Requirement) -> Option<Finding> {
        let _ = requirement;
        None
    }
    /// Where state can be kept; made if it isn't there.
    ///
    /// # Errors
    /// [`StateError`] when there is no such folder and none can be made.
    fn state_dir(&self) -> Result<PathBuf, StateError>;
}

impl Host {
    /// A host that does what `services` do.
    pub fn new(services: Arc<dyn HostServices>) -> Self {
        Self(services)
    }

    /// Starts a thread of the plugin's own, of which it has at most [`Host::THREADS_MAX`]. It should
    /// end soon once its [`StopToken`] says so. When the instance is built anew or the process ends
    /// it is waited for, for as long as the runtime's `shutdown` limit; one that hasn't ended by
    /// then is given up, which counts as a fault.
    ///
    /// What it allocates is the instance's. Where that crosses the instance's `memory`, the thread
    /// is asked to stop and given up, which is a fault as well.
    ///
    /// A panic in it is caught and is a fault of the plugin's, with the code `thread.panicked`.
    /// Sessions go on, but the thread is not started again, so the plugin is degraded until it is
    /// built anew; and like a session's fault, a second one within the window has that done. What
    /// must survive a panic catches it inside the thread.
    ///
    /// # Errors
    /// [`SpawnError`] when the plugin has as many threads as it may, or the system has none to give.
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
    ///
    /// A panic there is not caught, since the thread is another's, but it is noted as the
    /// plugin's: a fault with the code `thread.panicked`, and the plugin is degraded until it is
    /// built anew. It counts towards no restart; a pool that carries it over into the call that
    /// waits for the pool makes it that call's fault besides.
    pub fn scope(&self) -> Scope {
        Scope(self.0.clone())
    }

    /// The counter of that name. Names are the plugin's own, and there may be
    /// [`Host::METRICS_MAX`] of each kind: what is counted under any further name, or under one
    /// longer than [`Host::NAME_BYTES_MAX`], nobody sees.
    pub fn counter(&self, name: &str) -> Counter {
        self.0.counter(name)
    }

    /// The gauge of that name; as for [`Host::counter`].
    pub fn gauge(&self, name: &str) -> Gauge {
        self.0.gauge(name)
    }

    /// The histogram of that name; as for [`Host::counter`].
    pub fn histogram(&self, name: &str) -> Histogram {
        self.0.histogram(name)
    }

    /// Publishes an event of the kind `kind`, such as `track_started`. Data that takes more than
    /// [`Host::EVENT_BYTES_MAX`] as JSON is left out, and the event says how much it was; of a kind
    /// the first [`Host::NAME_BYTES_MAX`] bytes are kept.
    pub fn event(&self, kind: &str, data: Value) {
        let bytes = json_bytes(&data);
        let data = if bytes <= Self::EVENT_BYTES_MAX {
            data
        } else {
            json!({ "truncated": true, "bytes": bytes })
        };
        self.0.event(beginning(kind, Self::NAME_BYTES_MAX), data);
    }

    /// Says that something works less well than it should, until [`Host::recovered`]. One code
    /// stands once, with what was said last; at most [`Host::DEGRADATIONS_MAX`] codes stand at a
    /// time, and [`Host::TEXT_BYTES_MAX`] bytes of each text.
    pub fn degraded(
        &self,
        code: impl Into<Cow<'static, str>>,
        reason: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let code = match code.into() {
            Cow::Owned(code) => Cow::Owned(shortened(code, Self::NAME_BYTES_MAX)),
            known => known,
        };
        let reason = shortened(reason.into(), Self::TEXT_BYTES_MAX);
        let hint = shortened(hint.into(), Self::TEXT_BYTES_MAX);
        self.0.degraded(Degradation { code, reason, hint });
    }

    /// Says that what [`Host::degraded`] reported under `code` is well again.
    pub fn recovered(&self, code: &str) {
        self.0.recovered(code);
    }

    /// Whether something is there that would be welcome and isn't required, as the host's probes
    /// find; `None` where the host has no probes, as that of a source or an output. It may take as
    /// long as a probe may.
    pub fn check(&self, requirement: &Requirement) -> Option<Finding> {
        self.0.check(requirement)
    }

    /// A folder of the instance's own that outlives the process, or `None` where the host has
    /// none now: ask again each time, since a disk may come and go.
    pub fn state_dir(&self) -> Option<PathBuf> {
        self.0.state_dir().ok()
    }

    /// Replaces the file `name` in the state folder, wholly or not at all, whoever else writes it
    /// at the same moment and whenever the process ends.
    ///
    /// Where the disk doesn't take it, the plugin is degraded by the code
    /// [`Host::STATE_UNWRITABLE`] until a later write succeeds, and can go on with what it has in
    /// memory.
    ///
    /// # Errors
    /// [`StateError`] when there is no state folder, `name` is more than a file name, or writing
    /// fails.
    pub fn write_state(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        let written = self.0.state_dir().and_then(|folder| state::replace(&folder, name, bytes));
        match &written {
            Ok(()) => self.recovered(Self::STATE_UNWRITABLE),
            Err(StateError::Unwritable { path, source }) => {
                let reason = format!("cannot write {}: {source}", path.display());
                self.degraded(Self::STATE_UNWRITABLE, reason, StateError::REMEDY);
            }
            Err(_) => {}
        }
        written
    }

    /// Counters, gauges and histograms that a plugin may have, of each.
    pub const METRICS_MAX: usize = 128;
    /// Threads that a plugin may own at a time.
    pub const THREADS_MAX: usize = 32;
    /// Degradations that a plugin may report at a time.
    pub const DEGRADATIONS_MAX: usize = 16;
    /// The longest data of an event, in bytes of JSON.
    pub const EVENT_BYTES_MAX: usize = 4096;
    /// The longest name of a metric, kind of an event and code of a degradation, in bytes.
    pub const NAME_BYTES_MAX: usize = 100;
    /// The longest text of a degradation, in bytes.
    pub const TEXT_BYTES_MAX: usize = 1000;
    /// The code by which a plugin is degraded while its state can't be written.
    pub const STATE_UNWRITABLE: &'static str = "state.unwritable";
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

/// How many bytes `value` takes as JSON.
fn json_bytes(value: &Value) -> usize {
    struct Count(usize);

    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}

/// The first characters of `text` that fit into `bytes_max`.
fn beginning(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn shortened(mut text: String, bytes_max: usize) -> String {
    text.truncate(beginning(&text, bytes_max).len());
    text
}
