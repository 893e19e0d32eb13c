//! From the configuration to instances and streams that are checked and not yet started.

use std::sync::{Arc, mpsc};

use keepsight_contract::{CaptureWish, Pace, SourceRegistration, SourceUri, StreamInfo};
use serde_json::Value;

use super::{StartError, publishing};
use crate::{
    api::EventLog,
    config::{Config, Mode, PluginConfig, Settings},
    loader::{
        BackoffPolicy, Catalog, DependencyChecker, ExplainConfig, InstanceEvent, InstanceHost,
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

/// What instances and streams are made with, at start and later.
pub(super) struct Assembly {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) checker: Arc<DependencyChecker>,
    pub(super) events: mpsc::Sender<InstanceEvent>,
    pub(super) log: Arc<EventLog>,
    pub(super) pace: Pace,
}

impl Assembly {
    /// The instance `name` as `config` has it, LOADED.
    pub(super) fn instance(
        &self,
        name: &str,
        config: &Config,
        catalog: &Catalog,
    ) -> Arc<PluginInstance> {
        let spec = instance_spec(name, &config.plugins[name], config);
        let entry = catalog.plugin(&spec.plugin).cloned();
        PluginInstance::new(
            spec,
            entry,
            catalog.plugin_ids().join(", "),
            self.sandbox.clone(),
            self.checker.clone(),
            self.host(name, config),
            self.events.clone(),
        )
    }

    /// The stream `name` as `config` has it, checked against what is there; it feeds those of its
    /// plugins that `registry` has.
    pub(super) fn stream(
        &self,
        name: &str,
        config: &Config,
        catalog: &Catalog,
        registry: &PluginRegistry,
    ) -> Result<Planned, StartError> {
        let stream = &config.streams[name];
        let uri: SourceUri = stream
            .source
            .expose()
            .parse()
            .map_err(|source| StartError::Source { stream: name.to_owned(), source })?;
        let registration = *catalog.source(uri.scheme()).ok_or_else(|| StreamError::NoSource {
            stream: name.to_owned(),
            scheme: uri.scheme().to_owned(),
            known: catalog.schemes().join(", "),
            instead: match catalog.source("ffmpeg") {
                Some(_) if uri.path().starts_with("//") => {
                    format!("; ffmpeg may read it, as ffmpeg:{}://…", uri.scheme())
                }
                _ => String::new(),
            },
        })?;
        let feeds = stream
            .plugins
            .iter()
            .filter_map(|plugin| registry.find(plugin))
            .map(|instance| self.feed(name, config, instance))
            .collect::<Result<_, _>>()?;
        let spec = StreamSpec {
            name: name.to_owned(),
            source: uri,
            wish: CaptureWish { size: stream.size, rate: stream.fps, pace: self.pace },
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
            clock: self.checker.clock().clone(),
            on_change: {
                let log = self.log.clone();
                Arc::new(move |stream, status| publishing::stream_change(&log, stream, status))
            },
        };
        spec.check_wiring()?;
        let host = self.host(&publishing::source_host(name), config);
        Ok(Planned { spec, registration, host })
    }

    /// The instance on the stream, with the stream's settings checked by the plugin.
    fn feed(
        &self,
        stream: &str,
        config: &Config,
        instance: Arc<PluginInstance>,
    ) -> Result<FeedSpec, StreamError> {
        let (stream_name, plugin) = (stream.to_owned(), instance.name().to_owned());
        if let Some(manifest) = instance.manifest()
            && manifest.stream_tool.is_none()
        {
            return Err(StreamError::NoStreamTool { stream: stream_name, plugin });
        }
        let Some(overrides) = config.streams[stream].settings.get(&plugin) else {
            return Ok(FeedSpec { instance, overrides: no_overrides() });
        };
        // What it is to be configured as, which a running instance may not be yet.
        let spec = instance_spec(&plugin, &config.plugins[&plugin], config);
        let of_instance = &config.plugins[&plugin].config;
        match self.check_settings(&instance, spec, of_instance, overrides) {
            Ok(()) => Ok(FeedSpec { instance, overrides: overrides.expose().clone() }),
            Err(reason) => Err(StreamError::Settings { stream: stream_name, plugin, reason }),
        }
    }

    /// Asks the plugin whether it can honour a stream's settings beside the instance's `spec`. An
    /// instance whose own configuration is wrong will say so itself, so nothing is asked then.
    fn check_settings(
        &self,
        instance: &PluginInstance,
        spec: InstanceSpec,
        of_instance: &Settings,
        overrides: &Settings,
    ) -> Result<(), String> {
        let Some(functions) = instance.plugin_functions() else { return Ok(()) };
        let (config, limit) = (spec.config, spec.limits.frame);
        let settings = StreamInfo::merge_settings(&config, overrides.expose());
        let name = format!("{}-settings", instance.name());
        self.sandbox
            .run_once(&name, instance.scope(), Phase::Init, limit, move |_| {
                if (functions.requirements)(&config).is_err() {
                    return Ok(());
                }
                (functions.check_stream)(&config, &settings)
            })
            .map_err(|fault| fault.to_string())?
            .map_err(|error| overrides.explain_over(of_instance, &error))
    }

    fn host(&self, name: &str, config: &Config) -> Arc<InstanceHost> {
        let log = self.log.clone();
        let state_dir = config.runtime.state_dir.as_deref();
        InstanceHost::new(name, state_dir, &self.sandbox, move |event| {
            publishing::host_event(&log, event);
        })
    }
}

/// What a stream without settings of its own has otherwise than an instance's configuration.
pub(super) fn no_overrides() -> Value {
    Settings::default().expose().clone()
}

/// When an instance is restarted.
pub(super) fn restart_policy(plugin: &PluginConfig) -> RestartPolicy {
    RestartPolicy {
        budget: plugin.restart.budget,
        window: plugin.restart.window,
        backoff: BackoffPolicy {
            first: plugin.restart.backoff.0,
            longest: plugin.restart.backoff.1,
        },
    }
}

/// What an instance is to be.
pub(super) fn instance_spec(name: &str, plugin: &PluginConfig, config: &Config) -> InstanceSpec {
    let limits = &config.runtime.limits;
    InstanceSpec {
        name: name.to_owned(),
        plugin: plugin.plugin.clone(),
        config: plugin.config.expose().clone(),
        explain: {
            let settings = plugin.config.clone();
            ExplainConfig::new(move |error| settings.explain(error))
        },
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
