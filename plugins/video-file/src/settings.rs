//! What a file's URI says.

use std::path::PathBuf;

use keepsight_contract::{SourceError, SourceFault, SourceUri};

/// What to read and how, all of it checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) path: PathBuf,
    /// Begins anew at the end.
    pub(crate) repeat: bool,
    /// Frames a second, whatever the file says.
    pub(crate) rate: Option<f64>,
    /// As fast as frames are taken.
    pub(crate) unpaced: bool,
}

impl Settings {
    /// Reads path and parameters.
    ///
    /// # Errors
    /// Invalid, naming what is wrong.
    pub(crate) fn of(uri: &SourceUri) -> Result<Self, SourceError> {
        uri.expect_params(PARAMS)?;
        if uri.path().is_empty() {
            return Err(SourceError::new(SourceFault::Invalid, "file: names no file")
                .hint("write file:PATH"));
        }
        let repeat = uri.flag("loop")?.unwrap_or(false);
        let unpaced = uri.param("fps") == Some("max");
        let rate = match unpaced {
            true => None,
            false => uri.checked_param("fps", "a rate of 0.001 to 1000, or max", rate_fits)?,
        };
        Ok(Self { path: uri.path().into(), repeat, rate, unpaced })
    }
}

/// Whether films can have that rate, in frames a second.
pub(crate) fn rate_fits(rate: &f64) -> bool {
    (0.001..=1000.0).contains(rate)
}

/// The parameters that a URI may have.
pub(crate) const PARAMS: &[&str] = &["loop", "fps"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_wrong_ones_named() {
        let read = |text: &str| Settings::of(&text.parse().unwrap());
        let expected =
            Settings { path: "/a/b c".into(), repeat: true, rate: Some(12.5), unpaced: false };
        assert_eq!(read("file:/a/b c?loop=1&fps=12.5").unwrap(), expected);
        let plain = Settings { path: "x.avi".into(), repeat: false, rate: None, unpaced: false };
        assert_eq!(read("file:x.avi").unwrap(), plain);
        let fast = Settings { unpaced: true, ..plain };
        assert_eq!(read("file:x.avi?fps=max").unwrap(), fast);
        for (text, named) in [
            ("file:", "no file"),
            ("file:x?loop=2", "loop"),
            ("file:x?fps=0", "fps"),
            ("file:x?fps=x", "fps"),
            ("file:x?rate=3", "rate"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.fault(), SourceFault::Invalid);
            assert!(error.reason().contains(named), "{text}: {error}");
        }
    }
}
