use std::time::{Duration, Instant};

use super::{RestartLedger, RestartPolicy};
use crate::{
    lifecycle::{Cause, LifecycleEvent},
    loader::PluginInstance,
};

/// What is known of one instance.
pub(super) struct Case {
    pub(super) ledger: RestartLedger,
    /// When it is tried again, and as what.
    pub(super) due: Option<(Instant, LifecycleEvent)>,
    /// Somebody reloads it.
    pub(super) reload: bool,
    pub(super) work: Work,
    /// It is left alone for as long as it has no thread to give.
    pub(super) hanging: bool,
    /// The generation whose failure has been dealt with.
    pub(super) dealt_with: u64,
}

/// What one of the supervisor's threads does with an instance.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Nothing,
    /// Looks whether what it lacks is there now.
    Looks,
    /// Is about to take it back to LOADED.
    Begins,
    /// Loads it; over once the instance has told so.
    Loads,
}

impl Case {
    pub(super) fn new(policy: RestartPolicy, name: &str) -> Self {
        Self {
            ledger: RestartLedger::new(policy, name),
            due: None,
            reload: false,
            work: Work::Nothing,
            hanging: false,
            dealt_with: 0,
        }
    }

    pub(super) fn time_left(&self, now: Instant) -> Option<Duration> {
        self.due.map(|(at, _)| at.saturating_duration_since(now))
    }
}

/// Why an instance is left alone that has failed too often.
pub(super) fn spent(instance: &PluginInstance, policy: &RestartPolicy) -> Cause {
    let last = instance.report().cause;
    Cause::new(
        QUARANTINED,
        format!(
            "left alone after {} restarts within {:?}; the last reason: {}",
            policy.budget, policy.window, last.reason
        ),
    )
    .with_hint("mend what the reason says, then reload the plugin")
}

/// Why an instance is left alone whose threads hang.
pub(super) fn hanging(instance: &PluginInstance) -> Cause {
    let threads = instance.sandbox().abandoned_of(instance.name());
    Cause::new(QUARANTINED, format!("left alone while {threads} of its threads hang")).with_hint(
        "it is tried again once one of them returns; only a restart of the process ends them",
    )
}

const QUARANTINED: &str = "supervisor.quarantined";
