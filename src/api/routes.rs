//! The one list of paths:
//!
//! ```text
//! GET  (those of health::HealthRoute)
//! GET  /v1/plugins/{name}/manifest                what the plugin is and does
//! POST /v1/plugins/{name}/tools/{tool}/run        one call
//! POST /v1/plugins/{name}/reload                  build it anew
//! GET  /metrics                                   every number, for Prometheus
//! GET  /v1/inspector/plugins                      every plugin, looked into
//! GET  /v1/inspector/plugins/{name}               one plugin, with its faults' backtraces
//! GET  /v1/inspector/host                         the process and its machine
//! GET  /v1/events[?plugin=][&stream=]             what happens, as server-sent events
//! GET  /v1/streams                                every stream
//! GET  /v1/streams/{name}                         one stream
//! GET  /v1/streams/{name}/tracks[?plugin=]        its newest tracks
//! GET  /v1/streams/{name}/snapshot.jpg[?overlay=0][&plugin=]   its newest picture
//! ```

use hyper::Method;

use super::event_log::EventFilter;
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
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Any page may read it, without a key.
    Public,
    /// Our own pages and tools may read it, without a key.
    Probe,
    /// Any page may ask it that has the key; without a key set, our own pages and tools.
    Change,
    /// Our own pages and tools may read it, with the key where one is set.
    Private,
}

impl Route {
    pub(super) fn of(target: &Target) -> Option<Self> {
        if let Some(route) = HealthRoute::of(target) {
            return Some(Self::Health(route));
        }
        let plugin_asked = || target.query("plugin").map(str::to_owned);
        match target.segments()[..] {
            ["v1", "plugins", name, "manifest"] => Some(Self::Manifest { plugin: name.to_owned() }),
            ["v1", "plugins", name, "tools", tool, "run"] => {
                Some(Self::Run { plugin: name.to_owned(), tool: tool.to_owned() })
            }
            ["v1", "plugins", name, "reload"] => Some(Self::Reload { plugin: name.to_owned() }),
            ["metrics"] => Some(Self::Metrics),
            ["v1", "inspector", "plugins"] => Some(Self::InspectPlugins),
            ["v1", "inspector", "plugins", name] if !name.is_empty() => {
                Some(Self::InspectPlugin { plugin: name.to_owned() })
            }
            ["v1", "inspector", "host"] => Some(Self::InspectHost),
            ["v1", "events"] => Some(Self::Events(EventFilter {
                plugin: plugin_asked(),
                stream: target.query("stream").map(str::to_owned),
            })),
            ["v1", "streams"] => Some(Self::Streams),
            // `/v1/streams/` is another path, and no stream has an empty name.
            ["v1", "streams", name] if !name.is_empty() => {
                Some(Self::Stream { stream: name.to_owned() })
            }
            ["v1", "streams", name, "tracks"] => {
                Some(Self::Tracks { stream: name.to_owned(), plugin: plugin_asked() })
            }
            ["v1", "streams", name, "snapshot.jpg"] => Some(Self::Snapshot {
                stream: name.to_owned(),
                plugin: plugin_asked(),
                overlay: !matches!(target.query("overlay"), Some("0" | "false")),
            }),
            _ => None,
        }
    }

    /// The method it takes.
    pub(super) fn method(&self) -> Method {
        match self {
            Self::Run { .. } | Self::Reload { .. } => Method::POST,
            _ => Method::GET,
        }
    }

    /// What `Allow` says to another method.
    pub(super) fn allow(&self) -> &'static str {
        if self.method() == Method::POST { "POST, OPTIONS" } else { "GET, OPTIONS" }
    }

    pub(super) fn access(&self) -> Access {
        match self {
            Self::Health(HealthRoute::Livez | HealthRoute::Readyz { .. }) => Access::Probe,
            Self::Health(_) | Self::Manifest { .. } => Access::Public,
            Self::Run { .. } | Self::Reload { .. } => Access::Change,
            Self::Metrics
            | Self::InspectPlugins
            | Self::InspectPlugin { .. }
            | Self::InspectHost
            | Self::Events(_)
            | Self::Streams
            | Self::Stream { .. }
            | Self::Tracks { .. }
            | Self::Snapshot { .. } => Access::Private,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, query: Option<&str>, expected: Option<(Route, Access)>) {
        let route = Route::of(&Target::parse(path, query).unwrap());
        assert_eq!(route.map(|route| (route.clone(), route.access())), expected, "{path}");
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
        let run = Route::Run { plugin: plugin(), tool: "t".into() };
        check("/v1/plugins/a/tools/t/run", None, Some((run, Access::Change)));
        let reload = Route::Reload { plugin: plugin() };
        check("/v1/plugins/a/reload", None, Some((reload, Access::Change)));

        check("/v1/streams", None, Some((Route::Streams, Access::Private)));
        let stream = Route::Stream { stream: "d".into() };
        check("/v1/streams/d", None, Some((stream, Access::Private)));
        let tracks = Route::Tracks { stream: "d".into(), plugin: Some("a".into()) };
        check("/v1/streams/d/tracks", Some("plugin=a"), Some((tracks, Access::Private)));
        for (query, overlay) in [(None, true), (Some("overlay=0"), false), (Some("overlay"), true)]
        {
            let snapshot = Route::Snapshot { stream: "d".into(), plugin: None, overlay };
            check("/v1/streams/d/snapshot.jpg", query, Some((snapshot, Access::Private)));
        }
    }

    #[test]
    fn everything_else_leads_nowhere() {
        for path in [
            "/",
            "/v1",
            "/v1/",
            "/v1/plugins/a",
            "/v1/plugins/a/",
            "/v1/plugins/a/health/",
            "/v1/plugins//",
            "/v1/plugins/a/tools/t",
            "/v1/streams/",
            "/v2/plugins",
            "/livez/",
        ] {
            check(path, None, None);
        }
    }
}
