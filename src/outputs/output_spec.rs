use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use keepsight_contract::{Bytes, OutputKind, OutputRegistration, OutputSettings, Seconds};

use crate::loader::{BackoffPolicy, Catalog};

/// What an output is configured to be.
#[derive(Clone)]
pub struct OutputSpec {
    /// Its address in the form that may be seen.
    pub to: String,
    /// What opens it.
    pub registration: OutputRegistration,
    /// What it is opened with.
    pub settings: OutputSettings,
    /// The kinds of results that are written.
    pub what: Vec<OutputKind>,
    /// Time limits and the queue's length.
    pub limits: OutputLimits,
}

/// How long an output may take, and what it may hold meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct OutputLimits {
    /// To open it.
    pub open: Duration,
    /// To take one record.
    pub write: Duration,
    /// To make sure that what it took is kept, or to let go of it.
    pub flush: Duration,
    /// How often that is made sure of.
    pub flush_every: Duration,
    /// Records that may wait; beyond that the oldest go.
    pub queue_length: NonZeroUsize,
    /// Between attempts to open it.
    pub backoff: BackoffPolicy,
}

/// Why an output can't be what it is configured to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// Nothing in this binary writes to such an address.
    #[error("output {to:?}: this build writes to no {scheme}: addresses; it knows {known}")]
    NoTarget {
        /// The output's address in the form that may be seen.
        to: String,
        /// The address's scheme.
        scheme: String,
        /// Schemes that can be written to.
        known: String,
    },
    /// Two outputs would write into each other.
    #[error("two outputs write to {to:?}; list all that it is for in one `what`")]
    Duplicate {
        /// Their address in the form that may be seen.
        to: String,
    },
}

impl OutputSpec {
    /// The output at the address `to`, shown as `shown`, if `catalog` has a target for it.
    ///
    /// # Errors
    /// [`OutputError::NoTarget`].
    pub fn new(
        to: &str,
        shown: &str,
        what: &[OutputKind],
        keep: (Option<Bytes>, Option<Seconds>),
        catalog: &Catalog,
    ) -> Result<Self, OutputError> {
        let (scheme, path) = to.split_once(':').unwrap_or((to, ""));
        let registration = *catalog.output(scheme).ok_or_else(|| OutputError::NoTarget {
            to: shown.to_owned(),
            scheme: scheme.to_owned(),
            known: match &catalog.output_schemes()[..] {
                [] => "none".to_owned(),
                schemes => schemes.join(", "),
            },
        })?;
        let (size_max, age_max) = keep;
        Ok(Self {
            to: shown.to_owned(),
            registration,
            settings: OutputSettings { path: PathBuf::from(path), size_max, age_max },
            what: what.to_vec(),
            limits: OutputLimits::default(),
        })
    }

    /// Refuses outputs of the same address.
    ///
    /// # Errors
    /// [`OutputError::Duplicate`].
    pub fn check_distinct(specs: &[Self]) -> Result<(), OutputError> {
        let place = |spec: &Self| (spec.registration.scheme, without_dots(&spec.settings.path));
        for (index, spec) in specs.iter().enumerate() {
            if specs[..index].iter().any(|earlier| place(earlier) == place(spec)) {
                return Err(OutputError::Duplicate { to: spec.to.clone() });
            }
        }
        Ok(())
    }
}

/// `./a//b` as `a/b`: two ways to write the same place, without asking the file system.
fn without_dots(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect()
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self {
            open: Duration::from_secs(10),
            write: Duration::from_secs(5),
            flush: Duration::from_secs(10),
            flush_every: Duration::from_secs(10),
            queue_length: NonZeroUsize::new(1024).expect("1,024 is not 0"),
            backoff: BackoffPolicy {
                first: Duration::from_millis(250),
                longest: Duration::from_secs(10),
            },
        }
    }
}
