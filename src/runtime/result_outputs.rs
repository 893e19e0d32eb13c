//! `[[outputs]]`: from the configuration to outputs, their trial, and what is told of them.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
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
    spec: OutputSpec,
    host: Arc<InstanceHost>,
}

/// What came of opening an output for a moment.
#[derive(Clone, Debug)]
pub struct OutputTrial {
    /// Its address in the form that may be seen.
    pub to: String,
    /// What was found.
    pub finding: Finding,
}

/// Every configured output, checked against what is there.
pub(super) fn plan(
    config: &Config,
    catalog: &Catalog,
    sandbox: &Arc<Sandbox>,
) -> Result<Vec<PlannedOutput>, StartError> {
    let spec = |output: &OutputConfig| {
        let keep = (output.keep.size.map(Bytes), output.keep.age.map(Seconds));
        OutputSpec::new(output.to.expose(), output.to.shown(), &output.what, keep, catalog)
    };
    let specs = config.outputs.iter().map(spec).collect::<Result<Vec<_>, _>>()?;
    OutputSpec::check_distinct(&specs)?;
    let planned = specs.into_iter().enumerate().map(|(index, spec)| {
        // An address may hold what no folder or thread can be named by.
        let name = format!("output:{}", index + 1);
        let host = host(&name, config, sandbox);
        PlannedOutput { name, spec, host }
    });
    Ok(planned.collect())
}

impl PlannedOutput {
    pub(super) fn start(self, sandbox: Arc<Sandbox>) -> Output {
        Output::start(&self.name, self.spec, self.host, sandbox)
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

    /// Starts every output; gives who is told of outcomes, they among them.
    pub(super) fn begin_outputs(&self) -> Vec<Listener> {
        let planned = std::mem::take(
            &mut *self.planned_outputs.lock().unwrap_or_else(PoisonError::into_inner),
        );
        let start = |planned: PlannedOutput| planned.start(self.sandbox.clone());
        let outputs = self.outputs.get_or_init(|| planned.into_iter().map(start).collect());
        let listeners = self.listeners.iter().cloned();
        listeners.chain(outputs.iter().map(Output::listener)).collect()
    }

    /// Ends every output: all are asked first, then waited for.
    pub(super) fn end_outputs(&self) {
        let outputs = self.outputs.get().map(Vec::as_slice).unwrap_or_default();
        outputs.iter().for_each(Output::stop);
        outputs.iter().for_each(|output| output.join(self.shutdown_limit));
    }

    /// How each output does, in the configuration's order; empty before
    /// [`begin`](Self::begin).
    pub fn outputs(&self) -> Vec<OutputReport> {
        self.outputs.get().into_iter().flatten().map(report).collect()
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
