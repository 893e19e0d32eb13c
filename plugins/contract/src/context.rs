use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::CallError;

/// What a call needs to know of its surroundings: how long it may take, whether anyone still
/// waits for it.
#[derive(Clone, Debug)]
pub struct CallContext {
    deadline: Instant,
    cancelled: CancelToken,
}

/// Tells a call that nobody waits for it any more. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CallContext {
    /// A call that must answer by `deadline` and that `cancelled` can cancel.
    pub fn new(deadline: Instant, cancelled: CancelToken) -> Self {
        Self { deadline, cancelled }
    }

    /// When the caller stops waiting.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Time left until the deadline; zero once it has passed.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether the result is still wanted. Cheap enough to ask in every loop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// Ends a call that nobody waits for: `call.checkpoint()?` in long loops.
    ///
    /// # Errors
    /// [`CallError::Cancelled`] once the result isn't wanted any more.
    pub fn checkpoint(&self) -> Result<(), CallError> {
        if self.is_cancelled() || Instant::now() >= self.deadline {
            return Err(CallError::Cancelled);
        }
        Ok(())
    }

    /// Bytes that the plugin may still allocate, where the host measures that; `None` says that
    /// it is not measured.
    pub fn memory_left(&self) -> Option<u64> {
        None
    }
}

impl CancelToken {
    /// Cancels the call.
    pub fn cancel(&self) {
        self.0.store(true, Relaxed);
    }

    /// Whether the call was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Relaxed)
    }
}
