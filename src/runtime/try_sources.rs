use std::{sync::PoisonError, time::Duration};

use keepsight_contract::{CallContext, Finding};

use super::Runtime;
use crate::sandbox::{Phase, SandboxScope};

/// What came of opening a stream's source for a moment.
#[derive(Clone, Debug)]
pub struct SourceTrial {
    /// Name of the stream.
    pub stream: String,
    /// What was found.
    pub finding: Finding,
}

impl Runtime {
    /// Opens the source of each stream that hasn't begun, and closes it again; each has `limit`.
    pub fn try_sources(&self, limit: Duration) -> Vec<SourceTrial> {
        let planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        planned
            .iter()
            .map(|planned| {
                let (uri, wish) = (planned.spec.source.clone(), planned.spec.wish.clone());
                let (open, host) = (planned.registration.open, planned.host.host());
                let subject = uri.redacted();
                let scope = SandboxScope::new(format!("source:{}", planned.spec.name), None, 0);
                let trial = move |call: &CallContext| {
                    let source = open(&uri, &wish, call, &host)?;
                    let info = source.info();
                    source.close().map(|()| info)
                };
                let outcome = self.sandbox.run_once("try", scope, Phase::SourceOpen, limit, trial);
                let finding = match outcome {
                    Ok(Ok(info)) => {
                        let rate = info.rate.map(|rate| format!(", {rate:.3} fps"));
                        let (size, format) = (info.size, info.format);
                        let rate = rate.unwrap_or_default();
                        let found = format!("{}: {size} {format:?}{rate}", info.device);
                        Finding::met(subject, found)
                    }
                    Ok(Err(error)) => {
                        Finding::unmet(error.code(), subject, error.reason(), error.hint_text())
                    }
                    Err(fault) => {
                        Finding::unmet(fault.code(), subject, fault.to_string(), fault.hint())
                    }
                };
                SourceTrial { stream: planned.spec.name.clone(), finding }
            })
            .collect()
    }
}
