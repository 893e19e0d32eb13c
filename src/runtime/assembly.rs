//! From the configuration to instances and streams that are checked and not yet started.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
};

use keepsight_contract::{CaptureWish, Pace, SourceRegistration, SourceUri, StreamInfo};
use serde_json::Value;

use super::{StartError, publishing};
use crate::{
    api::EventLog,
    config::{Config, Mode, PluginConfig, Settings, StreamConfig},
    loader::{
        BackoffPolicy, Catalog, Clock, DependencyChecker, InstanceEvent, InstanceHost,
        InstanceLimits, InstanceSpec, PluginInstance, PluginRegistry,
    },
    sandbox::{Phase, Sandbox},
    streams::{FeedSpec, MailboxMode, StreamError, StreamLimits, StreamSpec},
    supervisor::RestartPolicy,
};

/// A stream that is checked and not yet started.
pub(super) struct Planned {
    pub(super) spec: StreamSpec,
    pub(super) registration: SourceRegistration,
    pub(super) host: Arc<InstanceHost>,
}

/// Every configured instance, LOADED.
pub(super) fn instances(
    config: &Config,
    catalog: &Catalog,
    sandbox: &Arc<Sandbox>,
    checker: &Arc<DependencyChecker>,
    events: &mpsc::Sender<InstanceEvent>,
    log: &Arc<EventLog>,
) -> PluginRegistry {
    PluginRegistry::new(config.plugins.iter().map(|(name, plugin)| {
        let spec = instance_spec(name, plugin, config);
        let entry = catalog.plugin(&spec.plugin).cloned();
        PluginInstance::new(
            spec,
            entry,
            catalog.plugin_ids().join(", "),
            sandbox.clone(),
            checker.clone(),
            host(name, config, sandbox, log),
            events.clone(),
        )
    }))
}

/// Restart policies, by instance.
pub(super) fn restart_policies(config: &Config) -> BTreeMap<String, RestartPolicy> {
    let policy = |plugin: &PluginConfig| RestartPolicy {
        budget: plugin.restart.budget,
        window: plugin.restart.window,
        backoff: BackoffPolicy {
            first: plugin.restart.backoff.0,
            longest: plugin.restart.backoff.1,
        },
    };
    config.plugins.iter().map(|(name, plugin)| (name.clone(), policy(plugin))).collect()
}

/// Every configured stream, checked against what is there.
pub(super) fn streams(
    config: &Config,
    catalog: &Catalog,
    sandbox: &Arc<Sandbox>,
    registry: &PluginRegistry,
    pace: Pace,
    clock: &Arc<dyn Clock>,
    log: &Arc<EventLog>,
) -> Result<Vec<Planned>, StartError> {
    let plan = |(name, stream): (&String, &StreamConfig)| {
        let uri: SourceUri = stream
            .source
            .expose()
            .parse()
            .map_err(|source| StartError::Source { stream: name.clone(), source })?;
        let registration = *catalog.source(uri.scheme()).ok_or_else(|| StreamError::NoSource {
            stream: name.clone(),
            scheme: uri.scheme().to_owned(),
            known: catalog.schemes().join(", "),
        })?;
        let feeds = stream
            .plugins
            .iter()
            .filter_map(|plugin| registry.find(plugin))
            .map(|instance| feed(name, stream, &instance, sandbox))
            .collect::<Result<_, _>>()?;
        let spec = StreamSpec {
            name: name.clone(),
            source: uri,
            wish: CaptureWish { size: stream.size, rate: stream.fps, pace },
            mode: match stream.mode {
                Mode::Newest => MailboxMode::Newest,
                Mode::Every => MailboxMode::Every,
            },
            memory: stream.memory,
            left_alone: None,
            critical: stream.critical,
            grace: stream.grace,
            feeds,
            limits: StreamLimits { frozen_after: stream.frozen_after, ..StreamLimits::default() },
            clock: clock.clone(),
            on_change: {
                let log = log.clone();
                Arc::new(move |stream, status| publishing::stream_change(&log, stream, status))
            },
        };
        Ok(Planned {
            spec,
            registration,
            host: host(&publishing::source_host(name), config, sandbox, log),
        })
    };
    config.streams.iter().map(plan).collect()
}

/// The instance on the stream, with the stream's settings merged in and checked by the plugin.
fn feed(
    stream_name: &str,
    stream: &StreamConfig,
    instance: &Arc<PluginInstance>,
    sandbox: &Arc<Sandbox>,
) -> Result<FeedSpec, StreamError> {
    let (stream_name, plugin) = (stream_name.to_owned(), instance.name().to_owned());
    if let Some(manifest) = instance.manifest()
        && manifest.stream_tool.is_none()
    {
        return Err(StreamError::NoStreamTool { stream: stream_name, plugin });
    }
    let instance = instance.clone();
    let Some(overrides) = stream.settings.get(&plugin).map(Settings::expose) else {
        return Ok(FeedSpec { instance, overrides: Settings::default().expose().clone() });
    };
    let config = &instance.spec().config;
    let settings = StreamInfo::merge_settings(config, overrides);
    match check_settings(&instance, config, &settings, sandbox) {
        Ok(()) => Ok(FeedSpec { instance, overrides: overrides.clone() }),
        Err(reason) => Err(StreamError::Settings { stream: stream_name, plugin, reason }),
    }
}

/// Asks the plugin whether it can honour a stream's settings. An instance whose own configuration
/// is wrong will say so itself, so nothing is asked then.
fn check_settings(
    instance: &Arc<PluginInstance>,
    config: &Value,
    settings: &Value,
    sandbox: &Arc<Sandbox>,
) -> Result<(), String> {
    let Some(functions) = instance.plugin_functions() else { return Ok(()) };
    let (config, settings) = (config.clone(), settings.clone());
    let limit = instance.spec().limits.frame;
    let name = format!("{}-settings", instance.name());
    sandbox
        .run_once(&name, instance.scope(), Phase::Init, limit, move |_| {
            if (functions.requirements)(&config).is_err() {
                return Ok(());
            }
            (functions.check_stream)(&config, &settings)
        })
        .map_err(|fault| fault.to_string())?
        .map_err(|error| error.to_string())
}

fn instance_spec(name: &str, plugin: &PluginConfig, config: &Config) -> InstanceSpec {
    let limits = &config.runtime.limits;
    InstanceSpec {
        name: name.to_owned(),
        plugin: plugin.plugin.clone(),
        config: plugin.config.expose().clone(),
        critical: plugin.critical,
        grace: plugin.grace,
        limits: InstanceLimits {
            init: limits.init,
            frame: plugin.deadline.unwrap_or(limits.frame),
            call: limits.call,
            session: limits.session,
            close: limits.shutdown,
            memory: plugin.memory,
        },
    }
}

fn host(
    name: &str,
    config: &Config,
    sandbox: &Arc<Sandbox>,
    log: &Arc<EventLog>,
) -> Arc<InstanceHost> {
    let log = log.clone();
    InstanceHost::new(name, config.runtime.state_dir.as_deref(), sandbox, move |event| {
        publishing::host_event(&log, event);
    })
}
