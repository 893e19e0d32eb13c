use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use keepsight_contract::{CallError, ErasedSession, Request, StreamInfo};

use super::{Fault, Generation, PluginInstance, ToolCall, ToolError, ToolOutcome, call_error_code};
use crate::sandbox::{Phase, RunFault, SandboxScope, WorkerSeat};

/// A session that calls run in. It is opened, run and closed on one worker, in the sandbox; that
/// worker must close it.
pub(super) struct CallSession {
    session: ErasedSession,
    scope: SandboxScope,
    generation: Arc<Generation>,
    /// Whether another call can run in it: after a fault nobody knows what state it is in.
    intact: bool,
}

impl CallSession {
    /// Opens one; a failure counts as a run that gave no result.
    pub(super) fn open(
        instance: &PluginInstance,
        seat: &WorkerSeat,
        generation: &Arc<Generation>,
    ) -> Result<Self, ToolError> {
        let info = StreamInfo::new("call").with_settings(generation.config().clone());
        let (host, limit) = (instance.host(), instance.spec().limits.call);
        let scope = generation.scope().session(None);
        let _engaged = seat.work_for(scope.clone());
        let start = Instant::now();
        match seat.run(Phase::Open, limit, |_| generation.plugin().open(&info, &host)) {
            Ok(Ok(session)) => {
                Ok(Self { session, scope, generation: generation.clone(), intact: true })
            }
            _ if seat.is_abandoned() => Err(too_late()),
            Ok(Err(error)) => {
                instance.record_run(Some(call_error_code(&error)), start.elapsed());
                Err(instance.call_failed(generation, error))
            }
            Err(fault) => {
                instance.record_run(Some(fault.code()), start.elapsed());
                Err(instance.call_faulted(generation, &fault))
            }
        }
    }

    /// Runs `call` and counts it, unless the worker was given up: the watchdog does both then.
    pub(super) fn run(
        &mut self,
        instance: &PluginInstance,
        seat: &WorkerSeat,
        call: ToolCall,
    ) -> Result<ToolOutcome, ToolError> {
        let limit = instance.spec().limits.call;
        let Self { session, scope, generation, intact } = self;
        let _engaged = seat.work_for(scope.clone());
        let mut request = Request::new(call.tool).with_args(call.args);
        if let Some(frame) = call.frame {
            request = request.with_frame(frame);
        }
        *intact = false;
        let start = Instant::now();
        let outcome = seat.run(Phase::Run, limit, |context| {
            generation.plugin().run(session.as_mut(), &request, context)
        });
        let took = start.elapsed();
        if seat.is_abandoned() {
            return Err(too_late());
        }
        instance.record_run(error_code(&outcome), took);
        *intact = !matches!(outcome, Ok(Err(CallError::Broken(_))) | Err(_));
        match outcome {
            Ok(Ok(response)) => {
                generation.failed_in_a_row.store(0, Relaxed);
                Ok(ToolOutcome { response: Arc::new(response), took })
            }
            Ok(Err(CallError::Cancelled)) if took >= limit && seat.stop_reason().is_none() => {
                Err(ToolError::TimedOut { limit })
            }
            Ok(Err(error)) => Err(instance.call_failed(generation, error)),
            Err(fault) => Err(instance.call_faulted(generation, &fault)),
        }
    }

    /// Drops the plugin's session.
    pub(super) fn close(self, instance: &PluginInstance, seat: &WorkerSeat) {
        let Self { session, scope, generation, .. } = self;
        let limit = instance.spec().limits.close;
        let _engaged = seat.work_for(scope);
        if let Err(fault) = seat.run(Phase::Close, limit, move |_| drop(session))
            && !seat.is_abandoned()
        {
            instance.session_faulted(Fault::caught(&fault, None), generation.number);
        }
    }

    /// Whether it can be kept for another call.
    pub(super) fn can_be_kept(&self) -> bool {
        self.intact && !self.generation.has_ended()
    }

    pub(super) fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }
}

impl PluginInstance {
    fn call_faulted(&self, generation: &Generation, fault: &RunFault) -> ToolError {
        self.session_faulted(Fault::caught(fault, None), generation.number);
        of_fault(fault)
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
            _ => {
                let before = generation.failed_in_a_row.fetch_add(1, Relaxed);
                if (before + 1).is_multiple_of(FAILED_IN_A_ROW_MAX) {
                    let fault = Fault::reported("run.failed", reason.clone(), None);
                    self.session_faulted(fault, generation.number);
                }
                ToolError::Fault { code: "run.failed".to_owned(), reason }
            }
        }
    }
}

/// What a fault means for the caller.
pub(super) fn of_fault(fault: &RunFault) -> ToolError {
    match fault {
        RunFault::TimedOut { limit, .. } => ToolError::TimedOut { limit: *limit },
        // Nothing of the plugin ran, so there is nothing to count against it.
        RunFault::Cancelled { .. }
        | RunFault::InstanceCapReached { .. }
        | RunFault::ProcessCapReached { .. }
        | RunFault::WorkerUnavailable { .. } => ToolError::GivenUp { reason: fault.to_string() },
        _ => ToolError::Fault { code: fault.code().to_owned(), reason: fault.to_string() },
    }
}

/// What nobody waits for any more gets.
fn too_late() -> ToolError {
    ToolError::GivenUp { reason: "the result came too late".to_owned() }
}

/// The code under which a run's outcome is counted, where it is an error.
fn error_code<T>(outcome: &Result<Result<T, CallError>, RunFault>) -> Option<&'static str> {
    match outcome {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(call_error_code(error)),
        Err(fault) => Some(fault.code()),
    }
}

/// Ordinary failures in a row, of the frames of a session or of calls, that count as a fault.
pub(crate) const FAILED_IN_A_ROW_MAX: u32 = 30;
