use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use keepsight_contract::{OutputKind, OutputRecord, OutputRegistration, OutputSettings};

use super::{
    OutputLimits, OutputSpec, OutputState, OutputStatus, Trouble, output_worker, record::record,
};
use crate::{
    loader::{Backoff, InstanceHost},
    sandbox::{Sandbox, Worker},
    streams::Listener,
};

/// Results on their way to where they are kept, until stopped. Dropping it stops it, and waits for
/// nothing.
pub struct Output(Arc<OutputShared>);

/// What the streams, the worker and its successors share.
pub(super) struct OutputShared {
    /// Names its worker and its scope in the sandbox.
    pub(super) name: Arc<str>,
    pub(super) to: String,
    pub(super) registration: OutputRegistration,
    pub(super) settings: OutputSettings,
    pub(super) limits: OutputLimits,
    pub(super) host: Arc<InstanceHost>,
    pub(super) sandbox: Arc<Sandbox>,
    what: Vec<OutputKind>,
    parts: Mutex<Parts>,
    changed: Condvar,
}

struct Parts {
    status: OutputStatus,
    /// Oldest first.
    queue: VecDeque<Arc<OutputRecord>>,
    in_hand: Option<InHand>,
    /// Since the target failed while it was open: a disk may have room for a file and none for a
    /// line, so that only a line shows that it works again.
    wants_proof: bool,
    target_open: bool,
    backoff: Backoff,
    worker: Option<Worker>,
    stopped: bool,
}

/// The record that the worker is at; it stays in hand until it is written or given up.
struct InHand {
    record: Arc<OutputRecord>,
    failures: u32,
    at_target: bool,
}

/// What there is to do for a worker.
pub(super) enum Next {
    /// This is to be written.
    Record(Arc<OutputRecord>),
    /// Nothing came in the time given.
    Nothing,
    /// All is written, and nothing will come any more.
    Ended,
}

impl Output {
    /// Starts the worker of an output; `name` (unique in the process) is the sandbox's for it.
    pub fn start(
        name: &str,
        spec: OutputSpec,
        host: Arc<InstanceHost>,
        sandbox: Arc<Sandbox>,
    ) -> Self {
        let parts = Parts {
            status: OutputStatus::new(Instant::now()),
            queue: VecDeque::with_capacity(spec.limits.queue_length.get()),
            in_hand: None,
            wants_proof: false,
            target_open: false,
            backoff: Backoff::new(spec.limits.backoff, &spec.to),
            worker: None,
            stopped: false,
        };
        let shared = Arc::new(OutputShared {
            name: Arc::from(name),
            to: spec.to,
            registration: spec.registration,
            settings: spec.settings,
            limits: spec.limits,
            host,
            sandbox,
            what: spec.what,
            parts: Mutex::new(parts),
            changed: Condvar::new(),
        });
        output_worker::start(&shared);
        Self(shared)
    }

    /// Its address in the form that may be seen.
    pub fn to(&self) -> &str {
        &self.0.to
    }

    /// The kinds of results that it is for.
    pub fn what(&self) -> &[OutputKind] {
        &self.0.what
    }

    /// How it does.
    pub fn status(&self) -> OutputStatus {
        let parts = self.0.parts();
        OutputStatus { queued: parts.waiting(), ..parts.status.clone() }
    }

    /// What feeds it: takes its part of each outcome, and never waits.
    pub fn listener(&self) -> Listener {
        let shared = self.0.clone();
        Arc::new(move |outcome| {
            if let Some(record) = record(outcome, &shared.what) {
                shared.put(record);
            }
        })
    }

    /// Asks it to end once all that waits is written.
    pub fn stop(&self) {
        self.0.parts().stopped = true;
        self.0.changed.notify_all();
    }

    /// Waits for that, at most for `limit`; what isn't written by then is lost, counted and logged.
    pub fn join(&self, limit: Duration) {
        let worker = self.0.parts().worker.take();
        if let Some(worker) = worker
            && !worker.join_within(limit)
        {
            tracing::warn!(output = self.to(), "the output did not end in time");
        }
        let lost = self.0.lose_all();
        if lost > 0 {
            tracing::error!(output = self.to(), records = lost, "records were lost at the end");
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.stop();
    }
}

impl OutputShared {
    fn put(&self, record: OutputRecord) {
        let overflows = {
            let mut parts = self.parts();
            if parts.stopped {
                parts.status.dropped += 1;
                return;
            }
            let full = parts.queue.len() == self.limits.queue_length.get();
            if full {
                parts.queue.pop_front();
                parts.status.dropped += 1;
            }
            parts.queue.push_back(Arc::new(record));
            full && !std::mem::replace(&mut parts.status.overflowing, true)
        };
        self.changed.notify_all();
        if overflows {
            tracing::warn!(output = %self.to, waiting = self.limits.queue_length.get(),
                "the output is too slow or fails; the oldest records are lost");
        }
    }

    /// The record in hand, else the next one, waiting at most `limit` for one.
    pub(super) fn next(&self, limit: Duration) -> Next {
        let parts = self.parts();
        let idle = |parts: &mut Parts| parts.waiting() == 0 && !parts.stopped;
        let (mut parts, _) = self
            .changed
            .wait_timeout_while(parts, limit, idle)
            .unwrap_or_else(PoisonError::into_inner);
        if parts.in_hand.is_none() {
            let Some(record) = parts.queue.pop_front() else {
                return if parts.stopped { Next::Ended } else { Next::Nothing };
            };
            parts.in_hand = Some(InHand { record, failures: 0, at_target: false });
        }
        match &mut parts.in_hand {
            Some(held) => {
                held.at_target = true;
                Next::Record(held.record.clone())
            }
            None => Next::Nothing,
        }
    }

    /// The record in hand is written.
    pub(super) fn written(&self) {
        let caught_up = {
            let mut parts = self.parts();
            parts.in_hand = None;
            parts.wants_proof = false;
            parts.status.written += 1;
            let empty = parts.queue.is_empty();
            (empty && std::mem::take(&mut parts.status.overflowing)).then_some(parts.status.dropped)
        };
        if let Some(dropped) = caught_up {
            tracing::info!(output = %self.to, dropped, "the output has caught up");
        }
        self.works();
    }

    /// The record in hand could not be written. It is tried once more; what can't be written twice
    /// makes way, so that a record at which the target stumbles is not in the way of all others.
    pub(super) fn not_written(&self) {
        let mut parts = self.parts();
        if let Some(held) = &mut parts.in_hand {
            held.failures += 1;
            held.at_target = false;
            if held.failures == FAILURES_MAX {
                parts.in_hand = None;
                parts.status.dropped += 1;
            }
        }
    }

    /// The worker was given up. A record that it was writing went with it: whether that was written,
    /// nobody knows.
    pub(super) fn hung(&self) {
        let mut parts = self.parts();
        parts.wants_proof |= parts.target_open;
        parts.target_open = false;
        if parts.in_hand.take_if(|held| held.at_target).is_some() {
            parts.status.dropped += 1;
        }
    }

    /// The target is open.
    pub(super) fn opened(&self) {
        let wants_proof = {
            let mut parts = self.parts();
            parts.target_open = true;
            parts.wants_proof
        };
        if !wants_proof {
            self.works();
        }
    }

    /// The target is let go of; `failed` says whether it gave the reason.
    pub(super) fn closed(&self, failed: bool) {
        let mut parts = self.parts();
        parts.target_open = false;
        parts.wants_proof |= failed;
    }

    fn works(&self) {
        let before = {
            let mut parts = self.parts();
            parts.backoff.reset();
            parts.status.works(Instant::now())
        };
        match before {
            None => {}
            Some(OutputState::Failing) => {
                tracing::info!(output = %self.to, "the output works again")
            }
            Some(_) => tracing::info!(output = %self.to, "the output is open"),
        }
    }

    /// The same trouble at every attempt is one line, not one an attempt.
    pub(super) fn fails(&self, trouble: Trouble) {
        let (code, hint, reason) = (trouble.code, trouble.hint, trouble.reason.clone());
        let news = self.parts().status.fails(trouble, Instant::now());
        if news {
            tracing::warn!(output = %self.to, code, %reason, hint, "nothing can be written");
        }
    }

    /// Waits before the next attempt, unless it is stopped; says whether it is.
    pub(super) fn pause(&self) -> bool {
        let mut parts = self.parts();
        let limit = parts.backoff.next_wait();
        let (parts, _) = self
            .changed
            .wait_timeout_while(parts, limit, |parts| !parts.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        parts.stopped
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.parts().stopped
    }

    /// Takes a worker's successor; one that comes after the end is dropped, and thus asked to stop.
    pub(super) fn set_worker(&self, worker: Worker) {
        let mut parts = self.parts();
        let before = if parts.stopped { Some(worker) } else { parts.worker.replace(worker) };
        drop(parts);
        drop(before);
    }

    fn lose_all(&self) -> usize {
        let mut parts = self.parts();
        let lost = parts.waiting();
        parts.queue.clear();
        parts.in_hand = None;
        parts.status.dropped += lost as u64;
        lost
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parts {
    fn waiting(&self) -> usize {
        self.queue.len() + usize::from(self.in_hand.is_some())
    }
}

/// Attempts at one record.
const FAILURES_MAX: u32 = 2;
