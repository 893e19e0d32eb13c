use std::{borrow::Cow, time::Duration};

use keepsight_contract::Finding;

use crate::{lifecycle::Cause, sandbox::RunFault};

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
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// Why a call by HTTP gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// No instance of that name.
    #[error("Plugin '{plugin}' not found")]
    UnknownPlugin {
        /// The name.
        plugin: String,
    },
    /// The plugin has no such tool.
    #[error("Tool '{tool}' not found in plugin '{plugin}'; it has {known}")]
    UnknownTool {
        /// The instance's name.
        plugin: String,
        /// The tool's id.
        tool: String,
        /// Those that it has.
        known: String,
    },
    /// The plugin refused the arguments.
    #[error("{reason}")]
    BadArguments {
        /// What is wrong with them.
        reason: String,
    },
    /// As many calls wait as may.
    #[error("plugin '{plugin}' has {waiting} calls waiting already")]
    QueueFull {
        /// The instance's name.
        plugin: String,
        /// How many wait.
        waiting: usize,
    },
    /// The instance takes no calls now.
    #[error("plugin '{plugin}' is {state}: {reason}")]
    NotReady {
        /// The instance's name.
        plugin: String,
        /// Its state.
        state: &'static str,
        /// Why.
        reason: String,
        /// When that may change.
        retry_after: Option<Duration>,
    },
    /// The call ran and failed.
    #[error("{reason}")]
    Failed {
        /// The error and its causes.
        reason: String,
    },
    /// The call panicked, took too long, or was cancelled.
    #[error("{fault}")]
    Fault {
        /// What happened.
        #[source]
        fault: RunFault,
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
        let location = match fault {
            RunFault::Panicked { report, .. } => report.location.clone(),
            _ => None,
        };
        Self {
            code: Cow::Borrowed(fault.code()),
            reason: fault.to_string(),
            hint: fault.hint().to_owned(),
            stream: stream.map(str::to_owned),
            location,
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
        }
    }

    /// The same as the cause of a transition.
    pub fn cause(&self) -> Cause {
        Cause::new(self.code.clone(), self.reason.clone()).with_hint(self.hint.clone())
    }
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
                phase: crate::sandbox::Phase::Init,
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
