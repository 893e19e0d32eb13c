//! The one list of paths: what is not here cannot be asked for, and what is, is in
//! `/openapi.json`.
//!
//! ```text
//! GET    /v1/plugins                              every plugin, a flat list
//! GET    /v1/plugins/                             the same with totals
//! GET    /v1/plugins/{name}/health                one plugin and more of it
//! GET    /v1/plugins/{name}/manifest              what the plugin is and does
//! POST   /v1/plugins/{name}/tools/{tool}/run      one call
//! POST   /v1/plugins/{name}/reload                build it anew
//! GET    /v1/health                               the whole in a word
//! GET    /livez                                   can the process be left running
//! GET    /readyz[?verbose][&exclude=]             is everything critical there
//! GET    /metrics                                 every number, for Prometheus
//! GET    /v1/inspector/plugins                    every plugin, looked into
//! GET    /v1/inspector/plugins/{name}             one plugin, with its faults' backtraces
//! GET    /v1/inspector/host                       the process and its machine
//! GET    /v1/events[?plugin=][&stream=]           what happens, as server-sent events
//! GET    /v1/streams                              every stream
//! GET    /v1/streams/{name}                       one stream
//! GET    /v1/streams/{name}/tracks[?plugin=]      its newest tracks
//! GET    /v1/streams/{name}/snapshot.jpg[?overlay=0][&plugin=]   its newest picture
//! GET    /v1/streams/{name}/video.mjpeg[?overlay=0][&plugin=]    live pictures
//! GET    /v1/stream[?plugin=]                     a WebSocket for a client's own pictures
//! POST   /v1/session                              a cookie for the key
//! DELETE /v1/session                              the cookie's end
//! GET    /openapi.json                            this list
//! GET    /                                        the web page
//! GET    /app.js                                  its program
//! GET    /app.css                                 its looks
//! GET    /icon.svg                                its sign
//! ```

use std::sync::LazyLock;

use hyper::Method;

use super::{
    event_log::EventFilter,
    schemas::AnswerSchema::{self, Many, One},
};
use crate::health::{HealthRoute, Target};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Health(HealthRoute),
    Manifest { plugin: String },
    Run { plugin: String, tool: String },
    Reload { plugin: String },
    Metrics,
    InspectPlugins,
    InspectPlugin { plugin: String },
    InspectHost,
    Events(EventFilter),
    Streams,
    Stream { stream: String },
    Tracks { stream: String, plugin: Option<String> },
    Snapshot { stream: String, plugin: Option<String>, overlay: bool },
    Video { stream: String, plugin: Option<String>, overlay: bool },
    Socket { plugin: Option<String> },
    Page { path: &'static str },
    BeginSession,
    EndSession,
    OpenApi,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Any page may read it, without a key.
    Public,
    /// Our own pages and tools may ask it, without a key.
    Probe,
    /// Any page may ask it that has the key; without a key set, our own pages and tools.
    Change,
    /// As [`Access::Change`], and the key may come as a WebSocket's protocol.
    Socket,
    /// Our own pages and tools may read it, with the key where one is set.
    Private,
}

/// One line of the list.
pub(super) struct Endpoint {
    pub(super) method: Method,
    /// With `{names}` for parts that differ.
    pub(super) path: &'static str,
    pub(super) access: Access,
    pub(super) summary: &'static str,
    /// Parameters of the query, each with what it does.
    pub(super) query: &'static [(&'static str, &'static str)],
    pub(super) body: Option<BodyKind>,
    /// The status of success and the media type of its body.
    pub(super) success: (u16, &'static str),
    /// What that body looks like.
    pub(super) answer: AnswerSchema,
    /// Statuses beside those that any request may have.
    pub(super) errors: &'static [u16],
    /// The route, of the path's parts that differ and the whole target.
    make: fn(&[String], &Target) -> Route,
}

impl Endpoint {
    /// Every status that is its own; any request may have others besides.
    pub(super) fn statuses(&self) -> impl Iterator<Item = u16> {
        let of_access: &[u16] = match self.access {
            Access::Public => &[],
            Access::Probe => &[403],
            Access::Change | Access::Socket => &[401, 429],
            Access::Private => &[401, 403, 429],
        };
        [self.success.0].into_iter().chain(self.errors.iter().chain(of_access).copied())
    }
}

/// What a body has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    /// `{"args": {…}}`.
    Args,
    /// `{"key": "…"}`.
    Key,
}

/// A path of the list, as a target has it.
pub(super) struct Path {
    listed: &'static ListedPath,
    parts: Vec<String>,
}

/// A path of the list with everything that can be asked of it.
struct ListedPath {
    /// With `{names}` for those that differ.
    segments: Vec<&'static str>,
    endpoints: Vec<&'static Endpoint>,
}

impl Path {
    /// The path that `target` has, if it is in the list.
    pub(super) fn of(target: &Target) -> Option<Self> {
        let segments = target.segments();
        let listed = PATHS.iter().find(|listed| listed.fits(segments))?;
        let parts = listed.segments.iter().zip(segments).filter(|(part, _)| is_name(part));
        let parts = parts.map(|(_, segment)| segment.clone());
        Some(Self { listed, parts: parts.collect() })
    }

    /// What the path does by `method`.
    pub(super) fn endpoint(&self, method: &Method) -> Option<&'static Endpoint> {
        self.listed.endpoints.iter().find(|endpoint| endpoint.method == *method).copied()
    }

    /// The route by one of the path's endpoints.
    pub(super) fn route(&self, endpoint: &Endpoint, target: &Target) -> Route {
        (endpoint.make)(&self.parts, target)
    }

    /// Who may read what is there; one path has one answer to that.
    pub(super) fn access(&self) -> Access {
        self.listed.endpoints[0].access
    }

    /// What `Allow` says to another method.
    pub(super) fn allow(&self) -> String {
        let methods = self.listed.endpoints.iter().map(|endpoint| endpoint.method.as_str());
        methods.chain(["OPTIONS"]).collect::<Vec<_>>().join(", ")
    }
}

impl ListedPath {
    /// Whether `segments` are its own, with anything but nothing for its names.
    fn fits(&self, segments: &[String]) -> bool {
        let same = |(part, segment): (&&str, &String)| {
            if is_name(part) { !segment.is_empty() } else { *part == segment }
        };
        self.segments.len() == segments.len() && self.segments.iter().zip(segments).all(same)
    }
}

/// The list by path: taking it apart for each request would cost more than all the rest.
static PATHS: LazyLock<Vec<ListedPath>> = LazyLock::new(|| {
    let mut paths: Vec<ListedPath> = Vec::new();
    for endpoint in &ENDPOINTS {
        let segments: Vec<_> = endpoint.path[1..].split('/').collect();
        match paths.iter_mut().find(|path| path.segments == segments) {
            Some(path) => path.endpoints.push(endpoint),
            None => paths.push(ListedPath { segments, endpoints: vec![endpoint] }),
        }
    }
    paths
});

fn is_name(part: &str) -> bool {
    part.starts_with('{')
}

const JSON: &str = "application/json";

/// A `GET` that answers 200 with JSON; others say in what they differ.
const GET: Endpoint = Endpoint {
    method: Method::GET,
    path: "/",
    access: Access::Public,
    summary: "",
    query: &[],
    body: None,
    success: (200, JSON),
    answer: AnswerSchema::Any,
    errors: &[],
    make: |_, _| Route::OpenApi,
};

const OF_PLUGIN: (&str, &str) = ("plugin", "only of the plugin of that name");

/// The list.
pub(super) static ENDPOINTS: [Endpoint; 27] = [
    Endpoint {
        path: "/v1/plugins",
        summary: "every plugin of every state, sorted by name",
        answer: Many("PluginItem"),
        make: |_, _| Route::Health(HealthRoute::Plugins),
        ..GET
    },
    Endpoint {
        path: "/v1/plugins/",
        summary: "every plugin, with how many there are of which sort",
        answer: One("PluginsSummary"),
        make: |_, _| Route::Health(HealthRoute::PluginsSummary),
        ..GET
    },
    Endpoint {
        path: "/v1/plugins/{name}/health",
        summary: "one plugin, with what to do about it",
        answer: One("PluginHealth"),
        errors: &[404],
        make: |parts, _| Route::Health(HealthRoute::Plugin(parts[0].clone())),
        ..GET
    },
    Endpoint {
        path: "/v1/plugins/{name}/manifest",
        summary: "what the plugin is and what can be asked of it",
        answer: One("Manifest"),
        errors: &[404],
        make: |parts, _| Route::Manifest { plugin: parts[0].clone() },
        ..GET
    },
    Endpoint {
        method: Method::POST,
        path: "/v1/plugins/{name}/tools/{tool}/run",
        access: Access::Change,
        summary: "runs a tool and answers with its result",
        answer: One("ToolResult"),
        body: Some(BodyKind::Args),
        errors: &[400, 408, 413, 422, 500, 503],
        make: |parts, _| Route::Run { plugin: parts[0].clone(), tool: parts[1].clone() },
        ..GET
    },
    Endpoint {
        method: Method::POST,
        path: "/v1/plugins/{name}/reload",
        access: Access::Change,
        summary: "builds the plugin anew and answers once it is initialised",
        answer: One("Reloaded"),
        errors: &[404, 409, 503],
        make: |parts, _| Route::Reload { plugin: parts[0].clone() },
        ..GET
    },
    Endpoint {
        path: "/v1/health",
        summary: "the whole in a word",
        answer: One("Health"),
        make: |_, _| Route::Health(HealthRoute::Health),
        ..GET
    },
    Endpoint {
        path: "/livez",
        access: Access::Probe,
        summary: "whether the process can be left running",
        answer: One("Alive"),
        errors: &[503],
        make: |_, _| Route::Health(HealthRoute::Livez),
        ..GET
    },
    Endpoint {
        path: "/readyz",
        access: Access::Probe,
        summary: "whether everything critical is there",
        answer: One("Ready"),
        query: &[
            ("verbose", "lists what is ready too"),
            ("exclude", "a name that doesn't count; may be given several times"),
        ],
        errors: &[503],
        make: |_, target| {
            Route::Health(HealthRoute::Readyz {
                verbose: target.query("verbose").is_some(),
                exclude: target.query_all("exclude").map(str::to_owned).collect(),
            })
        },
        ..GET
    },
    Endpoint {
        path: "/metrics",
        access: Access::Private,
        summary: "every number, in Prometheus's text format",
        success: (200, "text/plain"),
        make: |_, _| Route::Metrics,
        ..GET
    },
    Endpoint {
        path: "/v1/inspector/plugins",
        access: Access::Private,
        summary: "every plugin, looked into",
        answer: Many("Inspection"),
        make: |_, _| Route::InspectPlugins,
        ..GET
    },
    Endpoint {
        path: "/v1/inspector/plugins/{name}",
        access: Access::Private,
        summary: "one plugin, looked into, with its faults' backtraces",
        answer: One("Inspection"),
        errors: &[404, 503],
        make: |parts, _| Route::InspectPlugin { plugin: parts[0].clone() },
        ..GET
    },
    Endpoint {
        path: "/v1/inspector/host",
        access: Access::Private,
        summary: "the process and the machine that it runs on",
        answer: One("Host"),
        errors: &[503],
        make: |_, _| Route::InspectHost,
        ..GET
    },
    Endpoint {
        path: "/v1/events",
        access: Access::Private,
        summary: "what happens, as server-sent events; Last-Event-ID resumes",
        query: &[OF_PLUGIN, ("stream", "only of the stream of that name")],
        success: (200, "text/event-stream"),
        errors: &[503],
        make: |_, target| {
            Route::Events(EventFilter {
                plugin: plugin_asked(target),
                stream: target.query("stream").map(str::to_owned),
            })
        },
        ..GET
    },
    Endpoint {
        path: "/v1/streams",
        access: Access::Private,
        summary: "every stream, sorted by name",
        answer: Many("Stream"),
        make: |_, _| Route::Streams,
        ..GET
    },
    Endpoint {
        path: "/v1/streams/{name}",
        access: Access::Private,
        summary: "one stream",
        answer: One("Stream"),
        errors: &[404],
        make: |parts, _| Route::Stream { stream: parts[0].clone() },
        ..GET
    },
    Endpoint {
        path: "/v1/streams/{name}/tracks",
        access: Access::Private,
        summary: "the stream's newest tracks",
        answer: One("StreamTracks"),
        query: &[OF_PLUGIN],
        errors: &[404, 503],
        make: |parts, target| Route::Tracks {
            stream: parts[0].clone(),
            plugin: plugin_asked(target),
        },
        ..GET
    },
    Endpoint {
        path: "/v1/streams/{name}/snapshot.jpg",
        access: Access::Private,
        summary: "the stream's newest picture, with its tracks drawn on it",
        query: &[OF_PLUGIN, ("overlay", "0 draws nothing")],
        success: (200, "image/jpeg"),
        errors: &[404, 500, 503],
        make: |parts, target| Route::Snapshot {
            stream: parts[0].clone(),
            plugin: plugin_asked(target),
            overlay: overlay_asked(target),
        },
        ..GET
    },
    Endpoint {
        path: "/v1/streams/{name}/video.mjpeg",
        access: Access::Private,
        summary: "the stream's live pictures, with their tracks drawn on them",
        query: &[OF_PLUGIN, ("overlay", "0 draws nothing")],
        success: (200, "multipart/x-mixed-replace"),
        errors: &[404, 503],
        make: |parts, target| Route::Video {
            stream: parts[0].clone(),
            plugin: plugin_asked(target),
            overlay: overlay_asked(target),
        },
        ..GET
    },
    Endpoint {
        path: "/v1/stream",
        access: Access::Socket,
        summary: "a WebSocket: pictures that the client sends are looked at as they come",
        query: &[("plugin", "which plugin looks at them")],
        success: (101, ""),
        errors: &[400, 404, 503],
        make: |_, target| Route::Socket { plugin: plugin_asked(target) },
        ..GET
    },
    Endpoint {
        method: Method::POST,
        path: "/v1/session",
        access: Access::Probe,
        summary: "exchanges the key for a cookie",
        body: Some(BodyKind::Key),
        success: (204, ""),
        errors: &[401, 413, 422, 429],
        make: |_, _| Route::BeginSession,
        ..GET
    },
    Endpoint {
        method: Method::DELETE,
        path: "/v1/session",
        access: Access::Probe,
        summary: "ends the session of the cookie and clears it",
        success: (204, ""),
        make: |_, _| Route::EndSession,
        ..GET
    },
    Endpoint {
        path: "/openapi.json",
        access: Access::Private,
        summary: "this description",
        make: |_, _| Route::OpenApi,
        ..GET
    },
    Endpoint { summary: "the web page", success: (200, "text/html"), ..PAGE },
    Endpoint {
        path: "/app.js",
        summary: "the page's program",
        success: (200, "text/javascript"),
        make: |_, _| Route::Page { path: "/app.js" },
        ..PAGE
    },
    Endpoint {
        path: "/app.css",
        summary: "how the page looks",
        success: (200, "text/css"),
        make: |_, _| Route::Page { path: "/app.css" },
        ..PAGE
    },
    Endpoint {
        path: "/icon.svg",
        summary: "the page's sign",
        success: (200, "image/svg+xml"),
        make: |_, _| Route::Page { path: "/icon.svg" },
        ..PAGE
    },
];

/// A file of the page, which a build may lack; others say in what they differ.
const PAGE: Endpoint = Endpoint {
    access: Access::Probe,
    errors: &[304, 404],
    make: |_, _| Route::Page { path: "/" },
    ..GET
};

fn overlay_asked(target: &Target) -> bool {
    !matches!(target.query("overlay"), Some("0" | "false"))
}

fn plugin_asked(target: &Target) -> Option<String> {
    target.query("plugin").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, query: Option<&str>, expected: Option<(Route, Access)>) {
        check_by(&Method::GET, path, query, expected);
    }

    #[track_caller]
    fn check_by(
        method: &Method,
        path: &str,
        query: Option<&str>,
        expected: Option<(Route, Access)>,
    ) {
        let target = Target::parse(path, query).unwrap();
        let found = Path::of(&target).and_then(|found| {
            let endpoint = found.endpoint(method)?;
            Some((found.route(endpoint, &target), endpoint.access))
        });
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn paths_lead_where_they_should() {
        let health = |route| Some((Route::Health(route), Access::Public));
        check("/v1/plugins", None, health(HealthRoute::Plugins));
        check("/v1/plugins/", None, health(HealthRoute::PluginsSummary));
        check("/v1/plugins/a/health", None, health(HealthRoute::Plugin("a".into())));
        check("/v1/health", None, health(HealthRoute::Health));
        check("/livez", None, Some((Route::Health(HealthRoute::Livez), Access::Probe)));
        let readyz = HealthRoute::Readyz { verbose: true, exclude: vec!["a".into(), "b".into()] };
        let query = Some("verbose&exclude=a&exclude=b");
        check("/readyz", query, Some((Route::Health(readyz), Access::Probe)));

        let plugin = || "a".to_owned();
        let manifest = Route::Manifest { plugin: plugin() };
        check("/v1/plugins/a/manifest", None, Some((manifest, Access::Public)));
        let run = Some((Route::Run { plugin: plugin(), tool: "t".into() }, Access::Change));
        check_by(&Method::POST, "/v1/plugins/a/tools/t/run", None, run);
        let reload = Some((Route::Reload { plugin: plugin() }, Access::Change));
        check_by(&Method::POST, "/v1/plugins/a/reload", None, reload);

        let private = |route| Some((route, Access::Private));
        check("/metrics", None, private(Route::Metrics));
        check("/v1/inspector/plugins", None, private(Route::InspectPlugins));
        let inspect = Route::InspectPlugin { plugin: plugin() };
        check("/v1/inspector/plugins/a", None, private(inspect));
        check("/v1/inspector/host", None, private(Route::InspectHost));
        let filter = EventFilter { plugin: Some("a".into()), stream: None };
        check("/v1/events", Some("plugin=a"), private(Route::Events(filter)));

        check("/v1/streams", None, private(Route::Streams));
        check("/v1/streams/d", None, private(Route::Stream { stream: "d".into() }));
        let tracks = Route::Tracks { stream: "d".into(), plugin: Some("a".into()) };
        check("/v1/streams/d/tracks", Some("plugin=a"), private(tracks));
        for (query, overlay) in [(None, true), (Some("overlay=0"), false), (Some("overlay"), true)]
        {
            let snapshot = Route::Snapshot { stream: "d".into(), plugin: None, overlay };
            check("/v1/streams/d/snapshot.jpg", query, private(snapshot));
        }

        let session = "/v1/session";
        check_by(&Method::POST, session, None, Some((Route::BeginSession, Access::Probe)));
        check_by(&Method::DELETE, session, None, Some((Route::EndSession, Access::Probe)));
        check("/openapi.json", None, private(Route::OpenApi));
    }

    #[test]
    fn everything_else_leads_nowhere() {
        for path in [
            "/x",
            "/v1",
            "/v1/",
            "/v1/plugins/a",
            "/v1/plugins/a/",
            "/v1/plugins/a/health/",
            "/v1/plugins//",
            "/v1/plugins//health",
            "/v1/plugins/a/tools/t",
            "/v1/streams/",
            "/v1/inspector/plugins/",
            "/v2/plugins",
            "/livez/",
            "/{name}",
        ] {
            assert!(Path::of(&Target::parse(path, None).unwrap()).is_none(), "{path}");
        }
    }

    #[test]
    fn a_path_names_its_methods_and_has_one_access() {
        let path = |path: &str| Path::of(&Target::parse(path, None).unwrap()).unwrap();
        assert_eq!(path("/livez").allow(), "GET, OPTIONS");
        assert_eq!(path("/v1/session").allow(), "POST, DELETE, OPTIONS");
        assert!(path("/livez").endpoint(&Method::POST).is_none());
        for endpoint in &ENDPOINTS {
            let found = path(endpoint.path);
            assert!(std::ptr::eq(found.endpoint(&endpoint.method).unwrap(), endpoint));
            assert_eq!(found.access(), endpoint.access, "{}", endpoint.path);
        }
    }
}
