//! From arguments to a configuration.

use std::path::{Path, PathBuf};

use super::{ExitStatus, Failure, arguments::ConfigOptions};
use crate::{
    config::{Config, Environment},
    loader::Catalog,
};

/// The file that the options name, else `keepsight.toml` here, else the scene.
pub(super) fn configuration(options: &ConfigOptions, catalog: &Catalog) -> Result<Config, Failure> {
    let here = PathBuf::from("keepsight.toml");
    match &options.config {
        Some(file) => read(file, catalog),
        None if here.exists() => read(&here, catalog),
        None => Ok(with_environment(catalog, Config::default_scene)),
    }
}

/// The configuration in `file`.
pub(super) fn read(file: &Path, catalog: &Catalog) -> Result<Config, Failure> {
    with_environment(catalog, |environment| Config::read(file, environment))
        .map_err(|error| Failure::of(ExitStatus::Configuration, &error))
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
