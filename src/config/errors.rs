use std::{fmt, io, net::SocketAddr, path::PathBuf};

/// A position in a configuration file, shown as `file:line:column`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: PathBuf,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file, as it was named.
        file: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// Where reading stopped.
        place: Place,
        /// What the parser expected.
        message: String,
    },
    /// `version` is one that this program does not know.
    #[error("{place}: version {found} is not known; this program reads version 1")]
    Version {
        /// Where it says so.
        place: Place,
        /// What it says.
        found: String,
    },
    /// A key that means nothing where it stands.
    #[error("{place}: unknown key '{key}' in {section}{}", did_you_mean(nearest.as_deref()))]
    UnknownKey {
        /// Where the key begins.
        place: Place,
        /// The key.
        key: String,
        /// The table it stands in, such as `[server]`.
        section: String,
        /// The key most like it.
        nearest: Option<String>,
    },
    /// A key that must be there is not.
    #[error("{place}: {section} has no '{key}'; {hint}")]
    MissingKey {
        /// Where the table begins.
        place: Place,
        /// The key that is missing.
        key: &'static str,
        /// The table it is missing from.
        section: String,
        /// What to write.
        hint: &'static str,
    },
    /// A value of another type than the key takes.
    #[error("{place}: '{key}' takes {expected}, not {found}")]
    WrongType {
        /// Where the value begins.
        place: Place,
        /// The key.
        key: String,
        /// What it takes.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A value of the right type that cannot be used.
    #[error("{place}: '{key}' cannot be used: {reason}")]
    Invalid {
        /// Where the value begins.
        place: Place,
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A stream names a plugin instance that the file does not define.
    #[error(
        "{place}: stream '{stream}' names the plugin '{plugin}', which is not defined{}",
        did_you_mean_or(nearest.as_deref(), &format!("add a table [plugins.{plugin}]"))
    )]
    UndefinedPlugin {
        /// Where the name stands.
        place: Place,
        /// The stream.
        stream: String,
        /// The name.
        plugin: String,
        /// The instance most like it.
        nearest: Option<String>,
    },
    /// An instance uses a plugin that this build does not have.
    #[error(
        "{place}: this build has no plugin '{plugin}'{}",
        did_you_mean_or(nearest.as_deref(), "build with the feature of that name")
    )]
    MissingPlugin {
        /// Where the plugin is named.
        place: Place,
        /// The plugin's id.
        plugin: String,
        /// The plugin of this build most like it.
        nearest: Option<String>,
    },
    /// `${NAME}` names an environment variable that is not set.
    #[error("{place}: the environment variable {name} is not set")]
    MissingVariable {
        /// Where the value begins.
        place: Place,
        /// The variable.
        name: String,
    },
    /// The server would be reachable from elsewhere without a key.
    #[error(
        "{}listening on {listen} needs a key, for others could reach it: set key = \
         \"${{KEEPSIGHT_KEY}}\" under [server] in keepsight.toml and that variable in the \
         environment, or listen on 127.0.0.1",
        place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default()
    )]
    ListenWithoutKey {
        /// Where the file says so; `None` where the command line does.
        place: Option<Place>,
        /// The address asked for.
        listen: SocketAddr,
    },
    /// An address given on the command line cannot be used.
    #[error("'{listen}' is not an address and port, such as 127.0.0.1:8787")]
    ListenAddress {
        /// What was given.
        listen: String,
    },
}

impl ConfigError {
    /// Where in the file it is; `None` where no file is to blame, or all of it.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Syntax { place, .. }
            | Self::Version { place, .. }
            | Self::UnknownKey { place, .. }
            | Self::MissingKey { place, .. }
            | Self::WrongType { place, .. }
            | Self::Invalid { place, .. }
            | Self::UndefinedPlugin { place, .. }
            | Self::MissingPlugin { place, .. }
            | Self::MissingVariable { place, .. } => Some(place),
            Self::ListenWithoutKey { place, .. } => place.as_ref(),
            Self::Read { .. } | Self::ListenAddress { .. } => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// The candidate fewest edits away from `word`, if they are few enough for a slip of the hand:
/// one, and one more for every four characters.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(edits, _)| *edits <= 1 + word.chars().count() / 4)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate.to_owned())
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; did you mean '{nearest}'?")).unwrap_or_default()
}

fn did_you_mean_or(nearest: Option<&str>, otherwise: &str) -> String {
    match nearest {
        Some(_) => did_you_mean(nearest),
        None => format!("; {otherwise}"),
    }
}
