use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use crate::CallError;

/// What a call needs to know of its surroundings: how long it may take, whether anyone still
/// waits for it.
#[derive(Clone, Debug)]
pub struct CallContext {
    deadline: Instant,
    cancelled: CancelToken,
    memory: Option<Arc<dyn MemoryMeter>>,
}

/// Tells a call that nobody waits for it any more. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

/// The host's side of [`CallContext::memory_left`]; plugin authors don't need it.
pub trait MemoryMeter: fmt::Debug + Send + Sync {
    /// Bytes that may still be allocated; `None` where there is no limit.
    fn memory_left(&self) -> Option<u64>;
}

impl CallContext {
    /// A call that must answer by `deadline` and that `cancelled` can cancel. What it allocates is
    /// not measured.
    pub fn new(deadline: Instant, cancelled: CancelToken) -> Self {
        Self { deadline, cancelled, memory: None }
    }

    /// The same call, whose memory is measured by `meter`.
    pub fn with_memory(self, meter: Arc<dyn MemoryMeter>) -> Self {
        Self { memory: Some(meter), ..self }
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

    /// Sleeps until `due`, but no longer than 200 ms or to the deadline, and says whether it is due
    /// now. For a source whose frames have their time: it answers that there is none yet, and is
    /// asked again, so that it can be stopped promptly.
    pub fn wait_until(&self, due: Instant) -> bool {
        let now = Instant::now();
        if now < due {
            thread::sleep((due - now).min(self.remaining()).min(WAIT_MAX));
        }
        Instant::now() >= due
    }

    /// Bytes that the plugin instance, with all of its sessions, may still allocate; `None` says
    /// that the host doesn't measure it, or sets no limit. An instance that takes more is
    /// cancelled: see [`is_cancelled`](Self::is_cancelled).
    ///
    /// The host may know of the last few KiB on each thread a moment later.
    pub fn memory_left(&self) -> Option<u64> {
        self.memory.as_ref().and_then(|meter| meter.memory_left())
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

/// One wait within a call; a stream stops within a second.
const WAIT_MAX: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_it_is_due_or_the_call_has_to() {
        let hour = Duration::from_secs(3600);
        let call = |limit| CallContext::new(Instant::now() + limit, CancelToken::default());
        assert!(call(hour).wait_until(Instant::now()), "what is due is not waited for");
        assert!(call(hour).wait_until(Instant::now() + Duration::from_millis(1)));
        assert!(!call(hour).wait_until(Instant::now() + hour), "it doesn't sleep for an hour");
        assert!(!call(Duration::ZERO).wait_until(Instant::now() + hour));
    }
}
