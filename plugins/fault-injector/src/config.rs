use std::path::PathBuf;

use keepsight_contract::{Bytes, ConfigError, Seconds};
use serde::Deserialize;

use crate::{AfterGrowth, Fault, FaultKind};

/// The plugin's part of the configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What goes wrong, and when.
    pub faults: Vec<PlannedFault>,
}

/// A fault and its time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedFault {
    /// Where it happens.
    pub at: Place,
    /// What happens.
    pub kind: FaultKind,
    /// As in [`Fault`].
    pub seconds: Option<Seconds>,
    /// As in [`Fault`].
    pub bytes: Option<Bytes>,
    /// As in [`Fault`].
    #[serde(default)]
    pub then: AfterGrowth,
    /// How many times it goes well first. A session counts its runs; the instance counts
    /// sessions, opened and dropped.
    #[serde(default)]
    pub after: u64,
    /// After the first fault each `every`-th time is one; without it there is no other.
    pub every: Option<u64>,
    /// Nothing happens while this file exists.
    pub unless: Option<PathBuf>,
}

/// Where a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// When the instance is built.
    Init,
    /// When a session is opened.
    Open,
    /// When a session runs the tool `ok`.
    Run,
    /// When a session is dropped.
    Drop,
    /// When the instance is dropped.
    Shutdown,
}

impl Config {
    /// The fault that is due at `place` when it went `before` times until now.
    pub(crate) fn due(&self, place: Place, before: u64) -> Option<Fault> {
        self.faults.iter().find(|planned| planned.is_due(place, before)).map(|planned| Fault {
            kind: planned.kind,
            seconds: planned.seconds,
            bytes: planned.bytes,
            then: planned.then,
        })
    }

    /// Refuses what cannot happen.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        for PlannedFault { at, kind, every, .. } in &self.faults {
            let silent = matches!(at, Place::Drop | Place::Shutdown);
            if silent && kind.is_report() {
                return Err(ConfigError::new(format!("{at:?} can't report {kind:?}")));
            }
            if *kind == FaultKind::Unmet && *at != Place::Init {
                return Err(ConfigError::new("only init can be Unmet"));
            }
            if *every == Some(0) {
                return Err(ConfigError::new("every = 0 is never; leave it out"));
            }
        }
        Ok(())
    }
}

impl PlannedFault {
    fn is_due(&self, place: Place, before: u64) -> bool {
        let Some(beyond) = before.checked_sub(self.after) else { return false };
        let turn = match self.every {
            Some(every) => beyond.is_multiple_of(every),
            None => beyond == 0,
        };
        self.at == place && turn && !self.unless.as_ref().is_some_and(|file| file.exists())
    }
}
