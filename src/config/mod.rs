//! `keepsight.toml`, parsed once into valid types.
//!
//! What this module gives out is valid by type and by relation: names are unique and of few
//! characters, every stream's plugins exist, times and sizes are numbers, `${ENV}` is replaced,
//! and a server that listens beyond loopback has a key. An unknown key is an error that shows
//! file, line, column and the nearest known key. Secrets are kept in types whose `Debug` and
//! `Display` show what the file says, never what the environment gave.
//!
//! Not checked here: whether a plugin accepts its `config` (the loader asks the plugin), and
//! whether a source exists (its worker opens it).

mod defaults;
mod document;
mod errors;
mod keys;
mod model;
#[cfg(any(test, fuzzing))]
mod oracle;
mod origin;
mod parse;
mod restart;
mod secret;
mod section;

pub use document::Environment;
pub use errors::{ConfigError, Place};
pub use model::{
    Config, Keep, LostContainment, Mode, OutputConfig, PluginConfig, RestartPolicy, RuntimeConfig,
    RuntimeLimits, ServerConfig, ServerLimits, StreamConfig,
};
#[cfg(any(test, fuzzing))]
pub use oracle::check_configuration;
pub use secret::{Secret, Settings};

#[cfg(test)]
mod tests;
