//! The command line: `run`, `track`, `check`, `plugins`, `cameras`, `build-info`, `probe`.
//!
//! Results go to standard output, as text or with `--json` as JSON; the log goes to standard
//! error. Every command ends with one of the codes of [`ExitStatus`].

mod arguments;
mod blank_frames;
mod check;
mod exit_status;
mod listings;
mod print;
mod probe;
mod progress;
mod rereader;
mod run;
mod service_manager;
mod settings;
mod signals;
mod track;
mod track_files;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::{
    bundled::BUNDLED,
    loader::{Catalog, CatalogError, error_chain},
    sandbox,
};

use arguments::{Arguments, Command};
pub use exit_status::ExitStatus;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
struct Failure {
    status: ExitStatus,
    message: String,
}

/// The whole program: reads arguments, sets up the log on standard error, runs the command.
///
/// A binary of one's own calls it from its `main`, after naming the plugin crates that it brings
/// (`use my_plugin as _;`).
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no failures; clap prints each where it belongs.
            let status =
                if error.use_stderr() { ExitStatus::Configuration } else { ExitStatus::Success };
            let _ = error.print();
            return status.into();
        }
    };
    start_log(arguments.command.default_log_level());
    sandbox::install_panic_hook();
    match dispatch(arguments) {
        Ok(status) => status.into(),
        Err(failure) => {
            print::error(&failure.message);
            failure.status.into()
        }
    }
}

fn dispatch(arguments: Arguments) -> Result<ExitStatus, Failure> {
    let catalog = Catalog::of_this_binary(BUNDLED)?;
    let json = arguments.json;
    match arguments.command {
        Command::Run(options) => run::run(&options, &catalog),
        Command::Track(options) => track::track(&options, &catalog, json),
        Command::Check(options) => check::check(&options, &catalog, json),
        Command::Plugins => listings::plugins(&catalog, json),
        Command::Cameras => listings::cameras(&catalog, json),
        Command::BuildInfo => listings::build_info(&catalog, json),
        Command::Probe(options) => probe::probe(&options, json),
    }
}

fn start_log(default_level: &str) {
    let filter =
        EnvFilter::try_from_env("KEEPSIGHT_LOG").unwrap_or_else(|_| EnvFilter::new(default_level));
    // A host that has set up a log of its own keeps it.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .try_init();
}

impl Failure {
    fn new(status: ExitStatus, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The error and its causes, as one line.
    fn of(status: ExitStatus, error: &dyn std::error::Error) -> Self {
        Self { status, message: error_chain(error) }
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        Self::of(ExitStatus::Configuration, &error)
    }
}
