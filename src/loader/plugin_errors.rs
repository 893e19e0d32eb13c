use std::{backtrace::Backtrace, borrow::Cow, sync::Arc, time::Duration};

use keepsight_contract::{CallError, Finding};

use crate::{
    lifecycle::{Cause, LifecycleState},
    sandbox::{Phase, RunFault},
};

/// Why an instance was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The plugin isn't in this binary.
    #[error("this build has no plugin {plugin:?}")]
    NotBundled {
        /// The plugin's id.
        plugin: String,
        /// Those that it has.
        known: String,
    },
    /// The plugin refused its configuration.
    #[error("the configuration is not this plugin's: {reason}")]
    Config {
        /// What is wrong with it.
        reason: String,
    },
    /// Something that it needs is missing.
    #[error("{}", finding.reason)]
    Unmet {
        /// The first requirement that isn't met.
        finding: Finding,
    },
    /// Init gave an error.
    #[error("init failed: {reason}")]
    Init {
        /// The error and its causes.
        reason: String,
    },
    /// Init or the check of its requirements panicked or took too long.
    #[error(transparent)]
    Fault(#[from] RunFault),
    /// The instance was asked to load while it was not in a state to.
    #[error("the instance is {state}, so it is not loaded now")]
    OutOfTurn {
        /// Its state.
        state: &'static str,
    },
}

/// A fault of an instance, as its history, health and logs show it.
#[derive(Clone, Debug)]
pub struct Fault {
    /// A stable code, such as `run.panicked`.
    pub code: Cow<'static, str>,
    /// What happened.
    pub reason: String,
    /// What a person can do about it.
    pub hint: String,
    /// Stream of the session in which it happened.
    pub stream: Option<String>,
    /// Where in the source, for a panic.
    pub location: Option<String>,
    /// The stack at a panic, where it was kept. Its names are looked up when it is formatted,
    /// which takes tens of milliseconds.
    pub backtrace: Option<Arc<Backtrace>>,
    /// The panic hook had been replaced, so that little is known of the panic; it has been put
    /// back.
    pub hook_replaced: bool,
}

/// Why a call of a tool gave nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// No instance has that name.
    #[error("no plugin is called '{plugin}'")]
    UnknownPlugin {
        /// The name.
        plugin: String,
    },
    /// The plugin has no such tool.
    #[error("plugin '{plugin}' has no tool '{tool}'; it has {}", listed(known))]
    UnknownTool {
        /// The instance.
        plugin: String,
        /// The tool asked for.
        tool: String,
        /// The tools it has.
        known: Vec<String>,
    },
    /// The plugin cannot work with these arguments.
    #[error("{reason}")]
    BadArguments {
        /// What is wrong with them.
        reason: String,
    },
    /// The plugin does not accept calls.
    #[error("plugin is {state}{}", because(reason.as_deref(), hint.as_deref()))]
    NotServing {
        /// Where it stands.
        state: LifecycleState,
        /// Why.
        reason: Option<String>,
        /// What a person can do about it.
        hint: Option<String>,
        /// Until it is tried again, where that is planned.
        retry_after: Option<Duration>,
    },
    /// Too many calls wait.
    #[error("too many calls wait for this plugin; ask again later")]
    QueueFull,
    /// The plugin was reloaded or the process ends, before the call ran to its end.
    #[error("the call was given up: {reason}")]
    GivenUp {
        /// For what.
        reason: String,
    },
    /// The deadline passed.
    #[error("no result within {limit:?}")]
    TimedOut {
        /// Time it had.
        limit: Duration,
    },
    /// The plugin failed, panicked or took too much memory.
    #[error("{reason}")]
    Fault {
        /// A stable code, such as `run.panicked`.
        code: String,
        /// What happened.
        reason: String,
    },
}

impl LoadError {
    /// What the instance's health says.
    pub fn cause(&self) -> Cause {
        match self {
            Self::NotBundled { known, .. } => Cause::new("load.not_bundled", self.to_string())
                .with_hint(format!(
                    "build with the plugin's feature, or use one of those here: {known}"
                )),
            Self::Config { .. } => Cause::new("config.invalid", self.to_string())
                .with_hint("correct the instance's config in keepsight.toml, then reload"),
            Self::Unmet { finding } => {
                Cause::new(finding.code.clone(), self.to_string()).with_hint(finding.hint.clone())
            }
            Self::Init { .. } => Cause::new("init.failed", self.to_string())
                .with_hint("the log shows what the plugin did before"),
            Self::Fault(fault) => {
                Cause::new(fault.code(), fault.to_string()).with_hint(fault.hint())
            }
            Self::OutOfTurn { .. } => Cause::new("load.out_of_turn", self.to_string()),
        }
    }
}

impl Fault {
    /// What the sandbox caught in a session of `stream`.
    pub fn caught(fault: &RunFault, stream: Option<&str>) -> Self {
        let (location, backtrace, hook_replaced) = match fault {
            RunFault::Panicked { report, .. } => {
                (report.location.clone(), report.backtrace.clone(), report.hook_replaced)
            }
            _ => (None, None, false),
        };
        Self {
            code: Cow::Borrowed(fault.code()),
            reason: fault.to_string(),
            hint: fault.hint().to_owned(),
            stream: stream.map(str::to_owned),
            location,
            backtrace,
            hook_replaced,
        }
    }

    /// What the plugin itself said in a session of `stream`.
    pub fn reported(code: &'static str, reason: String, stream: Option<&str>) -> Self {
        Self {
            code: Cow::Borrowed(code),
            reason,
            hint: "the log shows what the plugin did before".to_owned(),
            stream: stream.map(str::to_owned),
            location: None,
            backtrace: None,
            hook_replaced: false,
        }
    }

    /// The thread `name` of the plugin's own had not ended `limit` after it was asked to.
    pub(super) fn left_behind(name: &str, limit: Duration) -> Self {
        let fault = RunFault::TimedOut { phase: Phase::Thread, limit };
        let reason = format!("thread {name:?} had not ended {limit:?} after it was asked to");
        let hint = "it is given up; the plugin should look at its StopToken more often".to_owned();
        Self { reason, hint, ..Self::caught(&fault, None) }
    }

    /// The same as the cause of a transition.
    pub fn cause(&self) -> Cause {
        Cause::new(self.code.clone(), self.reason.clone()).with_hint(self.hint.clone())
    }
}

/// The stable code of what a call gave instead of a response.
pub(crate) fn call_error_code(error: &CallError) -> &'static str {
    match error {
        CallError::BadArguments(_) => "run.bad_arguments",
        CallError::Broken(_) => "run.broken",
        CallError::Cancelled => "run.cancelled",
        _ => "run.failed",
    }
}

/// A reason behind a colon, a hint behind a semicolon, as far as there are any.
pub(crate) fn because(reason: Option<&str>, hint: Option<&str>) -> String {
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    reason + &hint
}

/// The error and its causes, as one line joined by colons.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_load_error_has_its_own_code() {
        let finding = Finding::unmet("dependency.gpu_missing", "GPU", "no adapter", "buy one");
        let errors = [
            LoadError::NotBundled { plugin: "x".into(), known: "y".into() },
            LoadError::Config { reason: "x".into() },
            LoadError::Unmet { finding },
            LoadError::Init { reason: "x".into() },
            LoadError::Fault(RunFault::TimedOut {
                phase: Phase::Init,
                limit: Duration::from_secs(1),
            }),
            LoadError::OutOfTurn { state: "LOADED" },
        ];
        let codes: Vec<_> = errors.iter().map(|error| error.cause().code).collect();
        assert_eq!(
            codes,
            [
                "load.not_bundled",
                "config.invalid",
                "dependency.gpu_missing",
                "init.failed",
                "init.timed_out",
                "load.out_of_turn"
            ]
        );
    }
}
