use std::time::SystemTime;

/// What came of the last re-reading of the configuration.
#[derive(Clone, Debug)]
pub struct RereadReport {
    /// When it ended.
    pub at: SystemTime,
    /// Why nothing was changed, where the file was refused.
    pub refused: Option<String>,
    /// What was changed, in no particular order.
    pub changes: Vec<ConfigurationChange>,
    /// Keys whose new values wait for the next start, such as `server.listen`.
    pub needs_restart: Vec<&'static str>,
}

/// Something that is otherwise since the configuration was read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationChange {
    /// What it is: `plugin`, `stream` or `output`.
    pub kind: &'static str,
    /// Its name; an output's address in the form that may be seen.
    pub name: String,
    /// What was done about it.
    pub change: Change,
}

/// What was done about a plugin, a stream or an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It goes on, with other limits or settings.
    Adjusted,
    /// A plugin is built anew, as its next generation, or as an instance of another plugin; a
    /// stream or an output is opened anew.
    Rebuilt,
}

impl RereadReport {
    /// `applied`, `unchanged` or `refused`.
    pub fn outcome(&self) -> &'static str {
        match self.refused {
            Some(_) => "refused",
            None if self.changes.is_empty() => "unchanged",
            None => "applied",
        }
    }
}

impl Change {
    /// As reports have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Adjusted => "adjusted",
            Self::Rebuilt => "rebuilt",
        }
    }
}
