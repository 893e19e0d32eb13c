use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{
    document::Environment,
    errors::ConfigError,
    model::{
        Config, LostContainment, Mode, PluginConfig, RestartPolicy, RuntimeConfig, RuntimeLimits,
        ServerConfig, ServerLimits, StreamConfig,
    },
    parse::Listen,
    secret::{Secret, Settings},
};

impl Config {
    /// What runs without a file: the generated scene, tracked.
    pub fn default_scene(environment: &Environment<'_>) -> Self {
        Self::for_source("scene:", environment)
    }

    /// What runs without a file for the source `uri`: one stream, named as the URI's scheme, that
    /// feeds those of video-tracker and frame-stats which this build has.
    pub fn for_source(uri: &str, environment: &Environment<'_>) -> Self {
        let present = ["video-tracker", "frame-stats"].map(str::to_owned);
        let present = present.into_iter().filter(|id| environment.plugins.contains(&id.as_str()));
        let plugins: BTreeMap<_, _> =
            present.clone().map(|id| (id.clone(), PluginConfig::new(id))).collect();
        let mut stream = StreamConfig::new(Secret::uri(uri));
        stream.plugins = present.collect();
        let name = uri.split_once(':').map_or(uri, |(scheme, _)| scheme).to_owned();
        Self {
            server: ServerConfig::default(),
            runtime: RuntimeConfig::new(environment.variable),
            streams: BTreeMap::from([(name, stream)]),
            plugins,
            outputs: Vec::new(),
        }
    }

    /// The same, listening on `listen` (`ADDRESS:PORT`, or `localhost:PORT`).
    ///
    /// # Errors
    /// [`ConfigError::ListenAddress`], or [`ConfigError::ListenWithoutKey`] where others could
    /// reach that address and the file sets no key.
    pub fn listening_on(mut self, listen: &str) -> Result<Self, ConfigError> {
        let Listen(address) = listen
            .parse()
            .map_err(|()| ConfigError::ListenAddress { listen: listen.to_owned() })?;
        self.server.listen = address;
        self.server = self.server.checked(None)?;
        Ok(self)
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: Self::LISTEN,
            key: None,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            limits: ServerLimits::default(),
        }
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            header_bytes: 16 << 10,
            headers: 64,
            body_bytes: 8 << 20,
            connections: 128,
            calls: 32,
            subscribers: 32,
            viewers: 32,
            sockets: 16,
            wrong_keys: 10,
            header_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            // A reload's answer waits for running calls, probes and init: 30 + 10 + 120 s.
            request_time: Duration::from_secs(180),
            write_time: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
        }
    }
}

impl RuntimeConfig {
    /// Defaults; the state folder is systemd's `$STATE_DIRECTORY`, else the user's own.
    pub(super) fn new(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let given = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let state_dir = given("STATE_DIRECTORY")
            .or_else(|| given("XDG_STATE_HOME").map(|home| home.join("keepsight")))
            .or_else(|| given("HOME").map(|home| home.join(".local/state/keepsight")));
        Self {
            state_dir,
            on_lost_containment: LostContainment::Report,
            strict: false,
            limits: RuntimeLimits::default(),
        }
    }
}

impl Default for RuntimeLimits {
    fn default() -> Self {
        Self {
            probe: Duration::from_secs(10),
            init: Duration::from_secs(120),
            frame: Duration::from_secs(5),
            call: Duration::from_secs(30),
            session: Duration::from_secs(60),
            shutdown: Duration::from_secs(5),
            abandoned_threads: 128,
            abandoned_threads_per_plugin: 3,
        }
    }
}

impl StreamConfig {
    /// A stream of `source` that feeds nothing yet. Files are seen frame by frame, everything
    /// else is live.
    pub(super) fn new(source: Secret) -> Self {
        let mode = if source.expose().starts_with("file:") { Mode::Every } else { Mode::Newest };
        Self {
            source,
            size: None,
            fps: None,
            critical: false,
            grace: GRACE,
            frozen_after: Duration::from_secs(10),
            mode,
            memory: None,
            plugins: Vec::new(),
            settings: BTreeMap::new(),
        }
    }
}

impl PluginConfig {
    /// An instance of the plugin with the id `plugin`, as it comes.
    pub(super) fn new(plugin: String) -> Self {
        Self {
            plugin,
            critical: false,
            grace: GRACE,
            deadline: None,
            memory: None,
            restart: RestartPolicy::default(),
            config: Settings::default(),
        }
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            budget: 5,
            window: Duration::from_secs(600),
            backoff: (Duration::from_secs(1), Duration::from_secs(120)),
        }
    }
}

/// How long something critical may be away by default.
const GRACE: Duration = Duration::from_secs(30);
