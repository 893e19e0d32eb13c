use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use keepsight::{
    api::HttpServer,
    config::{Config, ConfigError, Environment, ServerConfig},
    inspector::ConfigurationChange,
    loader::{Catalog, Clock, ProbeProgram, SystemClock},
    runtime::{Reread, RereadError, Runtime, RuntimeOptions, StartError},
    streams::Listener,
};
use keepsight_contract::{Pace, PluginRegistration, SourceRegistration, registered};
use keepsight_fault_injector::FaultInjector;
use serde_json::Value;

use super::{
    client,
    gate::LONGEST,
    scripted::{Following, Scripted},
    test_source::TestSource,
};

/// A running process of the test's configuration, on a port of its own on loopback.
pub(crate) struct Site {
    pub(crate) runtime: Arc<Runtime>,
    server: Option<HttpServer>,
    address: SocketAddr,
    catalog: Catalog,
}

/// How a [`Site`] is made, beside its configuration.
pub(crate) struct Setup {
    pub(crate) catalog: Catalog,
    /// What is asked to look around in a child process.
    pub(crate) probe_program: ProbeProgram,
    pub(crate) pace: Pace,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            catalog: catalog(),
            // The probes of a test's binary are asked for in the real one.
            probe_program: ProbeProgram::at(env!("CARGO_BIN_EXE_keepsight")),
            pace: Pace::Native,
            listeners: Vec::new(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl Setup {
    /// What the features of this build bring, beside what is a test's own.
    #[allow(dead_code, reason = "only the tracker's tests do, which not every build has")]
    pub(crate) fn with_everything() -> Self {
        let plugins = registered::plugins().chain([PluginRegistration::of::<Scripted>("test")]);
        let sources = [SourceRegistration::of::<TestSource>("test-source", &["test"])];
        let sources = registered::sources().chain(sources);
        let catalog = Catalog::new(plugins, sources, registered::outputs()).unwrap();
        Self { catalog, ..Self::default() }
    }
}

/// What the tests' binary holds.
pub(crate) fn catalog() -> Catalog {
    let plugins = [
        PluginRegistration::of::<Scripted>("test-scripted"),
        PluginRegistration::of::<Following>("test-scripted"),
        PluginRegistration::of::<FaultInjector>("keepsight-fault-injector"),
    ];
    let sources = [SourceRegistration::of::<TestSource>("test-source", &["test"])];
    Catalog::new(plugins, sources, []).unwrap()
}

impl Site {
    /// Starts what `toml` says; `version = 1` need not be said.
    #[track_caller]
    pub(crate) fn start(toml: &str) -> Self {
        Self::try_start(toml, Vec::new()).unwrap()
    }

    pub(crate) fn try_start(toml: &str, listeners: Vec<Listener>) -> Result<Self, StartError> {
        Self::start_with(toml, Setup { listeners, ..Setup::default() })
    }

    pub(crate) fn start_with(toml: &str, setup: Setup) -> Result<Self, StartError> {
        let Setup { catalog, probe_program, pace, listeners, clock } = setup;
        let config = parse(toml, &catalog).unwrap_or_else(|error| panic!("{error}"));
        let options = RuntimeOptions { probe_program, pace, listeners };
        let runtime = Arc::new(Runtime::with_clock(&config, &catalog, options, clock)?);
        let server = HttpServer::start(&config.server, runtime.clone()).unwrap();
        let address = server.address();
        runtime.begin();
        Ok(Self { runtime, server: Some(server), address, catalog })
    }

    /// Reads another configuration, as after a SIGHUP.
    pub(crate) fn reread(&self, toml: &str) -> Result<Reread, RereadError> {
        self.runtime.reread(parse(toml, &self.catalog), &self.catalog)
    }

    /// The same, which changes exactly `changes`: `KIND NAME CHANGE`, sorted.
    #[track_caller]
    pub(crate) fn check_reread(&self, toml: &str, changes: &[&str]) {
        let reread = self.reread(toml).unwrap_or_else(|error| panic!("{error}"));
        let text = |ConfigurationChange { kind, name, change }: &ConfigurationChange| {
            format!("{kind} {name} {}", change.as_str())
        };
        let mut found: Vec<_> = reread.changes.iter().map(text).collect();
        found.sort();
        assert_eq!(found, changes);
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        let answer = client::get(self.address, path);
        (answer.status, answer.json())
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let answer = client::post(self.address, path, body);
        (answer.status, answer.json())
    }

    pub(crate) fn run_tool(&self, plugin: &str, tool: &str, args: &Value) -> (u16, Value) {
        let body = serde_json::json!({ "args": args }).to_string();
        self.post(&format!("/v1/plugins/{plugin}/tools/{tool}/run"), &body)
    }

    pub(crate) fn health(&self, plugin: &str) -> Value {
        let (status, health) = self.get(&format!("/v1/plugins/{plugin}/health"));
        assert_eq!(status, 200, "{health}");
        health
    }

    pub(crate) fn stream(&self, stream: &str) -> Value {
        let (status, report) = self.get(&format!("/v1/streams/{stream}"));
        assert_eq!(status, 200, "{report}");
        report
    }

    /// Asks for the plugin's health until it is as `wanted`, which is given back.
    #[track_caller]
    pub(crate) fn await_health(&self, plugin: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        await_value(|| self.health(plugin), wanted)
    }

    /// Asks for the stream's report until it is as `wanted`, which is given back.
    #[track_caller]
    pub(crate) fn await_stream(&self, stream: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        await_value(|| self.stream(stream), wanted)
    }

    /// Asks for the plugin's health until it is in the state.
    #[track_caller]
    pub(crate) fn await_state(&self, plugin: &str, state: &str) -> Value {
        self.await_health(plugin, |health| health["state"] == state)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// What `toml` says, checked and not begun, as `keepsight check` has it.
#[track_caller]
pub(crate) fn not_begun(toml: &str) -> Runtime {
    let Setup { catalog, probe_program, pace, listeners, .. } = Setup::default();
    let config = parse(toml, &catalog).unwrap_or_else(|error| panic!("{error}"));
    let options = RuntimeOptions { probe_program, pace, listeners };
    Runtime::new(&config, &catalog, options).unwrap()
}

/// What `toml` says, on a port that is free; `version = 1` need not be said.
fn parse(toml: &str, catalog: &Catalog) -> Result<Config, ConfigError> {
    let plugins = catalog.plugin_ids();
    let environment = Environment { plugins: &plugins, variable: &|_| None };
    let text = format!("version = 1\n{toml}");
    let mut config = Config::parse(&text, Path::new("test.toml"), &environment)?;
    if config.server.listen == ServerConfig::LISTEN {
        config.server.listen.set_port(0);
    }
    Ok(config)
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(Duration::from_secs(5));
        }
        self.runtime.shut_down();
    }
}

/// What happens elsewhere, in threads that nothing here can wait for, is asked for until it is so.
#[track_caller]
pub(crate) fn await_value(ask: impl Fn() -> Value, wanted: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + LONGEST;
    loop {
        let value = ask();
        if wanted(&value) {
            return value;
        }
        assert!(Instant::now() < end, "not within {LONGEST:?}; it is {value:#}");
        thread::park_timeout(Duration::from_millis(5));
    }
}
