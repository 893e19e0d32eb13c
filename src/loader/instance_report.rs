use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use keepsight_contract::{Degradation, Finding, Manifest};

use super::{Fault, statistics::StatisticsSnapshot};
use crate::{
    lifecycle::{Cause, LifecycleState, Transition},
    sandbox::{MemoryUse, Phase, SandboxScope},
};

/// Everything about an instance at one moment.
#[derive(Clone, Debug)]
pub struct InstanceReport {
    /// Its name.
    pub name: String,
    /// Id of the plugin.
    pub plugin: String,
    /// What the plugin is, if it is in this binary.
    pub manifest: Option<Arc<Manifest>>,
    /// Where it stands.
    pub state: LifecycleState,
    /// Why.
    pub cause: Cause,
    /// Since when.
    pub since: Instant,
    /// When init succeeded, while it is available.
    pub initialized_at: Option<Instant>,
    /// Counted from 1.
    pub generation: u64,
    /// The last transitions, oldest first.
    pub history: Vec<Transition>,
    /// Events that had no place in the lifecycle.
    pub refused: u64,
    /// Whether it is left alone after too many faults.
    pub quarantined: bool,
    /// How its runs went.
    pub statistics: StatisticsSnapshot,
    /// What works less well than it should.
    pub degraded: Vec<Degradation>,
    /// Each requirement's check.
    pub findings: Vec<Finding>,
    /// The last faults with their times, oldest first.
    pub faults: Vec<(Instant, Fault)>,
    /// Whether the process is not ready without it.
    pub critical: bool,
    /// How long it may be away before that counts.
    pub grace: Duration,
    /// What the present generation and its sessions have of memory; `None` where this binary's
    /// allocator doesn't measure it.
    pub memory: Option<MemoryUse>,
    /// Whether it ran when the process before died. Others that ran then say so too: it need not
    /// have been this one.
    pub last_crash: Option<LastCrash>,
}

/// That the process before died while an instance of this name ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastCrash {
    /// What ran.
    pub phase: Phase,
    /// The stream, where it ran for one.
    pub stream: Option<String>,
    /// Its generation in that process.
    pub generation: u64,
    /// Processes one after the other that died while it ran; 1 for the first.
    pub in_a_row: u32,
    /// The panic that ended that process, where one did: then it was this instance's.
    pub panic: Option<String>,
}

/// What happened to an instance that a supervisor wants to know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum InstanceEvent {
    /// Loading ended, well or not: look at its state.
    LoadEnded {
        /// Name of the instance.
        name: String,
    },
    /// A session ended by a fault; the instance lives.
    SessionFaulted {
        /// Name of the instance.
        name: String,
        /// Which generation's session it was.
        generation: u64,
        /// What happened.
        fault: Fault,
    },
    /// A thread that works for an instance, and that nobody here started, panicked;
    /// [`PluginInstance::take_stray_panic`] says how.
    StrayPanic {
        /// In which the thread was.
        scope: SandboxScope,
    },
    /// The instance is FAILED, since nothing would succeed any more.
    Broke {
        /// Name of the instance.
        name: String,
    },
    /// Nothing happened to an instance; whoever waits for events should look round.
    LookRound,
}
