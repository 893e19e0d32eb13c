//! Catches panics and keeps what can be known about them.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Phase, SandboxScope, crash_slots::leave_last_words, memory_guard::uncharged};

/// What is known about a panic.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PanicReport {
    /// The panic's message, cut at 4 KiB; a payload that is no text is described.
    pub message: String,
    /// Where it panicked, as `file:line:column`. `None` where only the payload arrived: the panic
    /// was carried over from another thread, or the hook had been replaced.
    pub location: Option<String>,
    /// The name of the thread it panicked on.
    pub thread: String,
    /// The stack at the panic, at most one a second and instance. Its names are looked up when it
    /// is formatted, which takes tens of milliseconds: not on a thread that is waited for.
    pub backtrace: Option<Arc<Backtrace>>,
    /// The code that panicked, or other code in the process, had replaced the panic hook. It has
    /// been put back.
    pub hook_replaced: bool,
}

/// Runs `f` on this thread, in `scope`, and catches its panic. What `f` allocates is charged to
/// whomever this thread charges already.
///
/// The payload is dropped here, and a panic of that is caught as well. A panic in a destructor
/// that runs *because of* the panic ends the process: Rust aborts.
///
/// # Errors
/// What is known about the panic.
pub fn contained<R>(
    scope: &SandboxScope,
    phase: Phase,
    f: impl FnOnce() -> R,
) -> Result<R, PanicReport> {
    if scope.is_current() {
        caught(phase, f)
    } else {
        let _entered = scope.attribute();
        caught(phase, f)
    }
}

/// Puts the panic hook in place, once per process; later calls do nothing.
///
/// The hook keeps the message, place, thread and backtrace of panics inside [`contained`] or an
/// entered [`SandboxScope`], and passes all others on to the hook that was there before.
pub fn install_panic_hook() {
    let mut hook = HOOK.lock().unwrap_or_else(PoisonError::into_inner);
    if hook.address.is_none() && !thread::panicking() {
        // Now, so that no panic finds them not yet made.
        LazyLock::force(&EPOCH);
        LazyLock::force(&BACKTRACES);
        PREVIOUS.get_or_init(panic::take_hook);
        hook.set();
    }
}

impl PanicReport {
    /// All that can be said without the hook.
    pub(super) fn without_record(message: String) -> Self {
        let thread = thread::current().name().unwrap_or("unnamed").to_owned();
        Self { message, location: None, thread, backtrace: None, hook_replaced: false }
    }
}

fn caught<R>(phase: Phase, f: impl FnOnce() -> R) -> Result<R, PanicReport> {
    DEPTH.set(DEPTH.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(f));
    let result = result.map_err(|payload| report_of(phase, payload));
    DEPTH.set(DEPTH.get() - 1);
    result
}

/// Out of line, so that a call that goes well carries none of it.
#[cold]
fn report_of(phase: Phase, payload: Box<dyn Any + Send>) -> PanicReport {
    // What is kept of a panic outlives the session, and is no memory of the plugin's.
    let own = uncharged();
    let message = message_of(payload.as_ref());
    let recorded = RECORDED.take();
    // Code may have swallowed the recorded panic and raised another one without the hook.
    let recorded = recorded.filter(|recorded| recorded.message == message);
    let report = recorded.unwrap_or_else(|| {
        let mut report = PanicReport::without_record(message);
        report.hook_replaced = put_hook_back();
        report
    });
    drop(own);
    dispose(payload);
    tracing::debug!(%phase, message = %report.message, location = report.location, "caught a panic");
    report
}

/// Drops a panic's payload, and the payload of the panic that causes, and so on; what still
/// panics after that is leaked.
fn dispose(payload: Box<dyn Any + Send>) {
    let mut payload = payload;
    for _ in 0..PAYLOAD_DROPS_MAX {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
    }
    std::mem::forget(payload);
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.as_str()
    } else {
        "a panic whose payload is no text"
    };
    text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned()
}

/// The hook. It must neither panic nor wait for long.
fn record(info: &PanicHookInfo<'_>) {
    // `try_with`: a thread may panic while its thread-locals are being destroyed.
    let depth = DEPTH.try_with(Cell::get).unwrap_or(0);
    let scope = SandboxScope::current();
    // As in `report_of`.
    let _own = uncharged();
    if depth == 0 && scope.is_none() {
        if let Some(previous) = PREVIOUS.get() {
            previous(info);
        }
        return;
    }
    let instance = scope.as_ref().map_or("", |scope| scope.instance());
    let backtrace = BACKTRACES.admit(instance, EPOCH.elapsed());
    let report = PanicReport {
        message: message_of(info.payload()),
        location: info.location().map(|at| at.to_string()),
        thread: thread::current().name().unwrap_or("unnamed").to_owned(),
        backtrace: backtrace.then(|| Arc::new(Backtrace::force_capture())),
        hook_replaced: false,
    };
    if cfg!(panic = "abort") {
        // Nobody catches it: what is said now is the last that is said.
        if let Some(scope) = scope {
            leave_last_words(&scope, &report);
        }
        if let Some(previous) = PREVIOUS.get() {
            previous(info);
        }
        return;
    }
    match scope {
        Some(scope) if depth == 0 => scope.note_stray_panic(report),
        _ => {
            let _ = RECORDED.try_with(|recorded| {
                if let Ok(mut recorded) = recorded.try_borrow_mut() {
                    *recorded = Some(report);
                }
            });
        }
    }
}

/// Whether the hook had been replaced; it is in place afterwards.
///
/// There is no way to ask for the hook but to take it: for a moment a panic on another thread
/// meets the standard hook, which prints it. That happens only after a panic without a record.
fn put_hook_back() -> bool {
    let mut hook = HOOK.lock().unwrap_or_else(PoisonError::into_inner);
    // Never installed: nothing was replaced. Unwinding: the hook can't be touched.
    if hook.address.is_none() || thread::panicking() {
        return false;
    }
    let present = panic::take_hook();
    if Some(address_of(&*present)) == hook.address {
        panic::set_hook(present);
        return false;
    }
    hook.set();
    drop(hook);
    // Foreign, and so is its destructor.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(present))) {
        dispose(payload);
    }
    true
}

type PanicHook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

struct Hook {
    /// Of the hook's captured state, by which it is recognised.
    address: Option<usize>,
}

impl Hook {
    fn set(&mut self) {
        // Something to capture, so that the closure lives at an address of its own.
        let marker = Box::new(0_u8);
        let hook: PanicHook = Box::new(move |info| {
            let _marker = &marker;
            record(info);
        });
        self.address = Some(address_of(&*hook));
        panic::set_hook(hook);
    }
}

fn address_of(hook: &(dyn Fn(&PanicHookInfo<'_>) + Send + Sync)) -> usize {
    std::ptr::from_ref(hook).cast::<()>().addr()
}

/// Lets one backtrace pass per second and instance, in fixed space: instances whose names fall
/// together share.
struct BacktraceBudget {
    hasher: RandomState,
    /// Nanoseconds of the process at which each may have the next one.
    next: [AtomicU64; 64],
}

impl BacktraceBudget {
    fn new() -> Self {
        Self { hasher: RandomState::new(), next: [const { AtomicU64::new(0) }; 64] }
    }

    fn admit(&self, instance: &str, now: Duration) -> bool {
        let position = self.hasher.hash_one(instance) as usize % self.next.len();
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.next[position]
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                (nanos(now) >= next).then_some(nanos(now + BACKTRACE_INTERVAL))
            })
            .is_ok()
    }
}

thread_local! {
    /// How many `contained` are on this thread's stack.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// What the hook kept of this thread's newest panic.
    static RECORDED: RefCell<Option<PanicReport>> = const { RefCell::new(None) };
}

static PREVIOUS: OnceLock<PanicHook> = OnceLock::new();
static HOOK: Mutex<Hook> = Mutex::new(Hook { address: None });
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
static BACKTRACES: LazyLock<BacktraceBudget> = LazyLock::new(BacktraceBudget::new);

const MESSAGE_BYTES_MAX: usize = 4096;
const BACKTRACE_INTERVAL: Duration = Duration::from_secs(1);
const PAYLOAD_DROPS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn scope() -> SandboxScope {
        SandboxScope::new("tracker", None, 1)
    }

    #[test]
    fn a_backtrace_a_second_and_instance() {
        let budget = BacktraceBudget::new();
        let second = Duration::from_secs;
        assert!(budget.admit("tracker", second(10)));
        assert!(!budget.admit("tracker", second(10)));
        assert!(!budget.admit("tracker", second(11) - Duration::from_nanos(1)));
        assert!(budget.admit("tracker", second(11)));
        let others = (0..1000).filter(|n| budget.admit(&format!("plugin-{n}"), second(11))).count();
        assert!((1..64).contains(&others), "{others} of 64 places, the tracker's is taken");
    }

    #[test]
    fn the_message_is_cut_between_characters() {
        let long = "ä".repeat(MESSAGE_BYTES_MAX);
        let message = message_of(&long);
        assert_eq!(message.len(), MESSAGE_BYTES_MAX);
        let odd = format!("x{long}");
        assert_eq!(message_of(&odd).len(), MESSAGE_BYTES_MAX - 1);
    }

    #[test]
    fn a_panic_that_only_passes_through_has_its_message_and_no_place() {
        install_panic_hook();
        let outcome: Result<(), _> = contained(&scope(), Phase::Run, || {
            // The code swallows one panic and carries another over from elsewhere.
            let swallowed = catch_unwind(|| panic!("swallowed"));
            assert!(swallowed.is_err());
            panic::resume_unwind(Box::new("carried over"));
        });
        let report = outcome.unwrap_err();
        assert_eq!(report.message, "carried over");
        assert_eq!(report.location, None);
        assert!(!report.hook_replaced);
    }

    #[test]
    fn payloads_that_panic_when_dropped_are_given_up_after_a_while() {
        struct Endless;
        impl Drop for Endless {
            fn drop(&mut self) {
                panic::resume_unwind(Box::new(Endless));
            }
        }
        install_panic_hook();
        let outcome: Result<(), _> =
            contained(&scope(), Phase::Run, || panic::resume_unwind(Box::new(Endless)));
        let report = outcome.unwrap_err();
        assert_eq!(report.message, "a panic whose payload is no text");
    }

    #[test]
    fn a_stray_panic_is_the_scopes() {
        install_panic_hook();
        let scope = scope();
        let foreign = thread::Builder::new().name("pool-1".into()).spawn({
            let scope = scope.clone();
            move || {
                let _entered = scope.enter();
                panic!("on a thread of its own");
            }
        });
        let joined: thread::Result<()> = foreign.unwrap().join();
        assert!(joined.is_err());
        assert_eq!(scope.stray_panics(), 1);
        let report = scope.take_stray_panic().expect("kept");
        assert_eq!(report.message, "on a thread of its own");
        assert_eq!(report.thread, "pool-1");
        assert!(report.location.is_some_and(|at| at.contains("panic_capture.rs:")));
        assert!(scope.take_stray_panic().is_none(), "taken");
    }

    #[test]
    fn the_first_stray_panic_that_nobody_has_taken_is_told() {
        install_panic_hook();
        let (tell, told) = std::sync::mpsc::channel();
        let scope = scope();
        scope.on_stray_panic(move |scope| tell.send(scope.generation()).unwrap());
        let panic_in_scope = || {
            let scope = scope.clone();
            let thread = thread::spawn(move || {
                let _entered = scope.enter();
                panic!("again");
            });
            let joined: thread::Result<()> = thread.join();
            assert!(joined.is_err());
        };
        panic_in_scope();
        panic_in_scope();
        assert_eq!(told.try_iter().count(), 1, "one word for both");
        assert!(scope.take_stray_panic().is_some());
        panic_in_scope();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [1]);
        assert_eq!(scope.stray_panics(), 3);
    }

    /// The hook is the process's, so what replaces it runs in a process of its own.
    #[test]
    fn a_replaced_hook_is_noticed_and_put_back() {
        const CHILD: &str = "KEEPSIGHT_TEST_REPLACED_HOOK";
        if std::env::var_os(CHILD).is_none() {
            let test = thread::current().name().expect("a test's thread has its name").to_owned();
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", &test, "--nocapture", "--test-threads=1"])
                .env(CHILD, "1")
                .output()
                .unwrap();
            let stdout = String::from_utf8_lossy(&child.stdout);
            let stderr = String::from_utf8_lossy(&child.stderr);
            assert!(child.status.success(), "{stdout}{stderr}");
            assert!(stdout.contains("1 passed"), "{stdout}");
            assert!(stderr.contains("the hook of before"), "foreign panics pass on: {stderr}");
            return;
        }

        struct Unwilling;
        impl Drop for Unwilling {
            fn drop(&mut self) {
                panic!("a hook that panics when dropped");
            }
        }
        panic::set_hook(Box::new(|_| eprintln!("the hook of before")));
        install_panic_hook();
        install_panic_hook();
        let falls = |message: &'static str| {
            let outcome: Result<(), _> = contained(&scope(), Phase::Run, || panic!("{message}"));
            outcome.unwrap_err()
        };
        assert!(!falls("as usual").hook_replaced);

        let unwilling = Unwilling;
        panic::set_hook(Box::new(move |_| {
            let _unwilling = &unwilling;
        }));
        let report = falls("without the hook");
        assert!(report.hook_replaced);
        assert_eq!(report.message, "without the hook");
        assert_eq!(report.location, None);

        let report = falls("with it again");
        assert!(!report.hook_replaced);
        assert!(report.location.is_some());

        // Somebody who wraps the hook loses nothing and isn't taken for a replacement.
        let ours = panic::take_hook();
        panic::set_hook(Box::new(move |info| ours(info)));
        let report = falls("wrapped");
        assert!(!report.hook_replaced && report.location.is_some());

        catch_unwind(|| panic!("nobody's")).unwrap_err();
    }
}
