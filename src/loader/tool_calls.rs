use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    time::{Duration, Instant},
};

use keepsight_contract::{CallError, Frame, Request, Response, StreamInfo};
use serde_json::Value;

use super::{Attachment, Fault, Generation, PluginInstance, ToolError, call_error_code};
use crate::sandbox::{Phase, RunFault, Worker, WorkerSeat};

/// A call by HTTP.
#[derive(Clone, Debug)]
pub struct ToolCall {
    /// Id of the tool.
    pub tool: String,
    /// Its arguments.
    pub args: Value,
    /// The picture that came with them.
    pub frame: Option<Frame>,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub struct ToolOutcome {
    /// What the plugin gave.
    pub response: Arc<Response>,
    /// How long it took, without the wait in the queue.
    pub took: Duration,
}

/// A few workers with a bounded queue, so that calls by HTTP never wait behind a stream. Each
/// call has a session of its own.
pub(super) struct ToolPool {
    parts: Mutex<PoolParts>,
    changed: Condvar,
}

#[derive(Default)]
struct PoolParts {
    queue: VecDeque<Job>,
    workers: Vec<Worker>,
    workers_alive: usize,
    workers_idle: usize,
    stopped: bool,
}

struct Job {
    call: ToolCall,
    generation: Arc<Generation>,
    reply: Reply,
}

/// What a worker works on; the watchdog takes it when the worker is late.
#[derive(Default)]
struct InWork {
    reply: Option<Reply>,
    attached: Option<Attachment>,
    generation: u64,
}

/// Answers one caller, once; whoever is second finds it answered.
#[derive(Clone)]
struct Reply(Arc<Mutex<Option<Answering>>>);

type Answering = mpsc::SyncSender<Result<ToolOutcome, ToolError>>;

impl ToolPool {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { parts: Mutex::default(), changed: Condvar::new() })
    }

    /// Runs `call` on a worker and waits for its answer.
    pub(super) fn call(
        self: &Arc<Self>,
        instance: &Arc<PluginInstance>,
        generation: Arc<Generation>,
        call: ToolCall,
    ) -> Result<ToolOutcome, ToolError> {
        let (sender, answered) = mpsc::sync_channel(1);
        let reply = Reply(Arc::new(Mutex::new(Some(sender))));
        {
            let mut parts = self.parts();
            if parts.queue.len() >= QUEUE_LENGTH {
                return Err(ToolError::QueueFull);
            }
            parts.queue.push_back(Job { call, generation, reply: reply.clone() });
            if parts.workers_idle < parts.queue.len() && parts.workers_alive < WORKERS {
                parts.workers_alive += 1;
                drop(parts);
                self.start_worker(instance);
            }
        }
        self.changed.notify_one();
        // Whatever happens to the job, somebody answers it: the worker, the watchdog when the
        // worker is late, `refuse_waiting` when the generation ends. The bound is for bugs.
        let limits = instance.spec().limits;
        let bound = (limits.call * 2 + limits.close) * (QUEUE_LENGTH as u32 + 2);
        answered.recv_timeout(bound).unwrap_or_else(|_| Err(instance.not_ready()))
    }

    /// Answers everything that waits for a generation that is gone.
    pub(super) fn refuse_waiting(&self, error: impl Fn() -> ToolError) {
        let waiting = std::mem::take(&mut self.parts().queue);
        for job in waiting {
            job.reply.answer(Err(error()));
        }
    }

    /// Ends the workers, waiting at most `limit` for each.
    pub(super) fn stop(&self, limit: Duration) {
        let workers = {
            let mut parts = self.parts();
            parts.stopped = true;
            std::mem::take(&mut parts.workers)
        };
        self.changed.notify_all();
        for worker in workers {
            worker.stop();
            if !worker.join_within(limit) {
                tracing::warn!("a call did not end in time; its thread is abandoned");
            }
        }
    }

    fn start_worker(self: &Arc<Self>, instance: &Arc<PluginInstance>) {
        let in_work: Arc<Mutex<InWork>> = Arc::default();
        let on_abandon = {
            let (pool, instance, in_work) = (self.clone(), instance.clone(), in_work.clone());
            move |fault: RunFault| {
                let InWork { reply, attached, generation } =
                    std::mem::take(&mut *in_work.lock().unwrap_or_else(PoisonError::into_inner));
                drop(attached);
                if let RunFault::TimedOut { limit: took, .. }
                | RunFault::MemoryExceeded { after: took, .. } = fault
                {
                    instance.record_run(Some(fault.code()), took);
                }
                instance.session_faulted(Fault::caught(&fault, None), generation);
                if let Some(reply) = reply {
                    reply.answer(Err(of_fault(&fault)));
                }
                pool.worker_gone(&instance);
            }
        };
        let body = {
            let (pool, instance) = (self.clone(), instance.clone());
            move |seat: &WorkerSeat| {
                while let Some(job) = pool.next_job() {
                    let attached = instance.attach(&job.generation);
                    if attached.is_none() {
                        job.reply.answer(Err(instance.not_ready()));
                        continue;
                    }
                    let reply = Some(job.reply.clone());
                    *in_work.lock().unwrap_or_else(PoisonError::into_inner) =
                        InWork { reply, attached, generation: job.generation.number };
                    let result = instance.run_call(seat, &job.generation, job.call);
                    if seat.is_abandoned() {
                        return;
                    }
                    *in_work.lock().unwrap_or_else(PoisonError::into_inner) = InWork::default();
                    job.reply.answer(result);
                }
                pool.parts().workers_alive -= 1;
            }
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
                self.refuse_waiting(|| of_fault(&fault));
            }
        }
    }

    /// A worker was abandoned: another takes its place if calls wait.
    fn worker_gone(self: &Arc<Self>, instance: &Arc<PluginInstance>) {
        let mut parts = self.parts();
        parts.workers_alive -= 1;
        if !parts.queue.is_empty() && parts.workers_alive < WORKERS && !parts.stopped {
            parts.workers_alive += 1;
            drop(parts);
            self.start_worker(instance);
        }
    }

    /// The next call, or `None` once the pool is stopped or nobody called for a while.
    fn next_job(&self) -> Option<Job> {
        let mut parts = self.parts();
        let idle_until = Instant::now() + IDLE_MAX;
        loop {
            if parts.stopped {
                return None;
            }
            if let Some(job) = parts.queue.pop_front() {
                return Some(job);
            }
            let left = idle_until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            parts.workers_idle += 1;
            parts =
                self.changed.wait_timeout(parts, left).unwrap_or_else(PoisonError::into_inner).0;
            parts.workers_idle -= 1;
        }
    }

    fn parts(&self) -> MutexGuard<'_, PoolParts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PluginInstance {
    /// Opens a session, runs `call` in it and drops it, all on the worker of `seat`.
    fn run_call(
        self: &Arc<Self>,
        seat: &WorkerSeat,
        generation: &Arc<Generation>,
        call: ToolCall,
    ) -> Result<ToolOutcome, ToolError> {
        let limits = self.spec().limits;
        let info = StreamInfo::new("call").with_settings(generation.config().clone());
        let host = self.host();
        let _engaged = seat.work_for(generation.scope().session(None));
        let opened = seat
            .run(Phase::Open, limits.call, |_| generation.plugin().open(&info, &host))
            .map_err(|fault| self.call_faulted(generation, fault))?;
        let mut session = opened.map_err(|error| self.call_failed(generation, error))?;
        let mut request = Request::new(call.tool).with_args(call.args);
        if let Some(frame) = call.frame {
            request = request.with_frame(frame);
        }
        let start = Instant::now();
        let outcome = seat.run(Phase::Run, limits.call, |context| {
            generation.plugin().run(session.as_mut(), &request, context)
        });
        let took = start.elapsed();
        if seat.is_abandoned() {
            // The watchdog has answered and counted; this thread is late with everything.
            let _ = seat.run(Phase::Close, limits.close, move |_| drop(session));
            return Err(ToolError::GivenUp { reason: "the result came too late".to_owned() });
        }
        self.record_run(error_code(&outcome), took);
        let result = match outcome {
            Ok(Ok(response)) => Ok(ToolOutcome { response: Arc::new(response), took }),
            Ok(Err(error)) => Err(self.call_failed(generation, error)),
            Err(fault) => Err(self.call_faulted(generation, fault)),
        };
        if let Err(fault) = seat.run(Phase::Close, limits.close, move |_| drop(session)) {
            self.session_faulted(Fault::caught(&fault, None), generation.number);
        }
        result
    }

    fn call_faulted(&self, generation: &Generation, fault: RunFault) -> ToolError {
        self.session_faulted(Fault::caught(&fault, None), generation.number);
        of_fault(&fault)
    }

    fn call_failed(&self, generation: &Generation, error: CallError) -> ToolError {
        let reason = error.to_string();
        match error {
            CallError::BadArguments(reason) => ToolError::BadArguments { reason },
            CallError::Broken(_) => {
                self.broke(Fault::reported("run.broken", reason.clone(), None), generation.number);
                ToolError::Fault { code: "run.broken".to_owned(), reason }
            }
            CallError::Cancelled if generation.has_ended() => self.not_ready(),
            CallError::Cancelled => ToolError::GivenUp { reason },
            _ => ToolError::Fault { code: "run.failed".to_owned(), reason },
        }
    }
}

/// The code under which a run's outcome is counted, where it is an error.
fn error_code<T>(outcome: &Result<Result<T, CallError>, RunFault>) -> Option<&'static str> {
    match outcome {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(call_error_code(error)),
        Err(fault) => Some(fault.code()),
    }
}

/// What a fault means for the caller.
fn of_fault(fault: &RunFault) -> ToolError {
    match fault {
        RunFault::TimedOut { limit, .. } => ToolError::TimedOut { limit: *limit },
        RunFault::Cancelled { .. } => ToolError::GivenUp { reason: fault.to_string() },
        _ => ToolError::Fault { code: fault.code().to_owned(), reason: fault.to_string() },
    }
}

impl Reply {
    fn answer(&self, result: Result<ToolOutcome, ToolError>) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // The caller may have gone; then nobody wants to know.
            let _ = sender.try_send(result);
        }
    }
}

const WORKERS: usize = 2;
const QUEUE_LENGTH: usize = 8;
/// After which a worker without calls ends, so that an idle plugin keeps no threads.
const IDLE_MAX: Duration = Duration::from_secs(60);
