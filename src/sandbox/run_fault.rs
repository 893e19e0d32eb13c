//! Why a sandboxed call gave no result.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use keepsight_contract::Bytes;

use super::{AbandonReason, PanicReport, Phase};

/// Why a sandboxed call gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunFault {
    /// The code panicked.
    #[error("panicked in {phase}: {}", report.message)]
    Panicked {
        /// What ran.
        phase: Phase,
        /// What is known about the panic.
        report: PanicReport,
    },
    /// The code had not returned when its time was up. Its thread is abandoned.
    #[error("{phase} gave no answer within {limit:?}")]
    TimedOut {
        /// What ran.
        phase: Phase,
        /// The time it had.
        limit: Duration,
    },
    /// The call, or its instance, took more memory than the instance and its sessions may have.
    /// Where it didn't return soon after it was told, its thread is abandoned.
    #[error("{phase} took its plugin to {}, beyond the limit of {}", Bytes(*used), Bytes(*limit))]
    MemoryExceeded {
        /// What ran.
        phase: Phase,
        /// What the instance and its sessions may have, in bytes.
        limit: u64,
        /// What they had when it was noticed, in bytes.
        used: u64,
        /// How long the call had run when it was over, or given up.
        after: Duration,
    },
    /// The worker was asked to stop, so the call was not begun, or not waited for.
    #[error("cancelled by {reason}")]
    Cancelled {
        /// What for.
        reason: AbandonReason,
    },
    /// The operating system gave no thread.
    #[error("no worker thread could be started")]
    WorkerUnavailable {
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The instance has as many abandoned threads as it may; none is started until one returns.
    #[error("{instance} has {abandoned} threads that never returned, and may have no more")]
    InstanceCapReached {
        /// Whose threads they are.
        instance: Arc<str>,
        /// How many there are.
        abandoned: usize,
    },
    /// The process has as many abandoned threads as it may: containment is lost.
    #[error("{abandoned} threads of this process never returned, and it may have no more")]
    ProcessCapReached {
        /// How many there are.
        abandoned: usize,
    },
}

impl RunFault {
    /// The stable code, such as `run.panicked` or `init.timed_out`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Panicked { phase, .. } => match phase {
                Phase::Probe => "probe.panicked",
                Phase::Init => "init.panicked",
                Phase::Open => "open.panicked",
                Phase::Run => "run.panicked",
                Phase::Close => "close.panicked",
                Phase::Thread => "thread.panicked",
                Phase::SourceOpen => "source_open.panicked",
                Phase::SourceNext => "source_next.panicked",
                Phase::SourceClose => "source_close.panicked",
                Phase::Output => "output.panicked",
            },
            Self::TimedOut { phase, .. } => match phase {
                Phase::Probe => "probe.timed_out",
                Phase::Init => "init.timed_out",
                Phase::Open => "open.timed_out",
                Phase::Run => "run.timed_out",
                Phase::Close => "close.timed_out",
                Phase::Thread => "thread.timed_out",
                Phase::SourceOpen => "source_open.timed_out",
                Phase::SourceNext => "source_next.timed_out",
                Phase::SourceClose => "source_close.timed_out",
                Phase::Output => "output.timed_out",
            },
            Self::MemoryExceeded { phase, .. } => match phase {
                Phase::Probe => "probe.memory_exceeded",
                Phase::Init => "init.memory_exceeded",
                Phase::Open => "open.memory_exceeded",
                Phase::Run => "run.memory_exceeded",
                Phase::Close => "close.memory_exceeded",
                Phase::Thread => "thread.memory_exceeded",
                Phase::SourceOpen => "source_open.memory_exceeded",
                Phase::SourceNext => "source_next.memory_exceeded",
                Phase::SourceClose => "source_close.memory_exceeded",
                Phase::Output => "output.memory_exceeded",
            },
            Self::Cancelled { reason } => match reason {
                AbandonReason::Deadline => "cancelled.deadline",
                AbandonReason::Reload => "cancelled.reload",
                AbandonReason::Shutdown => "cancelled.shutdown",
                AbandonReason::Memory => "cancelled.memory",
            },
            Self::WorkerUnavailable { .. } => "sandbox.worker_unavailable",
            Self::InstanceCapReached { .. } => "sandbox.instance_cap_reached",
            Self::ProcessCapReached { .. } => "sandbox.process_cap_reached",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Panicked { .. } => {
                "this is a bug in the plugin; the inspector shows where it happened"
            }
            Self::TimedOut { .. } => {
                "raise the time limit if the work is merely slow; otherwise the plugin hangs"
            }
            Self::MemoryExceeded { .. } => {
                "raise the instance's `memory` if the work needs it; otherwise the plugin leaks"
            }
            Self::Cancelled { .. } => "try again once the reload is over",
            Self::WorkerUnavailable { .. } => {
                "the system is out of threads or memory, or a limit (ulimit -u, TasksMax) is too low"
            }
            Self::InstanceCapReached { .. } | Self::ProcessCapReached { .. } => {
                "hung threads cannot be ended one by one; restart the process to be rid of them"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_made_of_the_phase_and_the_fault() {
        let report = PanicReport::without_record("gone".into());
        for phase in Phase::ALL {
            let panicked = RunFault::Panicked { phase, report: report.clone() };
            assert_eq!(panicked.code(), format!("{phase}.panicked"));
            let timed_out = RunFault::TimedOut { phase, limit: Duration::ZERO };
            assert_eq!(timed_out.code(), format!("{phase}.timed_out"));
            let exceeded =
                RunFault::MemoryExceeded { phase, limit: 1, used: 2, after: Duration::ZERO };
            assert_eq!(exceeded.code(), format!("{phase}.memory_exceeded"));
        }
        for reason in AbandonReason::ALL {
            assert_eq!(RunFault::Cancelled { reason }.code(), format!("cancelled.{reason}"));
        }
    }
}
