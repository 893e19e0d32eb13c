use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

/// Holds whoever comes until it is opened; a test that ends, however it does, opens it.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    open: bool,
    waiting: usize,
}

impl Gate {
    /// Waits, at most as long as any test may take, until the gate is open.
    pub(crate) fn wait(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.waiting += 1;
        changed.notify_all();
        let (mut state, _) =
            changed.wait_timeout_while(state, LONGEST, |state| !state.open).unwrap();
        state.waiting -= 1;
    }

    pub(crate) fn open(&self) {
        self.0.0.lock().unwrap().open = true;
        self.0.1.notify_all();
    }

    /// Waits until `count` threads wait here.
    #[track_caller]
    pub(crate) fn await_waiting(&self, count: usize) {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap();
        let (state, _) =
            changed.wait_timeout_while(state, LONGEST, |state| state.waiting < count).unwrap();
        assert!(state.waiting >= count, "{} of {count} came to the gate", state.waiting);
    }
}

/// No test waits longer for anything.
pub(crate) const LONGEST: Duration = Duration::from_secs(30);
