use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use keepsight_contract::{Finding, HistogramSnapshot};

use super::{OutputReport, PluginReport, RereadReport};
use crate::{
    lifecycle::{Cause, LifecycleEvent, LifecycleState},
    loader::{Fault, InstanceLimits, KeptSession, LastCrash},
    sandbox::MemoryUse,
    supervisor::RestartPolicy,
};

/// A plugin instance looked into: what its health says, and how it came to that.
#[derive(Clone, Debug)]
pub struct PluginInspection {
    /// What its health says.
    pub report: PluginReport,
    /// The plugin's id.
    pub plugin: String,
    /// What each requirement's check found, at the last loading.
    pub findings: Vec<Finding>,
    /// All runs' times, in milliseconds.
    pub run_ms: HistogramSnapshot,
    /// Runs that gave no result, by the error's code.
    pub errors: BTreeMap<&'static str, u64>,
    /// Its threads that were given up and have not returned.
    pub abandoned: usize,
    /// What it and its sessions have of memory, where that is measured.
    pub memory: Option<MemoryUse>,
    /// The sessions that calls keep, by name.
    pub call_sessions: Vec<KeptSession>,
    /// How often and after what pauses it is built anew.
    pub restart_policy: RestartPolicy,
    /// Its time limits.
    pub limits: InstanceLimits,
    /// That the process before died while it ran, though it need not have been the cause.
    pub last_crash: Option<LastCrash>,
    /// The last transitions, oldest first.
    pub transitions: Vec<TransitionReport>,
    /// Events that had no place in the lifecycle.
    pub refused: u64,
    /// The last faults with their times, oldest first.
    pub faults: Vec<(SystemTime, Fault)>,
}

/// A step that an instance took.
#[derive(Clone, Debug)]
pub struct TransitionReport {
    /// When.
    pub at: SystemTime,
    /// The state left; `None` for the registration.
    pub from: Option<LifecycleState>,
    /// The state entered.
    pub to: LifecycleState,
    /// What happened.
    pub event: LifecycleEvent,
    /// Why.
    pub cause: Cause,
    /// Its generation after the step.
    pub generation: u64,
}

/// The process and the machine that it runs on. What the system doesn't say is `None`.
#[derive(Clone, Debug, Default)]
pub struct HostReport {
    /// Since the process began.
    pub uptime: Duration,
    /// Whether the wall clock is set by another one: `true`, or not known.
    pub clock_synchronized: Option<bool>,
    /// What the machine's thermometers say.
    pub temperatures: Vec<Temperature>,
    /// What cools the machine, by a fan or by slowing something down.
    pub cooling: Vec<Cooling>,
    /// Space where state is kept; `None` where none is kept.
    pub disk: Option<Disk>,
    /// Memory of the process that is resident, in bytes.
    pub resident_bytes: Option<u64>,
    /// Memory of the machine, in bytes.
    pub memory_bytes: Option<u64>,
    /// What of that programs could still have, in bytes.
    pub memory_available_bytes: Option<u64>,
    /// Threads of the process.
    pub threads: Option<u64>,
    /// Threads that were given up and have not returned.
    pub abandoned: usize,
    /// Threads that were ever given up.
    pub abandoned_ever: u64,
    /// Child processes.
    pub children: Option<u64>,
    /// What the last look at the graphics adapters gave.
    pub gpu: GpuSurvey,
    /// Where results are written, in the configuration's order.
    pub outputs: Vec<OutputReport>,
    /// What came of the last re-reading of the configuration; `None` before the first.
    pub last_reread: Option<RereadReport>,
}

/// A thermometer of the machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Temperature {
    /// What it measures, such as `cpu-thermal`.
    pub name: String,
    /// In degrees Celsius.
    pub celsius: f64,
}

/// A means of cooling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cooling {
    /// What it is, such as `Processor` or `pwm-fan`.
    pub name: String,
    /// How much it does now; 0 is nothing.
    pub state: u64,
    /// The most that it can do.
    pub state_max: u64,
}

/// Space on a file system, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Where state is kept.
    pub path: String,
    /// All of it.
    pub total_bytes: u64,
    /// What this user may still take.
    pub available_bytes: u64,
}

/// What is known of the graphics adapters, by a child process that looked.
#[derive(Clone, Debug, Default)]
pub enum GpuSurvey {
    /// This build has no GPU support.
    #[default]
    NotInBuild,
    /// Nobody has looked yet; somebody does now.
    Looking,
    /// What was found, and how long ago.
    Found(Duration, serde_json::Value),
    /// Why looking gave nothing, and how long ago.
    Failed(Duration, String),
}

impl Cooling {
    /// Whether it slows down what it cools.
    pub fn throttles(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        let slows = name.contains("processor") || name.contains("cpu") || name.contains("devfreq");
        slows && self.state > 0
    }
}
