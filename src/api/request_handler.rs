use std::{
    error::Error,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Body, Bytes},
    header::{
        ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderName,
        HeaderValue, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE,
    },
    http::request::Parts,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::spawn_blocking,
    time::timeout,
};

use super::{
    Backend,
    answer_body::{AnswerBody, Lasting},
    events_api::Subscribers,
    guard::Guard,
    inspector_api, metrics_api, openapi,
    page::{self, PageFile},
    plugins_api,
    plugins_list::PluginsList,
    routes::{Access, Path, Route},
    session_api,
    snapshots::Snapshots,
    status_table::SOON,
    stream_socket::{AdmittedSocket, Sockets},
    streams_api,
    video_api::Viewers,
};
use crate::{
    config::{ServerConfig, ServerLimits},
    health::{HealthRoute, Reply, Target},
};

/// What turns requests into answers, shared by all connections of a server.
pub(super) struct RequestHandler {
    backend: Arc<dyn Backend>,
    guard: Guard,
    limits: ServerLimits,
    snapshots: Arc<Snapshots>,
    subscribers: Subscribers,
    viewers: Viewers,
    sockets: Sockets,
    plugins_list: PluginsList,
    /// One permit for each thread that may wait.
    calls: Arc<Semaphore>,
    /// The same for looking into things, which calls that hang must not keep anybody from.
    inspections: Arc<Semaphore>,
}

/// A request's body: a connection's, or one that is there already.
pub(super) trait RequestBody:
    Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin
{
}

impl<B> RequestBody for B where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin
{
}

/// A request without its body.
#[derive(Clone, Copy)]
struct Asked<'a> {
    parts: &'a Parts,
    peer: Option<IpAddr>,
    /// When the answer must begin.
    until: Instant,
}

/// What a request is answered with.
enum Answer {
    Whole(Reply),
    Lasting(Lasting),
    Page(&'static PageFile),
    /// The connection is handed over.
    Socket(HeaderMap, AdmittedSocket),
}

impl RequestHandler {
    /// A handler that ends what goes on without end once `stop` turns true.
    pub(super) fn new(
        config: &ServerConfig,
        backend: Arc<dyn Backend>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let (limits, snapshots) = (&config.limits, Arc::new(Snapshots::default()));
        let (events, results) = (backend.events(), backend.results());
        Self {
            subscribers: Subscribers::new(events, results, limits, stop.clone()),
            viewers: Viewers::new(backend.clone(), snapshots.clone(), limits, stop.clone()),
            sockets: Sockets::new(backend.clone(), limits, stop),
            snapshots,
            backend,
            guard: Guard::new(config),
            limits: config.limits.clone(),
            plugins_list: PluginsList::default(),
            calls: Arc::new(Semaphore::new(config.limits.calls)),
            inspections: Arc::new(Semaphore::new(INSPECTIONS_MAX)),
        }
    }

    pub(super) fn limits(&self) -> &ServerLimits {
        &self.limits
    }

    /// What is answered with `status`, as it goes over the wire, to what cannot be read as a
    /// request.
    pub(super) fn unreadable(&self, status: StatusCode) -> Bytes {
        let ServerLimits { header_bytes, headers, header_time, .. } = &self.limits;
        let detail = match status {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
                format!("the request's head has more than {header_bytes} bytes or {headers} lines")
            }
            StatusCode::URI_TOO_LONG => "the request's target is too long".to_owned(),
            StatusCode::REQUEST_TIMEOUT => {
                format!("the request's head did not come within {header_time:?}")
            }
            _ => "that is no request of HTTP/1.1".to_owned(),
        };
        self.last_words(Reply::detail(status, detail))
    }

    /// The same to whoever comes while all connections are taken.
    pub(super) fn no_room(&self) -> Bytes {
        let detail = "as many connections as allowed are open";
        let reply = Reply::detail(StatusCode::SERVICE_UNAVAILABLE, detail);
        self.last_words(reply.retry_after(Some(SOON)))
    }

    /// An answer by itself, after which its connection is closed. Who asked is not known.
    fn last_words(&self, reply: Reply) -> Bytes {
        let (status, body) = (reply.status, reply.body.clone());
        let mut response = response(reply);
        let headers = response.headers_mut();
        self.guard.answer_headers(Access::Public, &HeaderMap::new(), headers);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
        for (name, value) in headers.iter() {
            bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        bytes.extend([b"\r\n", &body[..]].concat());
        bytes.into()
    }

    /// The answer to one request of `peer`.
    pub(super) async fn handle(
        self: Arc<Self>,
        request: Request<impl RequestBody>,
        peer: Option<IpAddr>,
    ) -> Response<AnswerBody> {
        let begun = Instant::now();
        let (parts, mut body) = request.into_parts();
        let target = Target::parse(parts.uri.path(), parts.uri.query());
        let path = target.as_ref().and_then(Path::of);
        let access = path.as_ref().map_or(Access::Public, Path::access);
        let asked = Asked { parts: &parts, peer, until: begun + self.limits.request_time };
        let answer = match self.admit(&asked, target.as_ref().zip(path.as_ref())) {
            Ok(route) => self.dispatch(&asked, &mut body, route).await,
            Err(reply) => Answer::Whole(reply),
        };
        let whole = body.is_end_stream() || self.discard(&parts.headers, body).await;

        let (method, path) = (&parts.method, parts.uri.path());
        let mut response = match answer {
            Answer::Whole(reply) => response(reply),
            Answer::Lasting(body) => lasting_response(body),
            Answer::Page(file) => page::response(file, &parts.headers),
            Answer::Socket(headers, socket) => socket_response(headers, socket),
        };
        let status = response.status().as_u16();
        tracing::trace!(%method, path, status, took = ?begun.elapsed(), "answered a request");

        let headers = response.headers_mut();
        self.guard.answer_headers(access, &parts.headers, headers);
        if parts.method == Method::OPTIONS {
            self.guard.preflight_headers(&parts.headers, headers);
        }
        if !whole {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The route, if whoever asks for it may.
    fn admit(&self, asked: &Asked<'_>, found: Option<(&Target, &Path)>) -> Result<Route, Reply> {
        let Asked { parts, peer, .. } = *asked;
        self.guard.check_host(parts.version, &parts.uri, &parts.headers)?;
        if parts.method == Method::OPTIONS {
            return Err(Reply::new(StatusCode::OK, "application/json", Bytes::new()));
        }
        let (target, path) = found.ok_or_else(Reply::not_found)?;
        let endpoint = path.endpoint(&parts.method).ok_or_else(|| {
            let mut reply = Reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            reply.allow = Some(path.allow());
            reply
        })?;
        self.guard.check_access(endpoint.access, &parts.headers, peer)?;
        Ok(path.route(endpoint, target))
    }

    async fn dispatch(
        self: &Arc<Self>,
        asked: &Asked<'_>,
        body: &mut impl RequestBody,
        route: Route,
    ) -> Answer {
        let Asked { parts, peer, until } = *asked;
        let backend = &*self.backend;
        let reply = match route {
            Route::Events(filter) => {
                let resume = parts.headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or(""));
                match self.subscribers.subscribe(filter, resume) {
                    Ok(events) => return Answer::Lasting(events),
                    Err(reply) => reply,
                }
            }
            Route::Video { stream, plugin, overlay } => {
                match self.viewers.look(&stream, plugin.as_deref(), overlay) {
                    Ok(video) => return Answer::Lasting(video),
                    Err(reply) => reply,
                }
            }
            Route::Socket { plugin } => match self.sockets.admit(&parts.headers, plugin) {
                Ok((headers, socket)) => return Answer::Socket(headers, socket),
                Err(reply) => reply,
            },
            Route::Page { path } => match backend.page().iter().find(|file| file.path == path) {
                Some(file) => return Answer::Page(file),
                None => page::without_page(),
            },
            Route::Health(HealthRoute::Plugins) => self.plugins_list.reply(backend, Instant::now()),
            Route::Health(route) => route.answer(backend),
            Route::Manifest { plugin } => plugins_api::manifest(backend, &plugin),
            Route::Metrics => {
                let sockets = self.sockets.count(&self.limits);
                metrics_api::metrics(backend, &self.subscribers, &self.viewers, sockets)
            }
            Route::InspectPlugins => inspector_api::plugins(backend),
            Route::InspectPlugin { plugin } => {
                // Looking up a backtrace's names takes tens of milliseconds.
                let late = StatusCode::SERVICE_UNAVAILABLE;
                self.hand_over(permit(&self.inspections), until, late, move |handler| {
                    inspector_api::plugin(&*handler.backend, &plugin)
                })
                .await
            }
            Route::InspectHost => {
                let late = StatusCode::SERVICE_UNAVAILABLE;
                self.hand_over(permit(&self.inspections), until, late, |handler| {
                    inspector_api::host(&*handler.backend)
                })
                .await
            }
            Route::BeginSession => match self.read(body, until, KEY_BODY_BYTES_MAX).await {
                Ok(body) => session_api::begin(&self.guard, &parts.headers, peer, &body),
                Err(reply) => reply,
            },
            Route::EndSession => session_api::end(&self.guard, &parts.headers),
            Route::OpenApi => openapi::openapi(),
            Route::Streams => streams_api::streams(backend),
            Route::Stream { stream } => streams_api::stream(backend, &stream),
            Route::Tracks { stream, plugin } => {
                streams_api::tracks(backend, &stream, plugin.as_deref())
            }
            Route::Snapshot { stream, plugin, overlay } => {
                let late = StatusCode::SERVICE_UNAVAILABLE;
                self.hand_over(permit(&self.calls), until, late, move |handler| {
                    let (backend, plugin) = (&*handler.backend, plugin.as_deref());
                    handler.snapshots.reply(backend, &stream, plugin, overlay)
                })
                .await
            }
            Route::Reload { plugin } => {
                let late = StatusCode::SERVICE_UNAVAILABLE;
                self.hand_over(permit(&self.calls), until, late, move |handler| {
                    plugins_api::reload(&*handler.backend, &plugin)
                })
                .await
            }
            Route::Run { plugin, tool } => {
                // The permit comes before the body, so that bodies in memory are as limited as
                // calls are.
                let permit = permit(&self.calls);
                match self.read(body, until, self.limits.body_bytes).await {
                    Err(reply) => reply,
                    Ok(body) => {
                        self.hand_over(permit, until, StatusCode::REQUEST_TIMEOUT, move |handler| {
                            plugins_api::run(&*handler.backend, &plugin, &tool, &body)
                        })
                        .await
                    }
                }
            }
        };
        Answer::Whole(reply)
    }

    /// Has `work` done on a thread that may wait, if there is a `permit` to. What comes late is
    /// answered `late`; its thread counts on until it returns.
    async fn hand_over(
        self: &Arc<Self>,
        permit: Option<OwnedSemaphorePermit>,
        until: Instant,
        late: StatusCode,
        work: impl FnOnce(&Self) -> Reply + Send + 'static,
    ) -> Reply {
        let Some(permit) = permit else {
            let detail = "as many calls as are allowed are under way; ask again later";
            return Reply::detail(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(Some(SOON));
        };
        let handler = self.clone();
        let task = spawn_blocking(move || {
            let reply = work(&handler);
            drop(permit);
            reply
        });
        match timeout(until.saturating_duration_since(Instant::now()), task).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => {
                tracing::error!(%error, "a request's work did not come to its end");
                Reply::detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
            Err(_) => {
                Reply::detail(late, format!("no answer within {:?}", self.limits.request_time))
            }
        }
    }

    /// The body, if it comes in time and is not too big.
    async fn read(
        &self,
        body: &mut impl RequestBody,
        until: Instant,
        limit: usize,
    ) -> Result<Bytes, Reply> {
        let time = self.limits.body_time.min(until.saturating_duration_since(Instant::now()));
        let too_big = || {
            let detail = format!("the body is longer than {limit} bytes");
            Reply::detail(StatusCode::PAYLOAD_TOO_LARGE, detail)
        };
        if body.size_hint().lower() > limit as u64 {
            return Err(too_big());
        }
        match timeout(time, Limited::new(body, limit).collect()).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_big()),
            Ok(Err(_)) => Err(Reply::detail(StatusCode::BAD_REQUEST, "the body broke off")),
            Err(_) => {
                let detail = format!("the body did not come within {time:?}");
                Err(Reply::detail(StatusCode::REQUEST_TIMEOUT, detail))
            }
        }
    }

    /// Reads over a body that nobody wants, so that the client is not cut off while it still
    /// writes and gets to see the answer; whether its end was reached.
    async fn discard(&self, headers: &HeaderMap, mut body: impl RequestBody) -> bool {
        if headers.contains_key(EXPECT) {
            // The client waits for leave to send it, and never gets that.
            return false;
        }
        let reading = async {
            let mut bytes = 0;
            loop {
                match body.frame().await {
                    None => return true,
                    Some(Err(_)) => return false,
                    Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, Bytes::len),
                }
                if bytes > DISCARD_BYTES_MAX {
                    return false;
                }
            }
        };
        timeout(DISCARD_TIME.min(self.limits.body_time), reading).await.unwrap_or(false)
    }
}

fn permit(of: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    of.clone().try_acquire_owned().ok()
}

fn response(reply: Reply) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::from(reply.body));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    if !reply.content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in [(ALLOW, reply.allow), (SET_COOKIE, reply.set_cookie)] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
    if let Some(time) = reply.retry_after {
        // Whole seconds, rounded up: an early visitor would be turned away once more.
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if reply.status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Says that the connection is handed over; who has it goes with the answer.
fn socket_response(headers: HeaderMap, socket: AdmittedSocket) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::from(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    response.extensions_mut().insert(socket);
    response
}

fn lasting_response(body: Lasting) -> Response<AnswerBody> {
    let content_type = HeaderValue::from_static(body.content_type());
    let mut response = Response::new(AnswerBody::Lasting(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy that gathers answers before it passes them on would pass on nothing.
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Inspections in work at a time.
pub(super) const INSPECTIONS_MAX: usize = 4;
/// Of a body that holds nothing but a key.
const KEY_BODY_BYTES_MAX: usize = 4096;
/// Of an unwanted body; enough for a picture sent by mistake.
const DISCARD_BYTES_MAX: usize = 64 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);
