use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use keepsight::{
    api::{
        Backend, EventLog, HttpServer, LatestResult, PageFile, ReloadError, ResultFeed, ToolCall,
        ToolClient, ToolError, ToolOutcome,
    },
    config::ServerConfig,
    health::HealthSource,
    inspector::{
        HostReport, Liveness, Metrics, PluginInspection, PluginReport, Readiness, SessionState,
        StreamPluginReport, StreamReport, StreamState,
    },
    lifecycle::LifecycleState,
};
use keepsight_contract::{
    BoundingBox, Degradation, Frame, FrameSize, Manifest, PixelBuffer, PixelFormat, Response, Tool,
    Track, TrackState, Tracks,
};

type RunTool = dyn Fn(&str, ToolCall) -> Result<ToolOutcome, ToolError> + Send + Sync;
type Reload = dyn Fn(&str) -> Result<(), ReloadError> + Send + Sync;

/// A backend of which everything is said by the test.
pub(super) struct FakeBackend {
    pub(super) plugins: Vec<PluginReport>,
    pub(super) streams: Vec<StreamReport>,
    pub(super) latest: Arc<Mutex<BTreeMap<String, LatestResult>>>,
    pub(super) liveness: Liveness,
    pub(super) readiness: Readiness,
    pub(super) metrics: Metrics,
    pub(super) host: HostReport,
    pub(super) events: Arc<EventLog>,
    pub(super) results: Arc<ResultFeed>,
    pub(super) page: &'static [PageFile],
    pub(super) run: Box<RunTool>,
    pub(super) reload: Box<Reload>,
}

impl Default for FakeBackend {
    fn default() -> Self {
        Self {
            plugins: Vec::new(),
            streams: Vec::new(),
            latest: Arc::default(),
            liveness: Liveness::Alive,
            readiness: Readiness::default(),
            metrics: Metrics::default(),
            host: HostReport::default(),
            events: Arc::default(),
            results: Arc::default(),
            page: &[],
            run: Box::new(|_, _| panic!("no test asked for a call")),
            reload: Box::new(|_| panic!("no test asked for a reload")),
        }
    }
}

impl FakeBackend {
    /// A server that asks this backend, on a port of its own on loopback.
    pub(super) fn serve(self) -> HttpServer {
        self.serve_with(|_| {})
    }

    pub(super) fn serve_with(self, configure: impl FnOnce(&mut ServerConfig)) -> HttpServer {
        let mut config = ServerConfig::default();
        config.listen.set_port(0);
        configure(&mut config);
        HttpServer::start(&config, Arc::new(self)).unwrap()
    }
}

impl HealthSource for FakeBackend {
    fn states_version(&self) -> u64 {
        // Nothing changes: a test says everything before it serves.
        0
    }

    fn plugins(&self) -> Vec<PluginReport> {
        self.plugins.clone()
    }

    fn liveness(&self) -> Liveness {
        self.liveness.clone()
    }

    fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }
}

impl Backend for FakeBackend {
    fn client(&self, _: &str) -> Option<Box<dyn ToolClient>> {
        None
    }

    fn streams(&self) -> Vec<StreamReport> {
        self.streams.clone()
    }

    fn latest(&self, stream: &str, plugin: Option<&str>) -> Option<LatestResult> {
        let latest = self.latest.lock().unwrap().get(stream).cloned()?;
        plugin.is_none_or(|plugin| plugin == latest.plugin).then_some(latest)
    }

    fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    fn inspect_plugins(&self) -> Vec<PluginInspection> {
        // Only the runtime can look into a plugin; see the tests of the inspector.
        Vec::new()
    }

    fn host(&self) -> HostReport {
        self.host.clone()
    }

    fn events(&self) -> Arc<EventLog> {
        self.events.clone()
    }

    fn results(&self) -> Arc<ResultFeed> {
        self.results.clone()
    }

    fn page(&self) -> &'static [PageFile] {
        self.page
    }

    fn run_tool(&self, plugin: &str, call: ToolCall) -> Result<ToolOutcome, ToolError> {
        (self.run)(plugin, call)
    }

    fn reload(&self, plugin: &str) -> Result<(), ReloadError> {
        (self.reload)(plugin)
    }
}

/// A plugin in `state` with nothing special about it.
pub(super) fn plugin(name: &str, state: LifecycleState) -> PluginReport {
    let tool = Tool::new("look", "Look", "looks at a picture").takes_picture();
    let manifest = Manifest::new("looker", "Looker", "1.2.3", "looks at pictures").tool(tool);
    PluginReport {
        name: name.to_owned(),
        description: manifest.description.clone(),
        version: manifest.version.clone(),
        manifest: Some(Arc::new(manifest)),
        state,
        reason: None,
        code: None,
        hint: None,
        since: at(1000.0),
        uptime: None,
        last_used: None,
        success_count: 0,
        error_count: 0,
        last_execution: None,
        average_execution: None,
        degraded: Vec::new(),
        waiting_for: Vec::new(),
        streams: BTreeMap::new(),
        restarts: 0,
        next_attempt_in: None,
        quarantined: false,
        generation: 0,
        isolation: "thread",
        not_contained: Vec::new(),
        critical: false,
    }
}

/// A plugin of which everything that can be said is said.
pub(super) fn busy_plugin(name: &str) -> PluginReport {
    PluginReport {
        uptime: Some(Duration::from_millis(61_500)),
        last_used: Some(at(1060.25)),
        success_count: 10,
        error_count: 2,
        last_execution: Some(Duration::from_micros(12_345)),
        average_execution: Some(Duration::from_millis(11)),
        degraded: vec![Degradation {
            code: "gpu.cpu_fallback".into(),
            reason: "no adapter".to_owned(),
            hint: "install a driver".to_owned(),
        }],
        waiting_for: vec!["yard".to_owned()],
        streams: BTreeMap::from([
            ("door".to_owned(), SessionState::Running),
            ("yard".to_owned(), SessionState::Waiting),
        ]),
        restarts: 3,
        generation: 4,
        not_contained: vec!["stack overflow", "abort"],
        ..plugin(name, LifecycleState::Running)
    }
}

pub(super) fn failed_plugin(name: &str) -> PluginReport {
    PluginReport {
        reason: Some("init panicked: no luck".to_owned()),
        code: Some("init.panicked".to_owned()),
        hint: Some("see the log".to_owned()),
        next_attempt_in: Some(Duration::from_millis(1_200)),
        quarantined: true,
        ..plugin(name, LifecycleState::Failed)
    }
}

/// A stream in `state` that feeds `tracker`.
pub(super) fn stream(name: &str, state: StreamState) -> StreamReport {
    StreamReport {
        name: name.to_owned(),
        source: "scene:".to_owned(),
        state,
        code: None,
        reason: None,
        hint: None,
        since: at(1000.0),
        last_error: Some("it was unplugged".to_owned()),
        last_error_at: Some(at(990.0)),
        device: Some("a generated scene".to_owned()),
        format: Some(PixelFormat::Yuyv),
        size: Some(FrameSize::new(64, 48)),
        rate: Some(14.5),
        nominal_rate: Some(15.0),
        mode: "newest",
        frames_in: 100,
        frames_dropped: 7,
        last_frame_age: Some(Duration::from_millis(40)),
        reconnects: 1,
        source_counters: BTreeMap::from([("frames_damaged".to_owned(), 2)]),
        memory: None,
        critical: true,
        plugins: vec![StreamPluginReport {
            plugin: "tracker".to_owned(),
            session_state: SessionState::Running,
            processed: 90,
            dropped: 7,
            errors: 1,
            last_latency: Some(Duration::from_micros(8_500)),
        }],
    }
}

/// A result of `tracker` on a black picture that was captured `age` ago: one track in its middle.
pub(super) fn tracked(sequence: u64, age: Duration) -> LatestResult {
    let size = FrameSize::new(64, 48);
    let pixels = PixelBuffer::from(vec![0; 64 * 48 * 3]);
    let frame = Frame::builder(PixelFormat::Rgb, size, pixels)
        .sequence(sequence)
        .captured(Instant::now().checked_sub(age).unwrap())
        .build()
        .unwrap();
    let track = Track {
        track_id: 7,
        bbox: BoundingBox::new(16.0, 12.0, 32.0, 24.0),
        velocity: [1.0, 0.0],
        confidence: 0.9,
        class: "person".into(),
        class_id: 0,
        state: TrackState::Confirmed,
        age_frames: 9,
        first_sequence: 1,
        since_seconds: 0.5,
    };
    LatestResult {
        plugin: "tracker".to_owned(),
        frame,
        response: Arc::new(Response::new().with(Tracks(vec![track]))),
        latency: Duration::from_micros(8_500),
    }
}

/// Wall time, in seconds since 1970.
fn at(seconds: f64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds)
}
