//! From arguments to a configuration.

use std::path::{Path, PathBuf};

use super::{ExitStatus, Failure, arguments::ConfigOptions};
use crate::{
    config::{Config, ConfigError, Environment},
    loader::Catalog,
};

/// The file that the options name, else `keepsight.toml` here, if there is one.
pub(super) fn file(options: &ConfigOptions) -> Option<PathBuf> {
    let here = || Some(PathBuf::from("keepsight.toml")).filter(|here| here.exists());
    options.config.clone().or_else(here)
}

/// The configuration in the [`file`], or the scene where there is none.
pub(super) fn configuration(options: &ConfigOptions, catalog: &Catalog) -> Result<Config, Failure> {
    match file(options) {
        Some(file) => read(&file, catalog),
        None => Ok(with_environment(catalog, Config::default_scene)),
    }
}

/// The configuration in `file`.
pub(super) fn read(file: &Path, catalog: &Catalog) -> Result<Config, Failure> {
    read_file(file, catalog).map_err(|error| Failure::of(ExitStatus::Configuration, &error))
}

/// The same, with the error itself.
pub(super) fn read_file(file: &Path, catalog: &Catalog) -> Result<Config, ConfigError> {
    with_environment(catalog, |environment| Config::read(file, environment))
}

/// What runs for one source without a file.
pub(super) fn for_source(uri: &str, catalog: &Catalog) -> Config {
    with_environment(catalog, |environment| Config::for_source(uri, environment))
}

fn with_environment<R>(catalog: &Catalog, make: impl FnOnce(&Environment<'_>) -> R) -> R {
    let plugins = catalog.plugin_ids();
    let variable = |name: &str| std::env::var(name).ok();
    make(&Environment { plugins: &plugins, variable: &variable })
}
