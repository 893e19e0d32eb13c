use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use keepsight_contract::Pace;

use super::{
    ExitStatus, Failure,
    arguments::RunOptions,
    print,
    rereader::Rereader,
    service_manager::ServiceManager,
    settings,
    signals::{Asked, Signals},
};
use crate::{
    api::HttpServer,
    bundled::PAGE,
    config::{Config, LostContainment},
    health::HealthSource,
    inspector::Liveness,
    loader::{Catalog, ProbeProgram},
    runtime::{Runtime, RuntimeOptions},
};

/// Tracks and serves until it is asked to end.
pub(super) fn run(options: &RunOptions, catalog: &Catalog) -> Result<ExitStatus, Failure> {
    let file = match &options.source {
        Some(_) => None,
        None => settings::file(&options.config),
    };
    let mut config = match &options.source {
        Some(uri) => settings::for_source(uri, catalog),
        None => settings::configuration(&options.config, catalog)?,
    };
    if let Some(listen) = &options.listen {
        config = config
            .listening_on(listen)
            .map_err(|error| Failure::of(ExitStatus::Configuration, &error))?;
    }
    let mut signals = Signals::catch().map_err(|error| Failure::of(ExitStatus::Failure, &error))?;
    let runtime = Arc::new(start(&config, catalog, Pace::Native)?.with_page(PAGE));
    let server = HttpServer::start(&config.server, runtime.clone())
        .map_err(|error| Failure::of(ExitStatus::Address, &error))?;
    let address = server.address();
    runtime.remember_crashes().map_err(|error| Failure::of(ExitStatus::Failure, &error))?;
    runtime.begin();
    print::note(&format!("keepsight: health is at http://{address}/v1/plugins"));
    if !PAGE.is_empty() {
        print::note(&format!("keepsight: the page is at http://{address}/"));
    }

    let mut manager = ServiceManager::new(format!("serving http://{address}"));
    manager.ready();
    let rereader = Rereader::new(runtime.clone(), file, options.listen.clone(), catalog.clone());
    let status = wait(&runtime, &mut signals, &mut manager, rereader);
    manager.stopping();
    let drained = server.stop(runtime.config().runtime.limits.shutdown);
    tracing::info!(cut_off = drained.cut_off, "ending");
    runtime.shut_down();
    Ok(status)
}

/// A runtime that is ready to begin.
pub(super) fn start(config: &Config, catalog: &Catalog, pace: Pace) -> Result<Runtime, Failure> {
    let probe_program = ProbeProgram::this().map_err(|error| {
        Failure::new(
            ExitStatus::Failure,
            format!("cannot tell which file this program is: {error}"),
        )
    })?;
    let options = RuntimeOptions { probe_program, pace, listeners: Vec::new() };
    Runtime::new(config, catalog, options)
        .map_err(|error| Failure::of(ExitStatus::Configuration, &error))
}

/// Waits for a signal to end, for a plugin that strictness doesn't forgive, or for containment
/// to be lost where that ends the process. Meanwhile, has the configuration read again whenever
/// that is asked for.
fn wait(
    runtime: &Runtime,
    signals: &mut Signals,
    manager: &mut ServiceManager,
    mut rereader: Rereader,
) -> ExitStatus {
    let mut strict = runtime.config().runtime.strict;
    loop {
        let liveness = runtime.liveness();
        manager.feed(Instant::now(), &liveness);
        if strict && runtime.wait_loaded(Duration::ZERO) {
            strict = false;
            if let Some(missing) = first_missing(runtime) {
                print::error(&missing);
                return ExitStatus::Missing;
            }
        }
        if runtime.config().runtime.on_lost_containment == LostContainment::Exit
            && let Liveness::ContainmentLost { reason } = liveness
        {
            print::error(&format!("faults can no longer be contained: {reason}"));
            return ExitStatus::LostContainment;
        }
        let round = match rereader.is_under_way(manager) {
            true => manager.round().min(REREAD_ROUND),
            false => manager.round(),
        };
        match signals.wait(round) {
            Some(Asked::End(signal)) => {
                tracing::info!(signal, "asked to end");
                return ExitStatus::Success;
            }
            Some(Asked::Reread) => rereader.begin(manager),
            None => {}
        }
    }
}

fn first_missing(runtime: &Runtime) -> Option<String> {
    let report = runtime.plugins().into_iter().find(|report| !report.state.is_available())?;
    let reason = report.reason.unwrap_or_default();
    let hint = report.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    Some(format!("plugin {:?} is {}: {reason}{hint}", report.name, report.state))
}

/// How soon after its end a re-reading is told of.
const REREAD_ROUND: Duration = Duration::from_millis(20);
