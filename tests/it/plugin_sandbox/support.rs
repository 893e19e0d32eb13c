//! Scopes, bounds and gates for the sandbox's tests.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use keepsight::sandbox::{RunFault, Sandbox, SandboxLimits, SandboxScope};

/// Nothing takes that long unless it is broken.
pub(super) const BOUND: Duration = Duration::from_secs(60);
/// A time limit for code that is meant to outlive it.
pub(super) const SHORT: Duration = Duration::from_millis(20);
/// The same where a caller waits meanwhile, and the code must have begun: on a busy machine its
/// thread needs a while for that.
pub(super) const BEGUN: Duration = Duration::from_millis(300);

pub(super) fn sandbox() -> Arc<Sandbox> {
    Sandbox::new(SandboxLimits::default())
}

pub(super) fn scope(instance: &str) -> SandboxScope {
    SandboxScope::new(instance, None, 1)
}

/// For workers that are expected to end in order.
pub(super) fn nobody_abandons(fault: RunFault) {
    panic!("abandoned: {fault}");
}

/// Waits until something that another thread is about to do is done.
#[track_caller]
pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < BOUND, "{what}");
        std::thread::yield_now();
    }
}

/// Holds threads up until it is opened; opens by itself when dropped, so that no test that fails
/// leaves threads behind.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<(Mutex<bool>, Condvar)>);

pub(super) struct GateKeeper(Gate);

impl Gate {
    pub(super) fn closed() -> (Self, GateKeeper) {
        let gate = Self::default();
        (gate.clone(), GateKeeper(gate))
    }

    pub(super) fn wait(&self) {
        let (open, opened) = &*self.0;
        let guard = open.lock().unwrap();
        drop(opened.wait_while(guard, |open| !*open).unwrap());
    }
}

impl GateKeeper {
    pub(super) fn open(&self) {
        let (open, opened) = &*self.0.0;
        *open.lock().unwrap() = true;
        opened.notify_all();
    }
}

impl Drop for GateKeeper {
    fn drop(&mut self) {
        self.open();
    }
}
