//! Whose code runs on this thread.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{
    MemoryAccount, PanicReport,
    memory_guard::{Charge, charge},
};

thread_local! {
    static CURRENT: RefCell<Option<SandboxScope>> = const { RefCell::new(None) };
}

/// Names the instance, stream and generation that a thread works for. Cheap to clone.
///
/// While a thread has [entered](Self::enter) a scope, its panics belong to that scope, what it
/// allocates is charged to the scope's account, if it has one, and its `tracing` events carry
/// `plugin` and `stream`.
#[derive(Clone)]
pub struct SandboxScope {
    inner: Arc<Inner>,
}

struct Inner {
    instance: Arc<str>,
    stream: Option<Arc<str>>,
    generation: u64,
    account: Option<MemoryAccount>,
    stray: Mutex<StrayPanics>,
    on_stray: OnceLock<OnStray>,
}

/// Told that a stray panic waits to be taken.
type OnStray = Box<dyn Fn(&SandboxScope) + Send + Sync>;

#[derive(Default)]
struct StrayPanics {
    count: u64,
    newest: Option<PanicReport>,
}

/// Keeps a thread inside a scope; dropping it goes back to the scope before. Stays on its thread.
#[must_use = "the scope is left when this is dropped"]
#[derive(Debug)]
pub struct ScopeGuard {
    /// Dropped first, while the scope still holds the account.
    _charge: Option<Charge>,
    _before: Restore,
    _span: tracing::span::EnteredSpan,
    _stays_on_its_thread: PhantomData<*const ()>,
}

impl SandboxScope {
    /// A scope for one instance's generation, and one of its streams.
    #[must_use]
    pub fn new(instance: impl Into<Arc<str>>, stream: Option<Arc<str>>, generation: u64) -> Self {
        Self::with_account(instance.into(), stream, generation, None)
    }

    /// The same scope, charging to `account`; its panics are counted anew.
    #[must_use]
    pub fn charging(&self, account: Option<MemoryAccount>) -> Self {
        let (instance, stream) = (self.instance().clone(), self.stream().cloned());
        Self::with_account(instance, stream, self.generation(), account)
    }

    /// A scope for one session of this instance, on a stream or for a call, with an account of its
    /// own where this one has one.
    #[must_use]
    pub fn session(&self, stream: Option<Arc<str>>) -> Self {
        let account = self.account().map(MemoryAccount::open_session);
        Self::with_account(self.instance().clone(), stream, self.generation(), account)
    }

    fn with_account(
        instance: Arc<str>,
        stream: Option<Arc<str>>,
        generation: u64,
        account: Option<MemoryAccount>,
    ) -> Self {
        let (stray, on_stray) = (Mutex::new(StrayPanics::default()), OnceLock::new());
        Self { inner: Arc::new(Inner { instance, stream, generation, account, stray, on_stray }) }
    }

    /// The instance.
    #[must_use]
    pub fn instance(&self) -> &Arc<str> {
        &self.inner.instance
    }

    /// The stream, where it is one's.
    #[must_use]
    pub fn stream(&self) -> Option<&Arc<str>> {
        self.inner.stream.as_ref()
    }

    /// The instance's generation.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.inner.generation
    }

    /// What is charged for memory, where that is measured.
    #[must_use]
    pub fn account(&self) -> Option<&MemoryAccount> {
        self.inner.account.as_ref()
    }

    /// The scope this thread is in.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|current| current.try_borrow().ok()?.clone()).ok().flatten()
    }

    /// Puts this thread into the scope until the guard is dropped.
    ///
    /// Meant for threads that the sandbox did not start, a thread pool's for example. A panic there
    /// is not caught, only attributed: see [`stray_panics`](Self::stray_panics).
    pub fn enter(&self) -> ScopeGuard {
        let mut entered = self.attribute();
        entered._charge = self.account().map(|account| charge(account.tag()));
        entered
    }

    /// As [`enter`](Self::enter), without charging anything.
    pub(super) fn attribute(&self) -> ScopeGuard {
        let span = match self.stream() {
            Some(stream) => tracing::info_span!("plugin", plugin = %self.instance(), %stream),
            None => tracing::info_span!("plugin", plugin = %self.instance()),
        };
        ScopeGuard {
            _charge: None,
            _before: Restore(CURRENT.with(|current| current.replace(Some(self.clone())))),
            _span: span.entered(),
            _stays_on_its_thread: PhantomData,
        }
    }

    /// How many panics happened inside this scope, and outside every sandboxed call.
    #[must_use]
    pub fn stray_panics(&self) -> u64 {
        self.inner.stray.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// The newest of those panics, unless it was taken before.
    #[must_use]
    pub fn take_stray_panic(&self) -> Option<PanicReport> {
        self.inner.stray.lock().unwrap_or_else(PoisonError::into_inner).newest.take()
    }

    /// Has `told` called, on the thread that panics, for each such panic that finds no other
    /// waiting to be taken. It must be quick, take no lock that plugin code could hold, and not
    /// panic. Of two calls the first counts.
    pub fn on_stray_panic(&self, told: impl Fn(&Self) + Send + Sync + 'static) {
        let _ = self.inner.on_stray.set(Box::new(told));
    }

    /// Called by the panic hook, so it must not panic; the lock is held for moments only.
    pub(super) fn note_stray_panic(&self, report: PanicReport) {
        let before = {
            let mut stray = self.inner.stray.lock().unwrap_or_else(PoisonError::into_inner);
            stray.count += 1;
            stray.newest.replace(report)
        };
        if before.is_none()
            && let Some(told) = self.inner.on_stray.get()
        {
            told(self);
        }
    }

    pub(super) fn is_current(&self) -> bool {
        CURRENT.with_borrow(|current| {
            current.as_ref().is_some_and(|current| Arc::ptr_eq(&current.inner, &self.inner))
        })
    }
}

impl fmt::Debug for SandboxScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxScope")
            .field("instance", self.instance())
            .field("stream", &self.stream())
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}

/// The scope to go back to.
#[derive(Debug)]
struct Restore(Option<SandboxScope>);

impl Drop for Restore {
    fn drop(&mut self) {
        drop(CURRENT.with(|current| current.replace(self.0.take())));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_logged_inside_carries_plugin_and_stream() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .with_target(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let scope = SandboxScope::new("tracker", Some("door".into()), 3);
            let entered = scope.enter();
            tracing::info!("inside");
            drop(entered);
            tracing::info!("outside");
        });
        let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(lines, " INFO plugin{plugin=tracker stream=door}: inside\n INFO outside\n");
    }

    #[test]
    fn scopes_nest_and_are_left_again() {
        let outer = SandboxScope::new("tracker", Some("door".into()), 3);
        let inner = SandboxScope::new("stats", None, 1);
        assert!(SandboxScope::current().is_none());
        {
            let _outer = outer.enter();
            assert!(outer.is_current());
            {
                let _inner = inner.enter();
                let current = SandboxScope::current().expect("entered");
                assert_eq!(&**current.instance(), "stats");
                assert!(!outer.is_current());
            }
            let current = SandboxScope::current().expect("entered");
            assert_eq!(&**current.instance(), "tracker");
            assert_eq!(current.stream().map(|stream| &**stream), Some("door"));
            assert_eq!(current.generation(), 3);
        }
        assert!(SandboxScope::current().is_none());
    }
}
