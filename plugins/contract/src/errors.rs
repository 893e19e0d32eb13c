use std::{error::Error, fmt};

use crate::Finding;

/// Any error, as plugins pass them on.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What a failed call means.
///
/// `?` turns any error into [`CallError::Failed`]; that is why this type is no [`Error`] itself.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// The request asks for what the tool can't do. The caller's mistake, no fault of the plugin.
    BadArguments(String),
    /// This call failed; the next may succeed. Counted.
    Failed(BoxError),
    /// Nothing will succeed until the instance is built anew.
    Broken(BoxError),
    /// The call noticed that nobody waits for it any more.
    Cancelled,
}

/// Why an instance could not be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// Something outside the plugin is missing or unfit: UNAVAILABLE, until it is there.
    Unmet(Finding),
    /// The plugin itself failed: FAILED.
    Failed(BoxError),
}

/// A configuration that isn't of the plugin's type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ConfigError {
    path: Vec<String>,
    reason: String,
}

impl CallError {
    /// A failure told by a message (lower case, no full stop).
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into().into())
    }

    /// A broken instance, told by a message (lower case, no full stop).
    pub fn broken(message: impl Into<String>) -> Self {
        Self::Broken(message.into().into())
    }

    /// Unusable arguments, told by a message (lower case, no full stop).
    pub fn bad_arguments(message: impl Into<String>) -> Self {
        Self::BadArguments(message.into())
    }
}

impl InitError {
    /// A failure told by a message (lower case, no full stop).
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into().into())
    }
}

impl ConfigError {
    /// The configuration is wrong for `reason`.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { path: Vec::new(), reason: reason.into() }
    }

    /// What is wrong stands at this path: keys, and indices in lists, from the outside in.
    pub fn at(mut self, path: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.path = path.into_iter().map(Into::into).collect();
        self
    }

    /// Where in the configuration something is wrong; empty where that is not known, or for the
    /// whole. For a key that is not known, or whose value is wrong, the key is the last.
    pub fn path(&self) -> &[String] {
        &self.path
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for CallError {
    fn from(error: E) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for InitError {
    fn from(error: E) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadArguments(message) => f.write_str(message),
            Self::Failed(error) | Self::Broken(error) => write_chain(f, error.as_ref()),
            Self::Cancelled => f.write_str("the call was cancelled"),
        }
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmet(finding) => f.write_str(&finding.reason),
            Self::Failed(error) => write_chain(f, error.as_ref()),
        }
    }
}

/// The error and its causes, joined by colons: this is where the chain is reported.
fn write_chain(f: &mut fmt::Formatter<'_>, error: &(dyn Error + 'static)) -> fmt::Result {
    write!(f, "{error}")?;
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(f, ": {error}")?;
        cause = error.source();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[from] std::num::ParseIntError);

    #[test]
    fn any_error_becomes_a_failure_with_its_causes() {
        fn call() -> Result<(), CallError> {
            "x".parse::<u8>().map_err(Outer)?;
            Ok(())
        }
        let error = call().unwrap_err();
        assert!(matches!(error, CallError::Failed(_)));
        assert_eq!(error.to_string(), "outer: invalid digit found in string");
    }
}
