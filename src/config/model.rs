use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use keepsight_contract::{FrameSize, OutputKind};

use super::{Secret, Settings};

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`.
    pub server: ServerConfig,
    /// `[runtime]`.
    pub runtime: RuntimeConfig,
    /// `[streams.NAME]`, by name.
    pub streams: BTreeMap<String, StreamConfig>,
    /// `[plugins.NAME]`, by the instance's name.
    pub plugins: BTreeMap<String, PluginConfig>,
    /// `[[outputs]]`, in the file's order.
    pub outputs: Vec<OutputConfig>,
}

/// Where and for whom the server answers.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Address and port; loopback wherever there is no key.
    pub listen: SocketAddr,
    /// What a caller must know to run, reload and see pictures.
    pub key: Option<Secret>,
    /// Origins of pages elsewhere that may use everything, such as `https://wall.example`.
    /// Empty: pages from anywhere may read the plugins' health, and nothing else.
    pub allowed_origins: Vec<String>,
    /// Names besides `localhost` and any address under which the server may be called.
    pub allowed_hosts: Vec<String>,
    /// `[server.limits]`.
    pub limits: ServerLimits,
}

/// What a client may take of the server.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerLimits {
    /// Request line and headers together, in bytes.
    pub header_bytes: usize,
    /// Header lines.
    pub headers: usize,
    /// A request's body, in bytes.
    pub body_bytes: usize,
    /// Connections at a time.
    pub connections: usize,
    /// Calls, reloads and pictures in work at a time; more are answered 503.
    pub calls: usize,
    /// Those who follow the events at a time; more are answered 503.
    pub subscribers: usize,
    /// Clients that look at live pictures at a time.
    pub viewers: usize,
    /// WebSockets that are open at a time.
    pub sockets: usize,
    /// Wrong keys that an address may give in a row, and that are forgiven in a minute; with more,
    /// none is heard from there for a while.
    pub wrong_keys: usize,
    /// To send the request line and all headers, and to begin the next request.
    pub header_time: Duration,
    /// To send the body.
    pub body_time: Duration,
    /// From the end of the headers to the beginning of the answer, the body's time included.
    pub request_time: Duration,
    /// For the client to take any next part of the answer.
    pub write_time: Duration,
    /// Between signs of life to those who follow the events, while nothing happens.
    pub heartbeat: Duration,
}

/// How the process behaves as a whole.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Where plugins keep what outlives the process; `None` where the environment names no place.
    pub state_dir: Option<PathBuf>,
    /// What to do once faults can no longer be contained.
    pub on_lost_containment: LostContainment,
    /// Whether any plugin that is not ready after loading ends the process.
    pub strict: bool,
    /// `[runtime.limits]`.
    pub limits: RuntimeLimits,
}

/// What to do once faults can no longer be contained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostContainment {
    /// Say so in `/livez` and go on.
    Report,
    /// Drain, and exit with code 75.
    Exit,
}

/// How long things may take, and how many may hang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeLimits {
    /// A check whether something is there.
    pub probe: Duration,
    /// A plugin's `init`.
    pub init: Duration,
    /// A plugin's `run` on a stream's frame, unless its table says otherwise.
    pub frame: Duration,
    /// A plugin's `run` on a call by HTTP.
    pub call: Duration,
    /// How long a session that calls keep may be without a call.
    pub session: Duration,
    /// Everything's end.
    pub shutdown: Duration,
    /// Threads that were given up and have not returned, at which containment is lost.
    pub abandoned_threads: usize,
    /// The same of one plugin, at which it gets no new one.
    pub abandoned_threads_per_plugin: usize,
}

/// A source and the plugins it feeds.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamConfig {
    /// The source's URI.
    pub source: Secret,
    /// The picture size wished for.
    pub size: Option<FrameSize>,
    /// The frame rate wished for, in frames a second, above 0.
    pub fps: Option<f64>,
    /// Whether the process is not ready without this stream.
    pub critical: bool,
    /// How long it may be away before that counts.
    pub grace: Duration,
    /// How long a live source may give the same picture, byte for byte.
    pub frozen_after: Duration,
    /// What happens to frames that plugins are too slow for.
    pub mode: Mode,
    /// For the source and what it decodes, in bytes.
    pub memory: Option<u64>,
    /// Instances, in the order in which they see a frame; each is in [`Config::plugins`].
    pub plugins: Vec<String>,
    /// What this stream overrides, by instance; each is in `plugins`.
    pub settings: BTreeMap<String, Settings>,
}

/// What happens to frames that a plugin is too slow for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Older ones are dropped and counted: the plugin sees the newest.
    Newest,
    /// The source waits: the plugin sees each.
    Every,
}

/// An instance of a plugin.
#[derive(Clone, Debug)]
pub struct PluginConfig {
    /// The plugin's id, as its manifest has it.
    pub plugin: String,
    /// Whether the process is not ready without it.
    pub critical: bool,
    /// How long it may be away before that counts.
    pub grace: Duration,
    /// For a frame on a stream; [`RuntimeLimits::frame`] if `None`.
    pub deadline: Option<Duration>,
    /// For the instance and all of its sessions together, in bytes.
    pub memory: Option<u64>,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// The plugin's own configuration, not yet seen by it.
    pub config: Settings,
}

/// When and how often a faulty plugin is started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Restarts within the window before it is left alone.
    pub budget: u32,
    /// Over which they are counted.
    pub window: Duration,
    /// The pause before the first restart, and the longest.
    pub backoff: (Duration, Duration),
}

/// Where results are written.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputConfig {
    /// The target's URI, such as `file:tracks.jsonl`.
    pub to: Secret,
    /// Kinds of results; at least one.
    pub what: Vec<OutputKind>,
    /// How much of it is kept.
    pub keep: Keep,
}

/// How much is kept; no limit where a field is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// In bytes, all files together.
    pub size: Option<u64>,
    /// Counted from when it was written.
    pub age: Option<Duration>,
}

impl Mode {
    /// As the configuration has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Newest => "newest",
            Mode::Every => "every",
        }
    }
}
