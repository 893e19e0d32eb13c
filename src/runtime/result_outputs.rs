//! `[[outputs]]`: from the configuration to outputs, their trial, and what is told of them.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use keepsight_contract::{Bytes, Finding, Seconds};

use super::{Runtime, StartError};
use crate::{
    config::{Config, OutputConfig},
    health::wall_time,
    inspector::OutputReport,
    loader::{Catalog, HostEvent, InstanceHost},
    outputs::{Output, OutputSpec, OutputState, Trouble},
    sandbox::{Phase, Sandbox, SandboxScope},
    streams::Listener,
};

/// An output that is checked and not yet started.
pub(super) struct PlannedOutput {
    name: String,
    pub(super) config: OutputConfig,
    spec: OutputSpec,
    host: Arc<InstanceHost>,
}

/// Every output at work, in the configuration's order. Whoever asks has those of one moment.
#[derive(Default)]
pub(super) struct RunningOutputs(RwLock<Arc<Vec<Arc<RunningOutput>>>>);

/// An output at work, and what it was configured to be.
pub(super) struct RunningOutput {
    name: String,
    pub(super) config: OutputConfig,
    output: Output,
    listener: Listener,
}

/// What came of opening an output for a moment.
#[derive(Clone, Debug)]
pub struct OutputTrial {
    /// Its address in the form that may be seen.
    pub to: String,
    /// What was found.
    pub finding: Finding,
}

/// Every configured output, checked against what is there; named as none of `running` is.
pub(super) fn plan(
    config: &Config,
    catalog: &Catalog,
    running: &RunningOutputs,
    sandbox: &Arc<Sandbox>,
) -> Result<Vec<PlannedOutput>, StartError> {
    let spec = |output: &OutputConfig| {
        let keep = (output.keep.size.map(Bytes), output.keep.age.map(Seconds));
        OutputSpec::new(output.to.expose(), output.to.shown(), &output.what, keep, catalog)
    };
    let specs = config.outputs.iter().map(spec).collect::<Result<Vec<_>, _>>()?;
    OutputSpec::check_distinct(&specs)?;
    let running = running.all();
    // An address may hold what no folder or thread can be named by.
    let names = (1..).map(|number| format!("output:{number}"));
    let names = names.filter(|name| running.iter().all(|running| running.name != *name));
    let planned = config.outputs.iter().zip(specs).zip(names).map(|((output, spec), name)| {
        let host = host(&name, config, sandbox);
        PlannedOutput { name, config: output.clone(), spec, host }
    });
    Ok(planned.collect())
}

impl RunningOutputs {
    /// Those of now.
    pub(super) fn all(&self) -> Arc<Vec<Arc<RunningOutput>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, outputs: Vec<Arc<RunningOutput>>) {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *place, Arc::new(outputs));
        drop(place);
        drop(before);
    }

    /// What feeds those that are there when an outcome comes.
    pub(super) fn listener(self: &Arc<Self>) -> Listener {
        let outputs = self.clone();
        Arc::new(move |outcome| {
            outputs.all().iter().for_each(|running| (running.listener)(outcome));
        })
    }

    /// Ends every output: all are asked first, then waited for, at most for `limit` together.
    pub(super) fn end(&self, limit: Duration) {
        end_outputs(&self.all(), limit);
    }
}

impl RunningOutput {
    /// Its address in the form that may be seen.
    pub(super) fn to(&self) -> &str {
        self.output.to()
    }
}

/// Ends these outputs: all are asked first, then waited for, at most for `limit` together.
pub(super) fn end_outputs(outputs: &[Arc<RunningOutput>], limit: Duration) {
    let end = Instant::now() + limit;
    outputs.iter().for_each(|running| running.output.stop());
    for running in outputs {
        running.output.join(end.saturating_duration_since(Instant::now()));
    }
}

impl PlannedOutput {
    pub(super) fn start(self, sandbox: Arc<Sandbox>) -> Arc<RunningOutput> {
        let Self { name, config, spec, host } = self;
        let output = Output::start(&name, spec, host, sandbox);
        let listener = output.listener();
        Arc::new(RunningOutput { name, config, output, listener })
    }

    /// Its address in the form that may be seen.
    pub(super) fn to(&self) -> &str {
        &self.spec.to
    }

    fn try_it(&self, sandbox: &Arc<Sandbox>, limit: Duration) -> OutputTrial {
        let OutputSpec { to, registration, settings, .. } = &self.spec;
        let (open, settings, host) = (registration.open, settings.clone(), self.host.host());
        let trial = move |_: &_| open(&settings, &host)?.flush();
        let scope = SandboxScope::new(self.name.as_str(), None, 0);
        let trouble = match sandbox.run_once("try", scope, Phase::Output, limit, trial) {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Trouble::reported(error.as_ref())),
            Err(fault) => Some(Trouble::caught(&fault)),
        };
        let finding = match trouble {
            None => Finding::met("target", "can be opened and written to"),
            Some(Trouble { code, reason, hint, .. }) => {
                Finding::unmet(code, "target", reason, hint)
            }
        };
        OutputTrial { to: to.clone(), finding }
    }
}

impl Runtime {
    /// Opens each output that hasn't begun, and closes it again without a record; each has
    /// `limit`.
    pub fn try_outputs(&self, limit: Duration) -> Vec<OutputTrial> {
        let planned = self.planned_outputs.lock().unwrap_or_else(PoisonError::into_inner);
        planned.iter().map(|planned| planned.try_it(&self.sandbox, limit)).collect()
    }

    /// Starts every output.
    pub(super) fn begin_outputs(&self) {
        let planned = std::mem::take(
            &mut *self.planned_outputs.lock().unwrap_or_else(PoisonError::into_inner),
        );
        let start = |planned: PlannedOutput| planned.start(self.sandbox.clone());
        self.outputs.set(planned.into_iter().map(start).collect());
    }

    /// How each output does, in the configuration's order; empty before
    /// [`begin`](Self::begin).
    pub fn outputs(&self) -> Vec<OutputReport> {
        self.outputs.all().iter().map(|running| report(&running.output)).collect()
    }
}

/// The host of an output: what it tells is logged.
fn host(name: &str, config: &Config, sandbox: &Arc<Sandbox>) -> Arc<InstanceHost> {
    let state_dir = config.runtime.state_dir.as_deref();
    InstanceHost::new(name, state_dir, sandbox, |event| match event {
        HostEvent::Published { instance, kind, data, .. } => {
            tracing::debug!(output = %instance, kind, %data, "event");
        }
        HostEvent::ThreadFaulted { instance, fault, .. } => {
            tracing::error!(output = %instance, reason = %fault.reason,
                "an output's own thread failed");
        }
        _ => {}
    })
}

fn report(output: &Output) -> OutputReport {
    let status = output.status();
    let failing = status.state == OutputState::Failing;
    let trouble = status.last_trouble;
    let in_force = trouble.as_ref().filter(|_| failing);
    OutputReport {
        to: output.to().to_owned(),
        what: output.what().iter().map(|kind| kind.as_str()).collect(),
        state: status.state.as_str(),
        code: in_force.map(|trouble| trouble.code),
        reason: in_force.map(|trouble| trouble.reason.clone()),
        hint: in_force.map(|trouble| trouble.hint),
        since: wall_time(status.since),
        written: status.written,
        dropped: status.dropped,
        queued: status.queued,
        overflowing: status.overflowing,
        last_error_at: trouble.as_ref().map(|trouble| trouble.at),
        last_error: trouble.map(|trouble| trouble.reason),
    }
}
