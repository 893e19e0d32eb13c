//! Whether whatever may be asked is answered as it is documented; for fuzzing and for tests.
//!
//! The requests are a client's, the router is the real one, without a network. What it asks is an
//! inert process: a plugin in each state, streams with and without a picture, calls that give or
//! fail as their arguments say.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::{Duration, Instant, SystemTime},
};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Bytes,
    header::{ALLOW, CONTENT_TYPE},
};
use keepsight_contract::{
    Frame, FrameSize, JsonOutput, Manifest, PixelBuffer, PixelFormat, Response as PluginResponse,
    Tool, Tracks,
};
use serde_json::{Map, Value};
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
};

use super::{
    Backend, EventKind, EventLog, LatestResult, ReloadError, ResultFeed, ToolCall, ToolClient,
    ToolError, ToolOutcome, answer_body::AnswerBody, request_handler::RequestHandler, routes::Path,
};
use crate::{
    config::{Secret, ServerConfig},
    health::{HealthSource, Target},
    inspector::{
        HostReport, Liveness, Metrics, PluginInspection, PluginReport, Readiness, StreamReport,
        StreamState,
    },
    lifecycle::LifecycleState,
};

/// Asks the router what `bytes` ask for: `METHOD TARGET` and header lines, each ended by `\n`, an
/// empty line, and the body. It is asked twice, as a server without a key and as one whose key is
/// `key`. Bytes of another form ask nothing.
///
/// # Panics
/// Where an answer is not as documented: a status that `/openapi.json` does not have for it, an
/// error without `detail`, a body that is not what its type says. And where the router panics.
pub fn check_request(bytes: &[u8]) {
    let oracle = &*ORACLE;
    for handler in &oracle.handlers {
        let Some(request) = request(bytes) else { return };
        let asked = format!("{} {}", request.method(), request.uri());
        let documented = documented(request.method(), request.uri().path());
        oracle.runtime.block_on(async {
            let response = handler.clone().handle(request, None).await;
            check_response(&asked, &documented, response).await;
        });
    }
}

struct Oracle {
    runtime: Runtime,
    handlers: [Arc<RequestHandler>; 2],
    /// Kept, so that nothing hears that it should stop.
    _stop: watch::Sender<bool>,
}

/// Threads and all, once: fuzzing asks millions of times.
static ORACLE: LazyLock<Oracle> = LazyLock::new(|| {
    let (stop, stopping) = watch::channel(false);
    let backend: Arc<dyn Backend> = Arc::new(Inert::new());
    let handler = |key: Option<&str>| {
        let mut config = ServerConfig { key: key.map(Secret::hidden), ..ServerConfig::default() };
        config.allowed_origins = vec!["https://wall.example".to_owned()];
        config.allowed_hosts = vec!["door.example".to_owned()];
        Arc::new(RequestHandler::new(&config, backend.clone(), stopping.clone()))
    };
    let runtime = Builder::new_current_thread().enable_time().build();
    Oracle {
        runtime: runtime.expect("a process that fuzzes may have threads"),
        handlers: [handler(None), handler(Some("key"))],
        _stop: stop,
    }
});

/// The request that `bytes` stand for, if it is one that the server's connection would let pass.
fn request(bytes: &[u8]) -> Option<Request<Full<Bytes>>> {
    let mut rest = bytes;
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        Some(line)
    };
    let mut words = line()?.splitn(2, |byte| *byte == b' ');
    let mut request = Request::builder().method(words.next()?).uri(words.next()?);
    loop {
        let header = line()?;
        if header.is_empty() {
            break;
        }
        let colon = header.iter().position(|byte| *byte == b':')?;
        request = request.header(&header[..colon], header[colon + 1..].trim_ascii());
    }
    request.body(Full::from(rest.to_vec())).ok()
}

/// Every status that the answer may have.
fn documented(method: &Method, path: &str) -> Vec<u16> {
    // More than one Host, or a foreign one.
    let of_any_request = [400, 403];
    if method == Method::OPTIONS {
        return [200].into_iter().chain(of_any_request).collect();
    }
    let path = Target::parse(path, None).as_ref().and_then(Path::of);
    let own = match path.as_ref().map(|path| path.endpoint(method)) {
        // A query that cannot be read leads nowhere either.
        Some(Some(endpoint)) => endpoint.statuses().chain([404]).collect(),
        Some(None) => vec![404, 405],
        None => vec![404],
    };
    own.into_iter().chain(of_any_request).collect()
}

async fn check_response(asked: &str, documented: &[u16], response: Response<AnswerBody>) {
    let (parts, mut body) = response.into_parts();
    let status = parts.status;
    assert!(documented.contains(&status.as_u16()), "{asked}: {status}, and not {documented:?}");
    let allow = parts.headers.contains_key(ALLOW);
    assert_eq!(allow, status == StatusCode::METHOD_NOT_ALLOWED, "{asked}: {:?}", parts.headers);
    let content_type = parts.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or(""));
    if content_type == Some("text/event-stream") {
        // The first piece; there is no last one.
        let first = body.frame().await.and_then(Result::ok);
        assert!(first.is_some_and(|frame| frame.is_data()), "{asked}: no events");
        return;
    }
    let Ok(bytes) = body.collect().await.map(http_body_util::Collected::to_bytes);
    match content_type {
        Some("application/json") if status == StatusCode::OK && bytes.is_empty() => {}
        Some("application/json") => {
            let json: Value = serde_json::from_slice(&bytes)
                .unwrap_or_else(|error| panic!("{asked}: {error} in {}", bytes.escape_ascii()));
            let detail = json.get("detail").is_some_and(Value::is_string);
            assert!(detail || status.is_success(), "{asked}: {status} without detail: {json}");
        }
        Some(_) => assert!(status.is_success() && !bytes.is_empty(), "{asked}: {status}"),
        None => assert!(status == StatusCode::NO_CONTENT && bytes.is_empty(), "{asked}: {status}"),
    }
}

/// A process in which nothing happens.
struct Inert {
    plugins: Vec<PluginReport>,
    streams: Vec<StreamReport>,
    events: Arc<EventLog>,
}

impl Inert {
    fn new() -> Self {
        let events = EventLog::default();
        events.publish(EventKind::Fault, Some("running"), Some("door"), Map::new());
        Self {
            plugins: LifecycleState::ALL.map(plugin).to_vec(),
            streams: vec![stream("door", StreamState::Live), stream("yard", StreamState::Opening)],
            events: Arc::new(events),
        }
    }
}

impl HealthSource for Inert {
    fn states_version(&self) -> u64 {
        0
    }

    fn plugins(&self) -> Vec<PluginReport> {
        self.plugins.clone()
    }

    fn liveness(&self) -> Liveness {
        Liveness::Alive
    }

    fn readiness(&self) -> Readiness {
        Readiness::default()
    }
}

impl Backend for Inert {
    fn client(&self, _: &str) -> Option<Box<dyn ToolClient>> {
        None
    }

    fn results(&self) -> Arc<ResultFeed> {
        Arc::default()
    }

    fn streams(&self) -> Vec<StreamReport> {
        self.streams.clone()
    }

    fn latest(&self, stream: &str, _: Option<&str>) -> Option<LatestResult> {
        let pixels = PixelBuffer::from(vec![90; 16 * 16]);
        let frame = Frame::builder(PixelFormat::Gray, FrameSize::new(16, 16), pixels);
        (stream == "door").then(|| LatestResult {
            plugin: "running".to_owned(),
            frame: frame.captured(Instant::now()).build().expect("the pixels are of that size"),
            response: Arc::new(PluginResponse::new().with(Tracks(Vec::new()))),
            latency: Duration::ZERO,
        })
    }

    fn metrics(&self) -> Metrics {
        Metrics::default()
    }

    fn inspect_plugins(&self) -> Vec<PluginInspection> {
        Vec::new()
    }

    fn host(&self) -> HostReport {
        HostReport::default()
    }

    fn events(&self) -> Arc<EventLog> {
        self.events.clone()
    }

    /// Gives its arguments back, or the error that they name.
    fn run_tool(&self, plugin: &str, call: ToolCall) -> Result<ToolOutcome, ToolError> {
        let reason = "as asked for".to_owned();
        let limit = Duration::from_secs(1);
        Err(match call.args["error"].as_str() {
            Some("unknown") => ToolError::UnknownPlugin { plugin: plugin.to_owned() },
            Some("bad") => ToolError::BadArguments { reason },
            Some("full") => ToolError::QueueFull,
            Some("given-up") => ToolError::GivenUp { reason },
            Some("late") => ToolError::TimedOut { limit },
            Some("fault") => ToolError::Fault { code: "run.failed".to_owned(), reason },
            _ => {
                let response = PluginResponse::new().with(JsonOutput::new("args", call.args));
                return Ok(ToolOutcome { response: Arc::new(response), took: limit });
            }
        })
    }

    fn reload(&self, plugin: &str) -> Result<(), ReloadError> {
        match self.plugins.iter().find(|report| report.name == plugin).map(|report| report.state) {
            None => Err(ReloadError::UnknownPlugin { plugin: plugin.to_owned() }),
            Some(LifecycleState::Loaded) => Err(ReloadError::UnderWay),
            Some(LifecycleState::Failed) => Err(ReloadError::ShuttingDown),
            Some(_) => Ok(()),
        }
    }
}

/// A plugin in `state`, with the state's name.
fn plugin(state: LifecycleState) -> PluginReport {
    let manifest = Manifest::new("inert", "Inert", "1.0.0", "does nothing")
        .tool(Tool::new("do", "Do", "gives its arguments back").takes_picture());
    PluginReport {
        name: state.as_str().to_ascii_lowercase(),
        description: manifest.description.clone(),
        version: manifest.version.clone(),
        manifest: (state != LifecycleState::Failed).then(|| Arc::new(manifest)),
        state,
        reason: None,
        code: None,
        hint: None,
        since: SystemTime::UNIX_EPOCH,
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
        next_attempt_in: Some(Duration::from_millis(1)),
        quarantined: false,
        generation: 1,
        isolation: "thread",
        not_contained: Vec::new(),
        critical: false,
    }
}

fn stream(name: &str, state: StreamState) -> StreamReport {
    StreamReport {
        name: name.to_owned(),
        source: "scene:".to_owned(),
        state,
        code: None,
        reason: None,
        hint: None,
        since: SystemTime::UNIX_EPOCH,
        last_error: None,
        last_error_at: None,
        device: None,
        format: None,
        size: None,
        rate: None,
        nominal_rate: None,
        mode: "newest",
        frames_in: 0,
        frames_dropped: 0,
        last_frame_age: None,
        reconnects: 0,
        source_counters: BTreeMap::new(),
        memory: None,
        critical: false,
        plugins: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use keepsight_contract::testing::try_variations;

    use super::*;

    #[test]
    fn what_is_asked_is_answered_as_documented() {
        // One request of each path and of each sort.
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/http_request");
        try_variations(seeds, 3_000, check_request);
    }
}
