use serde_json::Value;

use crate::{Finding, Requirement};

/// Checks one kind of requirement; registered by whoever can, in [`PROBES`].
pub struct Probe {
    /// The kind of requirement, as [`Requirement::kind`] names it.
    pub kind: &'static str,
    /// How it is checked.
    pub check: ProbeCheck,
}

/// How a requirement is checked.
#[non_exhaustive]
pub enum ProbeCheck {
    /// By a function that can be trusted not to crash; it runs under a time limit.
    InProcess(fn(&Requirement) -> Finding),
    /// By looking around in a child process, since the look itself may crash or hang (graphics
    /// drivers do), and judging what it saw here.
    ChildProcess {
        /// What is there; runs in the child (`keepsight probe KIND`).
        survey: fn() -> Value,
        /// Whether that meets the requirement; runs here.
        judge: fn(&Requirement, &Value) -> Finding,
    },
}

/// Every probe in this binary. A requirement whose kind has none is unmet.
#[linkme::distributed_slice]
pub static PROBES: [Probe];
