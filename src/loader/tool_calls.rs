use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    time::{Duration, Instant},
};

use keepsight_contract::{Frame, Response};
use serde_json::Value;

use super::{
    Attachment, Fault, Generation, KeptSession, PluginInstance, SessionName, ToolError,
    call_queue::{CallQueue, Next, WorkerId},
    call_sessions::{CallSession, of_fault},
};
use crate::sandbox::{RunFault, Worker, WorkerSeat};

/// A call by HTTP.
#[derive(Clone, Debug)]
pub struct ToolCall {
    /// Id of the tool.
    pub tool: String,
    /// Its arguments.
    pub args: Value,
    /// The picture that came with them.
    pub frame: Option<Frame>,
    /// The session that it belongs to, which is kept for later calls; `None` for one of its own.
    pub session: Option<SessionName>,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub struct ToolOutcome {
    /// What the plugin gave.
    pub response: Arc<Response>,
    /// How long it took, without the wait in the queue.
    pub took: Duration,
}

/// A few workers with a bounded queue, so that calls by HTTP never wait behind a stream.
///
/// A call has a session of its own, or names one that is kept: on the worker that opened it, until
/// nobody asked for it for a while, its plugin is built anew or that worker is given up. The next
/// call of that name opens another then.
pub(super) struct ToolPool {
    parts: Mutex<PoolParts>,
    changed: Condvar,
}

struct PoolParts {
    workers_max: usize,
    queue: CallQueue<Job>,
    workers: Vec<Worker>,
    workers_alive: usize,
    workers_idle: usize,
    workers_ever: u64,
    stopped: bool,
}

struct Job {
    call: ToolCall,
    generation: Arc<Generation>,
    reply: Reply,
}

/// What a worker is to do next.
enum Task {
    Run(Option<SessionName>, Job),
    Close(SessionName),
    End,
}

/// What a worker works on; the watchdog takes it when the worker is late.
#[derive(Default)]
struct InWork {
    /// Gone once the call was answered: what ends then is its session.
    reply: Option<Reply>,
    attached: Option<Attachment>,
    generation: u64,
}

type Working = Arc<Mutex<InWork>>;

/// Answers one caller, once; whoever is second finds it answered.
#[derive(Clone)]
struct Reply(Arc<Mutex<Option<Answering>>>);

type Answering = mpsc::SyncSender<Result<ToolOutcome, ToolError>>;

impl ToolPool {
    /// The pool that all calls share which come one by one.
    pub(super) fn shared() -> Arc<Self> {
        Self::of(WORKERS)
    }

    /// The pool of one client.
    pub(super) fn of_client() -> Arc<Self> {
        Self::of(1)
    }

    fn of(workers_max: usize) -> Arc<Self> {
        let parts = PoolParts {
            workers_max,
            queue: CallQueue::default(),
            workers: Vec::new(),
            workers_alive: 0,
            workers_idle: 0,
            workers_ever: 0,
            stopped: false,
        };
        Arc::new(Self { parts: Mutex::new(parts), changed: Condvar::new() })
    }

    /// Runs `call` on a worker and waits for its answer.
    pub(super) fn call(
        self: &Arc<Self>,
        instance: &Arc<PluginInstance>,
        generation: Arc<Generation>,
        mut call: ToolCall,
    ) -> Result<ToolOutcome, ToolError> {
        let (sender, answered) = mpsc::sync_channel(1);
        let reply = Reply(Arc::new(Mutex::new(Some(sender))));
        let start = {
            let mut parts = self.parts();
            if parts.stopped {
                return Err(stopped());
            }
            // Who ends a generation says so before it refuses what waits, so that no call slips
            // in between.
            if generation.has_ended() {
                drop(parts);
                return Err(instance.not_ready());
            }
            if parts.queue.len() >= QUEUE_LENGTH {
                return Err(ToolError::QueueFull);
            }
            let session = call.session.take();
            parts.queue.push(session, Job { call, generation, reply });
            parts.new_worker()
        };
        if let Some(worker) = start {
            self.start_worker(instance, worker);
        }
        // All of them, since a session's call is not for any.
        self.changed.notify_all();
        // Whatever happens to the job, somebody answers it: the worker, the watchdog when the
        // worker is late, `refuse_waiting` when the generation ends. The bound is for bugs.
        let limits = instance.spec().limits;
        let bound = (limits.call * 2 + limits.close) * (QUEUE_LENGTH as u32 + 2);
        answered.recv_timeout(bound).unwrap_or_else(|_| Err(instance.not_ready()))
    }

    /// Answers everything that waits for a generation that is gone, and has its sessions closed.
    pub(super) fn refuse_waiting(&self, error: impl Fn() -> ToolError) {
        self.parts().queue.end_sessions();
        self.refuse(error);
        self.changed.notify_all();
    }

    /// Whether sessions of a generation that is gone are still open.
    pub(super) fn sessions_end(&self) -> bool {
        self.parts().queue.sessions_end()
    }

    /// Asks the workers to end, and cancels what they run.
    pub(super) fn stop(&self) {
        let mut parts = self.parts();
        parts.stopped = true;
        parts.workers.iter().for_each(Worker::stop);
        drop(parts);
        self.refuse(stopped);
        self.changed.notify_all();
    }

    /// Waits for the workers to end, at most until `end`; who hasn't by then is abandoned.
    pub(super) fn join(&self, end: Instant) {
        let workers = std::mem::take(&mut self.parts().workers);
        for worker in workers {
            if !worker.join_within(end.saturating_duration_since(Instant::now())) {
                tracing::warn!("a call did not end in time; its thread is abandoned");
            }
        }
    }

    fn refuse(&self, error: impl Fn() -> ToolError) {
        let waiting: Vec<_> = self.parts().queue.take_all().collect();
        for job in waiting {
            job.reply.answer(Err(error()));
        }
    }

    /// Calls that wait for a worker now.
    pub(super) fn waiting_count(&self) -> usize {
        self.parts().queue.len()
    }

    /// The sessions that are kept, by name.
    pub(super) fn sessions(&self) -> Vec<KeptSession> {
        self.parts().queue.sessions(Instant::now()).collect()
    }

    fn start_worker(self: &Arc<Self>, instance: &Arc<PluginInstance>, id: WorkerId) {
        let working = Working::default();
        let on_abandon = {
            let (pool, instance, working) = (self.clone(), instance.clone(), working.clone());
            move |fault: RunFault| {
                let InWork { reply, attached, generation } = std::mem::take(&mut *lock(&working));
                drop(attached);
                if let RunFault::TimedOut { limit: took, .. }
                | RunFault::MemoryExceeded { after: took, .. } = fault
                    && reply.is_some()
                {
                    instance.record_run(Some(fault.code()), took);
                }
                instance.session_faulted(Fault::caught(&fault, None), generation);
                if let Some(reply) = reply {
                    reply.answer(Err(of_fault(&fault)));
                }
                pool.worker_gone(&instance, id);
            }
        };
        let body = {
            let (pool, instance) = (self.clone(), instance.clone());
            move |seat: &WorkerSeat| pool.work(&instance, id, seat, &working)
        };
        let name = format!("{}-call", instance.name());
        let worker = instance.sandbox().spawn_worker(&name, instance.scope(), on_abandon, body);
        match worker {
            Ok(worker) => {
                let mut parts = self.parts();
                parts.workers.retain(|worker| !worker.is_finished());
                parts.workers.push(worker);
            }
            Err(fault) => {
                self.parts().workers_alive -= 1;
                tracing::warn!(plugin = instance.name(), %fault, "no thread for calls");
                self.refuse(|| of_fault(&fault));
            }
        }
    }

    /// A worker's life: one call after the other, and the sessions it keeps for them.
    fn work(
        &self,
        instance: &Arc<PluginInstance>,
        id: WorkerId,
        seat: &WorkerSeat,
        working: &Mutex<InWork>,
    ) {
        let mut sessions = BTreeMap::new();
        loop {
            match self.next_task(id, instance.spec().limits.session) {
                Task::End => break,
                Task::Close(name) => {
                    if let Some(session) = sessions.remove(&name) {
                        close(instance, seat, working, session);
                    }
                    if seat.is_abandoned() {
                        break;
                    }
                    self.parts().queue.closed(&name);
                    self.changed.notify_all();
                    // Whoever waits for a generation's end looks again.
                    instance.wake();
                }
                Task::Run(name, job) => {
                    let open = name.as_ref().and_then(|name| sessions.remove(name));
                    // Before the answer, so that sessions are idle in the order of their answers.
                    let put_away = |session: CallSession| {
                        if let Some(name) = &name {
                            self.parts().queue.ran(name, true, Instant::now());
                        }
                        session
                    };
                    let keep = name.is_some();
                    let kept = run(instance, seat, working, job, open, keep, put_away);
                    if seat.is_abandoned() {
                        break;
                    }
                    if let Some(name) = name {
                        if kept.is_none() {
                            self.parts().queue.closed(&name);
                        }
                        sessions.extend(kept.map(|session| (name, session)));
                        self.changed.notify_all();
                        instance.wake();
                    }
                }
            }
        }
        for session in sessions.into_values() {
            close(instance, seat, working, session);
        }
    }

    /// A worker was abandoned, and the sessions with it that it kept: another takes its place if
    /// calls wait.
    fn worker_gone(self: &Arc<Self>, instance: &Arc<PluginInstance>, worker: WorkerId) {
        let start = {
            let mut parts = self.parts();
            parts.workers_alive -= 1;
            parts.queue.worker_gone(worker);
            parts.new_worker()
        };
        if let Some(worker) = start {
            self.start_worker(instance, worker);
        }
        self.changed.notify_all();
        instance.wake();
    }

    /// What `worker` is to do next; its end once the pool is stopped, or it keeps no session and
    /// nobody called for a while.
    fn next_task(&self, worker: WorkerId, session_idle_max: Duration) -> Task {
        let mut parts = self.parts();
        let idle_until = Instant::now() + IDLE_MAX;
        loop {
            let now = Instant::now();
            let next = match parts.stopped {
                false => parts.queue.next(worker, now, session_idle_max),
                true => Next::Wait(None),
            };
            let until = match next {
                Next::Run(name, job) => return Task::Run(name, job),
                Next::Close(name) => return Task::Close(name),
                Next::Wait(Some(until)) => until,
                Next::Wait(None) if now < idle_until && !parts.stopped => idle_until,
                Next::Wait(None) => {
                    parts.workers_alive -= 1;
                    return Task::End;
                }
            };
            let left = until.saturating_duration_since(now);
            parts.workers_idle += 1;
            parts =
                self.changed.wait_timeout(parts, left).unwrap_or_else(PoisonError::into_inner).0;
            parts.workers_idle -= 1;
        }
    }

    fn parts(&self) -> MutexGuard<'_, PoolParts> {
        lock(&self.parts)
    }
}

impl PoolParts {
    /// The number of a worker to start, if calls wait that nobody is there for.
    fn new_worker(&mut self) -> Option<WorkerId> {
        let start = self.workers_idle < self.queue.free_count()
            && self.workers_alive < self.workers_max
            && !self.stopped;
        start.then(|| {
            self.workers_alive += 1;
            self.workers_ever += 1;
            WorkerId(self.workers_ever)
        })
    }
}

/// Runs a job, in the session that is `open` or in another, and answers it. Gives the session back
/// where it is to be kept and can be, which is `put_away` before the answer.
fn run(
    instance: &Arc<PluginInstance>,
    seat: &WorkerSeat,
    working: &Mutex<InWork>,
    job: Job,
    open: Option<CallSession>,
    keep: bool,
    put_away: impl FnOnce(CallSession) -> CallSession,
) -> Option<CallSession> {
    let Job { call, generation, reply } = job;
    let attached = instance.attach(&generation);
    if attached.is_none() {
        let kept = open.map(put_away);
        reply.answer(Err(instance.not_ready()));
        return kept;
    }
    let number = generation.number;
    *lock(working) = InWork { reply: Some(reply.clone()), attached, generation: number };
    let opened = open.map_or_else(|| CallSession::open(instance, seat, &generation), Ok);
    let (result, session) = match opened {
        Ok(mut session) => (session.run(instance, seat, call), Some(session)),
        Err(error) => (Err(error), None),
    };
    let kept = match session {
        // The watchdog has answered and counted; this thread is late with everything.
        session if seat.is_abandoned() => {
            if let Some(session) = session {
                session.close(instance, seat);
            }
            return None;
        }
        Some(session) if !(keep && session.can_be_kept()) => {
            // Who called need not wait for its end.
            lock(working).reply = None;
            reply.answer(result);
            close(instance, seat, working, session);
            return None;
        }
        session => session,
    };
    *lock(working) = InWork::default();
    let kept = kept.map(put_away);
    reply.answer(result);
    kept
}

/// Closes a session; should that take too long, the watchdog finds nobody to answer.
fn close(
    instance: &PluginInstance,
    seat: &WorkerSeat,
    working: &Mutex<InWork>,
    session: CallSession,
) {
    lock(working).generation = session.generation().number;
    session.close(instance, seat);
    if !seat.is_abandoned() {
        *lock(working) = InWork::default();
    }
}

impl Reply {
    fn answer(&self, result: Result<ToolOutcome, ToolError>) {
        let sender = lock(&self.0).take();
        if let Some(sender) = sender {
            // The caller may have gone; then nobody wants to know.
            let _ = sender.try_send(result);
        }
    }
}

fn stopped() -> ToolError {
    ToolError::GivenUp { reason: "the plugin is shut down".to_owned() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const WORKERS: usize = 2;
const QUEUE_LENGTH: usize = 8;
/// After which a worker without calls ends, so that an idle plugin keeps no threads.
const IDLE_MAX: Duration = Duration::from_secs(60);
