use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use keepsight_contract::OutputKind;
use toml::de::DeTable;

use super::{
    document::{Document, Environment},
    errors::{ConfigError, Place, nearest},
    keys,
    model::{
        Config, Keep, LostContainment, Mode, OutputConfig, PluginConfig, RuntimeConfig,
        ServerConfig, ServerLimits, StreamConfig,
    },
    section::Section,
};

impl Config {
    /// Reads the file at `file`.
    ///
    /// # Errors
    /// [`ConfigError::Read`] where there is none, or whatever [`Config::parse`] finds.
    pub fn read(file: &Path, environment: &Environment<'_>) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(file)
            .map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
        Self::parse(&text, file, environment)
    }

    /// Reads `text`; `file` is what errors call it.
    ///
    /// # Errors
    /// The first mistake found.
    pub fn parse(
        text: &str,
        file: &Path,
        environment: &Environment<'_>,
    ) -> Result<Self, ConfigError> {
        let document = Document { file, text, environment };
        let table = DeTable::parse(text).map_err(|error| {
            let place = document.place(error.span().map_or(text.len(), |span| span.start));
            ConfigError::Syntax { place, message: error.message().to_owned() }
        })?;
        let root = Section::root(&document, table.get_ref(), keys::TOP)?;
        match root.written("version") {
            Some(version) if version.value == "1" => {}
            Some(version) => {
                return Err(ConfigError::Version { place: version.place, found: version.value });
            }
            None => return Err(root.missing("version", "begin the file with version = 1")),
        }
        let server = server(&root)?;
        let runtime = runtime(&root)?;
        let plugins = plugins(&root)?;
        let streams = streams(&root, &plugins)?;
        let outputs = outputs(&root)?;
        Ok(Self { server, runtime, streams, plugins, outputs })
    }
}

impl ServerConfig {
    /// The address an unconfigured server listens on.
    pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8787);

    /// # Errors
    /// [`ConfigError::ListenWithoutKey`] where others could reach the server and need no key.
    pub(super) fn checked(self, place: Option<Place>) -> Result<Self, ConfigError> {
        if !self.listen.ip().is_loopback() && self.key.is_none() {
            return Err(ConfigError::ListenWithoutKey { place, listen: self.listen });
        }
        Ok(self)
    }
}

fn server(root: &Section<'_>) -> Result<ServerConfig, ConfigError> {
    let Some(section) = root.section("server", "[server]", keys::SERVER)? else {
        return Ok(ServerConfig::default());
    };
    let mut server = ServerConfig::default();
    if let Some(Listen(listen)) =
        section.parsed("listen", "an address and port, such as \"127.0.0.1:8787\"")?
    {
        server.listen = listen;
    }
    if let Some(key) = section.text("key")? {
        if key.value.expose().len() < KEY_BYTES_MIN {
            let reason = format!("a key has at least {KEY_BYTES_MIN} characters");
            return Err(section.document().invalid("key", key.place, reason));
        }
        // Only what a header can carry unchanged.
        if !key.value.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason = "a key has only visible characters of ASCII, without spaces";
            return Err(section.document().invalid("key", key.place, reason));
        }
        server.key = Some(key.value.into_hidden());
    }
    for origin in section.texts("allowed_origins")? {
        let text = origin.value.expose();
        if text != "*" && !is_origin(text) {
            let reason = "an origin is a scheme and a host, such as \"https://wall.example\"";
            return Err(section.document().invalid("allowed_origins", origin.place, reason));
        }
        server.allowed_origins.push(text.to_ascii_lowercase());
    }
    for host in section.texts("allowed_hosts")? {
        let text = host.value.expose();
        let usable = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        if text.is_empty() || !text.chars().all(usable) {
            let reason = "a host is a name without scheme and port, such as \"door.example\"";
            return Err(section.document().invalid("allowed_hosts", host.place, reason));
        }
        server.allowed_hosts.push(text.to_ascii_lowercase());
    }
    server_limits(&section, &mut server.limits)?;
    server.checked(section.written("listen").map(|written| written.place))
}

fn server_limits(server: &Section<'_>, limits: &mut ServerLimits) -> Result<(), ConfigError> {
    let Some(section) = server.section("limits", "[server.limits]", keys::SERVER_LIMITS)? else {
        return Ok(());
    };
    let bytes = |key, field: &mut usize, range| -> Result<(), ConfigError> {
        if let Some(bytes) = section.size(key, range)? {
            *field = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        Ok(())
    };
    bytes("header_bytes", &mut limits.header_bytes, 512..=1 << 20)?;
    bytes("body_bytes", &mut limits.body_bytes, 1024..=1 << 30)?;
    let number = |key, field: &mut usize, range| -> Result<(), ConfigError> {
        if let Some(number) = section.integer(key, range)? {
            *field = number as usize;
        }
        Ok(())
    };
    number("headers", &mut limits.headers, 8..=1000)?;
    number("connections", &mut limits.connections, 1..=10_000)?;
    number("calls", &mut limits.calls, 1..=256)?;
    number("subscribers", &mut limits.subscribers, 0..=10_000)?;
    number("viewers", &mut limits.viewers, 0..=10_000)?;
    number("sockets", &mut limits.sockets, 0..=1000)?;
    number("wrong_keys", &mut limits.wrong_keys, 1..=10_000)?;
    set(&mut limits.header_time, section.time("header_time")?);
    set(&mut limits.body_time, section.time("body_time")?);
    set(&mut limits.request_time, section.time("request_time")?);
    set(&mut limits.write_time, section.time("write_time")?);
    set(&mut limits.heartbeat, section.time("heartbeat")?);
    Ok(())
}

fn runtime(root: &Section<'_>) -> Result<RuntimeConfig, ConfigError> {
    let mut runtime = RuntimeConfig::new(root.document().environment.variable);
    let Some(section) = root.section("runtime", "[runtime]", keys::RUNTIME)? else {
        return Ok(runtime);
    };
    if let Some(dir) = section.text("state_dir")? {
        runtime.state_dir = Some(PathBuf::from(dir.value.expose()));
    }
    set(
        &mut runtime.on_lost_containment,
        section.parsed("on_lost_containment", "\"exit\" or \"report\"")?,
    );
    set(&mut runtime.strict, section.flag("strict")?);
    if let Some(section) = section.section("limits", "[runtime.limits]", keys::RUNTIME_LIMITS)? {
        let limits = &mut runtime.limits;
        set(&mut limits.probe, section.time("probe")?);
        set(&mut limits.init, section.time("init")?);
        set(&mut limits.frame, section.time("frame")?);
        set(&mut limits.call, section.time("call")?);
        set(&mut limits.session, section.time("session")?);
        set(&mut limits.shutdown, section.time("shutdown")?);
        let number = |key| section.integer(key, 1..=10_000);
        let count = |key| number(key).map(|found| found.map(|number| number as usize));
        set(&mut limits.abandoned_threads, count("abandoned_threads")?);
        set(&mut limits.abandoned_threads_per_plugin, count("abandoned_threads_per_plugin")?);
    }
    Ok(runtime)
}

fn plugins(root: &Section<'_>) -> Result<BTreeMap<String, PluginConfig>, ConfigError> {
    let mut plugins = BTreeMap::new();
    let available = root.document().environment.plugins;
    for (name, section) in root.named_sections("plugins", keys::PLUGIN)? {
        let named = section.text("use")?;
        let place = named.as_ref().map_or_else(|| section.place(), |named| named.place.clone());
        let shown = named.as_ref().map_or(&name[..], |named| named.value.shown()).to_owned();
        let id = named.map_or_else(|| name.clone(), |named| named.value.expose().to_owned());
        if !available.contains(&id.as_str()) {
            let nearest = nearest(&id, available.iter().copied());
            return Err(ConfigError::MissingPlugin { place, plugin: shown, nearest });
        }
        let mut plugin = PluginConfig::new(id);
        set(&mut plugin.critical, section.flag("critical")?);
        set(&mut plugin.grace, section.time("grace")?);
        plugin.deadline = section.time("deadline")?;
        plugin.memory = section.size("memory", 1 << 20..=1 << 46)?;
        plugin.config = section.settings("config")?;
        let title = format!("[plugins.{name}.restart]");
        if let Some(section) = section.section("restart", &title, keys::RESTART)? {
            let restart = &mut plugin.restart;
            set(&mut restart.budget, section.integer("budget", 0..=1000)?);
            set(&mut restart.window, section.time("window")?);
            set(&mut restart.backoff, section.times("backoff")?);
        }
        plugins.insert(name, plugin);
    }
    Ok(plugins)
}

fn streams(
    root: &Section<'_>,
    instances: &BTreeMap<String, PluginConfig>,
) -> Result<BTreeMap<String, StreamConfig>, ConfigError> {
    let mut streams = BTreeMap::new();
    for (name, section) in root.named_sections("streams", keys::STREAM)? {
        let Some(source) = section.text("source")? else {
            return Err(section.missing("source", "such as source = \"camera:0\""));
        };
        if !has_scheme(source.value.expose()) {
            let reason = "a source begins with its scheme, such as \"camera:0\" or \"file:a.y4m\"";
            return Err(section.document().invalid("source", source.place, reason));
        }
        let mut stream = StreamConfig::new(source.value);
        stream.size = section.parsed("size", "a picture size, such as \"1280x720\"")?;
        stream.fps = section.positive("fps")?;
        set(&mut stream.critical, section.flag("critical")?);
        set(&mut stream.grace, section.time("grace")?);
        set(&mut stream.frozen_after, section.time("frozen_after")?);
        set(&mut stream.mode, section.parsed("mode", "\"newest\" or \"every\"")?);
        stream.memory = section.size("memory", 1 << 20..=1 << 46)?;
        let mut seen = BTreeSet::new();
        for plugin in section.texts("plugins")? {
            let id = plugin.value.expose().to_owned();
            if !instances.contains_key(&id) {
                let nearest = nearest(&id, instances.keys().map(String::as_str));
                let (place, stream) = (plugin.place, name);
                let plugin = plugin.value.shown().to_owned();
                return Err(ConfigError::UndefinedPlugin { place, stream, plugin, nearest });
            }
            if !seen.insert(id.clone()) {
                let reason = format!("'{id}' is in it twice");
                return Err(section.document().invalid("plugins", plugin.place, reason));
            }
            stream.plugins.push(id);
        }
        for (plugin, settings) in section.named_settings("settings")? {
            if !stream.plugins.contains(&plugin.value) {
                return Err(ConfigError::UnknownKey {
                    place: plugin.place,
                    nearest: nearest(&plugin.value, stream.plugins.iter().map(String::as_str)),
                    section: format!(
                        "[streams.{name}.settings], which takes this stream's plugins"
                    ),
                    key: plugin.value,
                });
            }
            stream.settings.insert(plugin.value, settings);
        }
        streams.insert(name, stream);
    }
    Ok(streams)
}

fn outputs(root: &Section<'_>) -> Result<Vec<OutputConfig>, ConfigError> {
    let mut outputs = Vec::new();
    for section in root.listed_sections("outputs", keys::OUTPUT)? {
        let Some(to) = section.text("to")? else {
            return Err(section.missing("to", "such as to = \"file:tracks.jsonl\""));
        };
        if !has_scheme(to.value.expose()) {
            let reason = "an output begins with its scheme, such as \"file:tracks.jsonl\"";
            return Err(section.document().invalid("to", to.place, reason));
        }
        let mut what = Vec::new();
        for kind in section.texts("what")? {
            let Some(known) = output_kind(kind.value.expose()) else {
                let reason = "it takes \"detections\", \"tracks\", \"regions\" and \"json\"";
                return Err(section.document().invalid("what", kind.place, reason));
            };
            what.push(known);
        }
        if what.is_empty() {
            return Err(section.missing("what", "such as what = [\"tracks\"]"));
        }
        let mut keep = Keep::default();
        if let Some(section) = section.section("keep", "[outputs.keep]", keys::KEEP)? {
            keep.size = section.size("size", 4096..=1 << 46)?;
            keep.age = section.time("age")?;
        }
        outputs.push(OutputConfig { to: to.value, what, keep });
    }
    Ok(outputs)
}

fn output_kind(name: &str) -> Option<OutputKind> {
    match name {
        "detections" => Some(OutputKind::Detections),
        "tracks" => Some(OutputKind::Tracks),
        "regions" => Some(OutputKind::Regions),
        "json" => Some(OutputKind::Json),
        _ => None,
    }
}

fn has_scheme(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    })
}

/// A serialised origin (RFC 6454, section 6.2): scheme, host and perhaps a port, no path.
fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, host)| {
        matches!(scheme, "http" | "https")
            && !host.is_empty()
            && !host.contains(|c: char| "/?#@ ".contains(c) || !c.is_ascii_graphic())
    })
}

fn set<T>(field: &mut T, found: Option<T>) {
    if let Some(found) = found {
        *field = found;
    }
}

/// An address to listen on; `localhost` is the one name it takes.
pub(super) struct Listen(pub(super) SocketAddr);

impl std::str::FromStr for Listen {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let address = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        address.as_deref().unwrap_or(text).parse().map(Listen).map_err(|_| ())
    }
}

impl std::str::FromStr for LostContainment {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "report" => Ok(LostContainment::Report),
            "exit" => Ok(LostContainment::Exit),
            _ => Err(()),
        }
    }
}

impl std::str::FromStr for Mode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "newest" => Ok(Mode::Newest),
            "every" => Ok(Mode::Every),
            _ => Err(()),
        }
    }
}

/// Shorter keys can be guessed by trying.
const KEY_BYTES_MIN: usize = 8;
