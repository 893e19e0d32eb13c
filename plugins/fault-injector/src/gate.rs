use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Lets everything go that hangs in this process now; what hangs later is not concerned.
pub fn release_all() {
    let mut gate = gate();
    gate.releases += 1;
    RELEASES.store(gate.releases, Relaxed);
    CHANGED.notify_all();
}

/// Waits until `count` calls hang, or for `limit`; says whether they do. What hangs for ever and
/// what ended the process is not counted.
pub fn wait_until_hung(count: usize, limit: Duration) -> bool {
    let (gate, _) = CHANGED
        .wait_timeout_while(gate(), limit, |gate| gate.hung < count)
        .unwrap_or_else(PoisonError::into_inner);
    gate.hung >= count
}

/// Hangs without using the processor until released, at most for `limit`.
pub(crate) fn hang(limit: Duration) {
    let hung = Hung::new();
    let before = hung.releases_before;
    let _ = CHANGED.wait_timeout_while(gate(), limit, |gate| gate.releases == before);
}

/// Hangs at full speed until released.
pub(crate) fn spin() {
    let hung = Hung::new();
    while RELEASES.load(Relaxed) == hung.releases_before {
        std::hint::spin_loop();
    }
}

/// Hangs in the lock that the first caller holds; that one hangs holding it.
pub(crate) fn lock() {
    static LOCK: Mutex<()> = Mutex::new(());
    let hung = Hung::new();
    let _held = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let before = hung.releases_before;
    drop(CHANGED.wait_while(gate(), |gate| gate.releases == before));
}

/// Hangs until `given_up` says so, asking often.
pub(crate) fn wait<E>(mut given_up: impl FnMut() -> Result<(), E>) -> Result<(), E> {
    let hung = Hung::new();
    let before = hung.releases_before;
    loop {
        given_up()?;
        let pause = Duration::from_millis(2);
        let (gate, _) = CHANGED
            .wait_timeout_while(gate(), pause, |gate| gate.releases == before)
            .unwrap_or_else(PoisonError::into_inner);
        if gate.releases != before {
            return Ok(());
        }
    }
}

/// One call that hangs, counted while it does.
struct Hung {
    releases_before: u64,
}

impl Hung {
    fn new() -> Self {
        let mut gate = gate();
        gate.hung += 1;
        CHANGED.notify_all();
        Self { releases_before: gate.releases }
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        gate().hung -= 1;
        CHANGED.notify_all();
    }
}

struct Gate {
    /// How often [`release_all`] was called.
    releases: u64,
    /// How many calls hang.
    hung: usize,
}

fn gate() -> MutexGuard<'static, Gate> {
    GATE.lock().unwrap_or_else(PoisonError::into_inner)
}

static GATE: Mutex<Gate> = Mutex::new(Gate { releases: 0, hung: 0 });
static CHANGED: Condvar = Condvar::new();
/// The same as in [`GATE`], for those who spin.
static RELEASES: AtomicU64 = AtomicU64::new(0);
