//! Standard output and standard error. A reader that has gone (`keepsight plugins | head`) is no
//! failure.

use std::io::{self, Write};

use serde::Serialize;

use super::{ExitStatus, Failure};

/// A line of results.
pub(super) fn line(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// A result as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::of(ExitStatus::Failure, &error))?;
    line(&text);
    Ok(())
}

/// Why the program ends.
pub(super) fn error(message: &str) {
    let _ = writeln!(io::stderr(), "keepsight: {message}");
}

/// A line for the person at the terminal, beside results and log.
pub(super) fn note(message: &str) {
    let _ = writeln!(io::stderr(), "{message}");
}
