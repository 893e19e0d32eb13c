//! `WS /v1/stream?plugin=NAME`: a client's own pictures, looked at as they come.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::{
    HeaderMap, StatusCode,
    header::{
        CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinHandle, spawn_blocking},
    time::{self, interval, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{
    Backend, ToolCall, ToolClient, ToolError,
    plugins_api::{self, ResultItem},
    status_table::SOON,
};
use crate::{
    config::ServerLimits,
    health::{Reply, plugin_not_found},
};

/// Clients that send pictures.
pub(super) struct Sockets {
    backend: Arc<dyn Backend>,
    places: Arc<Semaphore>,
    message_bytes_max: usize,
    heartbeat: Duration,
    patience: Duration,
    clients_ever: AtomicU64,
    stop: watch::Receiver<bool>,
}

/// A client that may have its WebSocket once the answer to its handshake is written.
#[derive(Clone)]
pub(super) struct AdmittedSocket {
    backend: Arc<dyn Backend>,
    id: String,
    plugin: String,
    message_bytes_max: usize,
    heartbeat: Duration,
    patience: Duration,
    stop: watch::Receiver<bool>,
    _place: Arc<OwnedSemaphorePermit>,
}

/// One client.
struct Socket<T> {
    io: WebSocketStream<T>,
    admitted: AdmittedSocket,
    client: Option<Arc<dyn ToolClient>>,
}

/// What a client says.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    Frame(SentFrame),
    Ping,
    SwitchPlugin { plugin: String },
}

/// A picture to look at.
#[derive(Deserialize)]
struct SentFrame {
    #[serde(default)]
    frame_id: Value,
    image_data: Value,
    plugin_id: Option<String>,
    tools: Option<Vec<String>>,
}

/// What is answered to a frame: the message's text.
type Work = JoinHandle<String>;

/// Why a client is sent away.
enum End {
    /// It went, or takes nothing.
    Gone,
    /// It has said nothing for too long.
    Idle,
    /// The server stops.
    Stopping,
}

impl Sockets {
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        limits: &ServerLimits,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            backend,
            places: Arc::new(Semaphore::new(limits.sockets)),
            message_bytes_max: limits.body_bytes,
            heartbeat: limits.heartbeat,
            patience: limits.write_time,
            clients_ever: AtomicU64::new(0),
            stop,
        }
    }

    /// The headers of the answer that hands the connection over, and who gets it.
    pub(super) fn admit(
        &self,
        headers: &HeaderMap,
        plugin: Option<String>,
    ) -> Result<(HeaderMap, AdmittedSocket), Reply> {
        let answer = handshake(headers)?;
        let plugin = plugin.ok_or_else(|| bad("say which plugin: /v1/stream?plugin=NAME"))?;
        if self.backend.plugin(&plugin).is_none() {
            return Err(plugin_not_found(&plugin));
        }
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let detail = "as many WebSockets as are allowed are open";
            let reply = Reply::detail(StatusCode::SERVICE_UNAVAILABLE, detail);
            return Err(reply.retry_after(Some(SOON)));
        };
        let number = self.clients_ever.fetch_add(1, Ordering::Relaxed) + 1;
        let socket = AdmittedSocket {
            backend: self.backend.clone(),
            id: format!("client-{number}"),
            plugin,
            message_bytes_max: self.message_bytes_max,
            heartbeat: self.heartbeat,
            patience: self.patience,
            stop: self.stop.clone(),
            _place: Arc::new(place),
        };
        Ok((answer, socket))
    }

    /// How many are open now, of at most `limits.sockets`.
    pub(super) fn count(&self, limits: &ServerLimits) -> usize {
        limits.sockets.saturating_sub(self.places.available_permits())
    }
}

/// The answer to a client's handshake (RFC 6455, 4.2).
fn handshake(headers: &HeaderMap) -> Result<HeaderMap, Reply> {
    let has = |name: &HeaderName, token: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let mut tokens = values.flat_map(|value| value.split(','));
        tokens.any(|one| one.trim().eq_ignore_ascii_case(token))
    };
    if !has(&CONNECTION, "upgrade") || !has(&UPGRADE, "websocket") {
        return Err(bad("this is a WebSocket; ask with Upgrade: websocket"));
    }
    if !has(&SEC_WEBSOCKET_VERSION, "13") {
        return Err(bad("the WebSocket's version is not 13"));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or_else(|| bad("no Sec-WebSocket-Key"))?;
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    let mut answer = HeaderMap::new();
    answer.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(SEC_WEBSOCKET_ACCEPT, accept.expect("base64 can be in a header"));
    if has(&SEC_WEBSOCKET_PROTOCOL, PROTOCOL) {
        answer.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    Ok(answer)
}

fn bad(detail: &str) -> Reply {
    Reply::detail(StatusCode::BAD_REQUEST, detail)
}

impl AdmittedSocket {
    /// Serves the client, on the connection that is its own now; `read` came already.
    pub(super) async fn serve(self, io: impl AsyncRead + AsyncWrite + Unpin, read: &[u8]) {
        let config = WebSocketConfig::default()
            .max_message_size(Some(self.message_bytes_max))
            .max_frame_size(Some(self.message_bytes_max));
        let read = read.to_vec();
        let io = WebSocketStream::from_partially_read(io, read, Role::Server, Some(config)).await;
        let client = self.backend.client(&self.plugin).map(Arc::from);
        Socket { io, admitted: self, client }.serve().await;
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Socket<T> {
    async fn serve(mut self) {
        let end = match self.say(self.connected()).await {
            Ok(()) => self.converse().await,
            Err(end) => end,
        };
        let (code, reason) = match end {
            End::Gone => (CloseCode::Normal, ""),
            End::Idle => (CloseCode::Policy, "no message for too long"),
            End::Stopping => (CloseCode::Away, "the server stops"),
        };
        let close = CloseFrame { code, reason: reason.into() };
        let _ = timeout(self.admitted.patience, self.io.close(Some(close))).await;
        // The end of its session may take as long as the plugin's code does.
        let client = self.client.take();
        drop(spawn_blocking(move || drop(client)));
    }

    async fn converse(&mut self) -> End {
        let mut beat = interval(self.admitted.heartbeat);
        let mut work: Option<(Work, Value)> = None;
        let mut next: Option<SentFrame> = None;
        let mut idle_at = time::Instant::now() + IDLE_MAX;
        loop {
            if work.is_none()
                && let Some(frame) = next.take()
            {
                let id = frame.frame_id.clone();
                work = Some((self.look(frame), id));
            }
            let done = async {
                match &mut work {
                    Some((work, _)) => work.await,
                    None => pending().await,
                }
            };
            let mut stopping = self.admitted.stop.clone();
            let stopped = async { drop(stopping.wait_for(|stop| *stop).await) };
            let said = tokio::select! {
                message = self.io.next() => match message {
                    Some(Ok(message)) => self.heard(message).await,
                    Some(Err(tungstenite::Error::Capacity(error))) => {
                        let _ = self.say(failure(&error.to_string(), &Value::Null)).await;
                        Err(End::Gone)
                    }
                    Some(Err(_)) | None => Err(End::Gone),
                },
                text = done => {
                    let id = work.take().map(|(_, id)| id).unwrap_or_default();
                    let text = text.unwrap_or_else(|_| failure("Internal Server Error", &id));
                    self.say(text).await.map(|()| None)
                }
                _ = beat.tick() => self.send(Message::Ping(Default::default())).await.map(|()| None),
                () = sleep_until(idle_at) => Err(End::Idle),
                () = stopped => Err(End::Stopping),
            };
            match said {
                Err(end) => return end,
                Ok(None) => {}
                Ok(Some(frame)) => {
                    idle_at = time::Instant::now() + IDLE_MAX;
                    // The newest picture is looked at; whoever sends faster than that is told.
                    if let Some(passed) = next.replace(frame) {
                        let text = failure("passed over: a newer frame came", &passed.frame_id);
                        if let Err(end) = self.say(text).await {
                            return end;
                        }
                    }
                }
            }
        }
    }

    /// Answers what is answered at once; gives a frame back, which is not.
    async fn heard(&mut self, message: Message) -> Result<Option<SentFrame>, End> {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => return Err(End::Gone),
            Message::Binary(_) => {
                let text = failure("messages are JSON texts", &Value::Null);
                return self.say(text).await.map(|()| None);
            }
            _ => return Ok(None),
        };
        match serde_json::from_str(&text) {
            Ok(Said::Ping) => self.say(json!({ "type": "pong" }).to_string()).await?,
            Ok(Said::SwitchPlugin { plugin }) => {
                let text = match self.switch(&plugin) {
                    Ok(()) => self.connected(),
                    Err(error) => failure(&error, &Value::Null),
                };
                self.say(text).await?;
            }
            Ok(Said::Frame(frame)) => {
                if let Some(plugin) = &frame.plugin_id
                    && *plugin != self.admitted.plugin
                    && let Err(error) = self.switch(plugin)
                {
                    self.say(failure(&error, &frame.frame_id)).await?;
                    return Ok(None);
                }
                return Ok(Some(frame));
            }
            Err(error) => {
                let text = failure(&format!("not understood: {error}"), &Value::Null);
                self.say(text).await?;
            }
        }
        Ok(None)
    }

    fn switch(&mut self, plugin: &str) -> Result<(), String> {
        let client = self
            .admitted
            .backend
            .client(plugin)
            .ok_or_else(|| format!("Plugin '{plugin}' not found"))?;
        self.admitted.plugin = plugin.to_owned();
        let before = self.client.replace(Arc::from(client));
        drop(spawn_blocking(move || drop(before)));
        Ok(())
    }

    /// Has a frame looked at, on a thread that may wait.
    fn look(&self, frame: SentFrame) -> Work {
        let (backend, plugin) = (self.admitted.backend.clone(), self.admitted.plugin.clone());
        let client = self.client.clone();
        spawn_blocking(move || {
            let id = frame.frame_id.clone();
            look(&*backend, client.as_deref(), &plugin, frame)
                .unwrap_or_else(|error| failure(&error.detail(), &id))
        })
    }

    fn connected(&self) -> String {
        let payload = json!({ "client_id": self.admitted.id, "plugin": self.admitted.plugin });
        json!({ "type": "connected", "payload": payload }).to_string()
    }

    async fn say(&mut self, text: String) -> Result<(), End> {
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(self.admitted.patience, self.io.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Gone),
        }
    }
}

/// Runs the tools that the frame asks for, else the one that a stream runs.
fn look(
    backend: &dyn Backend,
    client: Option<&dyn ToolClient>,
    plugin: &str,
    frame: SentFrame,
) -> Result<String, ToolError> {
    let begun = Instant::now();
    let unknown = || ToolError::UnknownPlugin { plugin: plugin.to_owned() };
    let client = client.ok_or_else(unknown)?;
    let report = backend.plugin(plugin).ok_or_else(unknown)?;
    let manifest = report.manifest.as_deref();
    let usual = manifest.and_then(|manifest| {
        manifest.stream_tool.clone().or_else(|| Some(manifest.tools.first()?.id.clone()))
    });
    let tools = frame.tools.unwrap_or_else(|| usual.into_iter().collect());
    if tools.len() > TOOLS_MAX {
        let reason = format!("at most {TOOLS_MAX} tools run on a frame");
        return Err(ToolError::BadArguments { reason });
    }
    for tool in &tools {
        plugins_api::check_callable(backend, plugin, tool)?;
    }
    let picture = plugins_api::picture(frame.image_data)?;
    let mut results = Map::new();
    for tool in &tools {
        let call = ToolCall {
            tool: tool.clone(),
            args: json!({}),
            frame: Some(picture.clone()),
            session: None,
        };
        let outcome = client.run_tool(call)?;
        let result = serde_json::to_value(ResultItem(&outcome.response));
        results.insert(tool.clone(), result.unwrap_or_default());
    }
    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let payload = json!({
        "frame_id": frame.frame_id,
        "plugin": plugin,
        "result": { "tools": results, "tool_order": tools },
        "processing_time_ms": took,
    });
    Ok(json!({ "type": "result", "payload": payload }).to_string())
}

fn failure(message: &str, frame_id: &Value) -> String {
    let payload = json!({ "error": message });
    json!({ "type": "error", "message": message, "frame_id": frame_id, "payload": payload })
        .to_string()
}

/// What a client offers and the server selects.
const PROTOCOL: &str = "keepsight";
/// Without a frame. A ping of the client's own is no sign that it needs its session.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Tools that run on one frame.
const TOOLS_MAX: usize = 8;
