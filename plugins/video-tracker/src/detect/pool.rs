use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use keepsight_contract::{Scope, ScopeGuard};
use rten::ThreadPool;

/// Threads of one detector's own, whose work counts as the plugin's: its panics,
/// its memory, its log lines.
pub(super) struct ScopedPool(Arc<ThreadPool>);

thread_local! {
    static ENTERED: RefCell<Option<ScopeGuard>> = const { RefCell::new(None) };
}

impl ScopedPool {
    /// Starts `threads` threads and enters `scope` on each of them.
    pub(super) fn new(threads: usize, scope: &Scope) -> Self {
        let pool = ThreadPool::with_num_threads(threads);
        on_each_thread(&pool, || ENTERED.set(Some(scope.enter())));
        Self(Arc::new(pool))
    }

    pub(super) fn shared(&self) -> Arc<ThreadPool> {
        self.0.clone()
    }
}

impl Drop for ScopedPool {
    fn drop(&mut self) {
        // Here and not when the threads end: a guard is to be dropped while its
        // thread's other local variables are still there.
        on_each_thread(&self.0, || drop(ENTERED.take()));
    }
}

impl fmt::Debug for ScopedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopedPool").finish_non_exhaustive()
    }
}

fn on_each_thread(pool: &ThreadPool, task: impl Fn() + Sync) {
    pool.run(|| {
        // Where no thread could be started this runs on the caller's, which the
        // host knows already; the broadcast would go to rayon's global pool.
        if rayon::current_thread_index().is_some() {
            rayon::broadcast(|_| task());
        }
    });
}

#[cfg(test)]
mod tests {
    use keepsight_contract::testing::RecordingHost;

    use super::*;

    #[test]
    fn the_scope_is_entered_on_every_thread_and_left_again() {
        let recorder = RecordingHost::new();
        let pool = ScopedPool::new(3, &recorder.host().scope());
        assert_eq!(recorder.scopes_entered(), 3);
        let threads = pool.shared();
        let entered = || ENTERED.with_borrow(|guard| guard.is_some());
        assert!(threads.run(|| rayon::broadcast(|_| entered())).into_iter().all(|entered| entered));
        drop(pool);
        assert!(
            !threads.run(|| rayon::broadcast(|_| entered())).into_iter().any(|entered| entered)
        );
    }
}
