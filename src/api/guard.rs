//! Who may ask for what, from a request's headers alone.
//!
//! - The `Host` must be `localhost`, an IP address (DNS rebinding needs a name) or one that the
//!   configuration allows.
//! - A page elsewhere may read the plugins' health, and anything else only if its origin is
//!   allowed; it may change something only with the key.
//! - Where a key is set, everything private and everything that changes something needs it.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hyper::{
    HeaderMap, StatusCode, Uri, Version,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_REQUEST_HEADERS, AUTHORIZATION, HOST, HeaderName, HeaderValue, ORIGIN,
        SEC_WEBSOCKET_PROTOCOL, VARY,
    },
};

use super::{key_tries::KeyTries, routes::Access, sessions::Sessions};
use crate::{config::ServerConfig, health::Reply};

/// The guard of one server.
pub(super) struct Guard {
    key: Option<String>,
    tries: KeyTries,
    sessions: Sessions,
    allowed_origins: Vec<String>,
    allowed_hosts: Vec<String>,
}

/// Where the page stands that sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// No page, or one of ours.
    Own,
    /// One elsewhere that the configuration names.
    Allowed,
    /// One elsewhere.
    Foreign,
}

impl Guard {
    pub(super) fn new(config: &ServerConfig) -> Self {
        Self {
            key: config.key.as_ref().map(|key| key.expose().to_owned()),
            tries: KeyTries::new(config.limits.wrong_keys),
            sessions: Sessions::default(),
            allowed_origins: config.allowed_origins.clone(),
            allowed_hosts: config.allowed_hosts.clone(),
        }
    }

    /// Whether the request is meant for this server by a name that it has.
    pub(super) fn check_host(
        &self,
        version: Version,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Reply> {
        let mut hosts = headers.get_all(HOST).iter();
        let header = hosts.next();
        if hosts.next().is_some() {
            return Err(Reply::detail(StatusCode::BAD_REQUEST, "more than one Host header"));
        }
        // A program that speaks HTTP/1.0 may leave it out; a browser, which this guards, does not.
        if header.is_none() && version == Version::HTTP_11 {
            return Err(Reply::detail(StatusCode::BAD_REQUEST, "no Host header"));
        }
        let header = header.map(|host| host.to_str().unwrap_or_default());
        let authority = uri.authority().map(|authority| authority.as_str());
        for host in header.into_iter().chain(authority) {
            if !self.is_own_host(host) {
                let detail = format!("Host {host:?} is not allowed; see server.allowed_hosts");
                return Err(Reply::detail(StatusCode::FORBIDDEN, detail));
            }
        }
        Ok(())
    }

    /// Whether `peer`, who sent the request, may have what needs `access`.
    pub(super) fn check_access(
        &self,
        access: Access,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<(), Reply> {
        if access == Access::Public {
            return Ok(());
        }
        let page = self.page(headers);
        match access {
            Access::Public => Ok(()),
            Access::Probe if page != Page::Foreign => Ok(()),
            Access::Probe => Err(foreign()),
            Access::Private if page == Page::Foreign => Err(foreign()),
            Access::Private | Access::Change | Access::Socket => match &self.key {
                // A page on another port of this machine is of the same site, so that browsers
                // send the cookie for it too.
                Some(_) if page == Page::Own && self.sessions.know(headers) => Ok(()),
                Some(key) if gives_key(access, headers) => {
                    match self.hear(peer, || holds_key(access, headers, key))? {
                        true => Ok(()),
                        false => Err(unauthorized("that is not the key")),
                    }
                }
                Some(_) => Err(unauthorized(
                    "a valid key is needed: X-API-Key, a bearer token or a session",
                )),
                None if page == Page::Foreign => Err(unauthorized(
                    "a page elsewhere needs the key, and none is set; see server.key and \
                     server.allowed_origins",
                )),
                None => Ok(()),
            },
        }
    }

    /// Whether what `peer` gives is the key; nothing is where none is set.
    pub(super) fn is_key(&self, given: &str, peer: Option<IpAddr>) -> Result<bool, Reply> {
        let Some(key) = &self.key else { return Ok(false) };
        self.hear(peer, || same(given.as_bytes(), key.as_bytes()))
    }

    fn hear(&self, peer: Option<IpAddr>, is_right: impl FnOnce() -> bool) -> Result<bool, Reply> {
        self.tries.hear(peer, Instant::now(), is_right).map_err(too_many_tries)
    }

    /// The cookies that stand for the key.
    pub(super) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// What a browser is told about who may read the answer.
    pub(super) fn answer_headers(
        &self,
        access: Access,
        request: &HeaderMap,
        answer: &mut HeaderMap,
    ) {
        let everyone = matches!(access, Access::Public | Access::Change | Access::Socket);
        if self.allowed_origins.iter().any(|origin| origin == "*")
            || (everyone && self.allowed_origins.is_empty())
        {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else {
            answer.insert(VARY, HeaderValue::from_static("origin"));
            if let (Some(origin), Page::Allowed) = (request.get(ORIGIN), self.page(request)) {
                answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            }
        }
        answer.insert(CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if matches!(access, Access::Private | Access::Probe) {
            // Also keeps a page elsewhere from showing our pictures without reading them.
            let policy =
                if self.allowed_origins.is_empty() { "same-origin" } else { "cross-origin" };
            answer.insert(RESOURCE_POLICY, HeaderValue::from_static(policy));
        }
    }

    /// What `OPTIONS` says besides.
    pub(super) fn preflight_headers(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        let methods = HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS");
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        // `*` does not stand for Authorization, so whatever is asked for is named.
        let asked = request.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let headers = asked.unwrap_or_else(|| HeaderValue::from_static("*"));
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers);
    }

    fn page(&self, headers: &HeaderMap) -> Page {
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return Page::Own };
        let Ok(origin) = origin.to_str() else { return Page::Foreign };
        if origins.next().is_some() {
            return Page::Foreign;
        }
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let origin = origin.to_ascii_lowercase();
        // Behind a proxy that ends TLS our own page has the scheme https.
        let place = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if host.is_some() && place == host.map(str::to_ascii_lowercase).as_deref() {
            return Page::Own;
        }
        if self.allowed_origins.iter().any(|allowed| allowed == "*" || *allowed == origin) {
            return Page::Allowed;
        }
        Page::Foreign
    }

    fn is_own_host(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else { return false };
        let name = name.to_ascii_lowercase();
        name == "localhost"
            || name.parse::<IpAddr>().is_ok()
            || self.allowed_hosts.contains(&name)
            || is_bracketed_ipv6(&name)
    }
}

fn foreign() -> Reply {
    let detail = "pages elsewhere may not read this; see server.allowed_origins";
    Reply::detail(StatusCode::FORBIDDEN, detail)
}

fn unauthorized(detail: &str) -> Reply {
    Reply::detail(StatusCode::UNAUTHORIZED, detail)
}

fn too_many_tries(wait: Duration) -> Reply {
    let detail = "too many wrong keys came from this address; none is heard for a while";
    Reply::detail(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(Some(wait))
}

/// The host without its port; `None` where the port is no number.
fn without_port(host: &str) -> Option<&str> {
    let after_bracket = host.rfind(']').map_or(0, |bracket| bracket + 1);
    match host[after_bracket..].find(':') {
        None => Some(host),
        Some(colon) => {
            let (name, port) = host.split_at(after_bracket + colon);
            port[1..].chars().all(|c| c.is_ascii_digit()).then_some(name)
        }
    }
}

fn is_bracketed_ipv6(name: &str) -> bool {
    name.strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// Whether there is something that can carry the key.
fn gives_key(access: Access, headers: &HeaderMap) -> bool {
    headers.contains_key(API_KEY)
        || headers.contains_key(AUTHORIZATION)
        || (access == Access::Socket && protocol_key(headers).is_some())
}

/// Whether it does.
fn holds_key(access: Access, headers: &HeaderMap, key: &str) -> bool {
    let given = headers.get(API_KEY).is_some_and(|given| same(given.as_bytes(), key.as_bytes()));
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(BEARER.len())?;
        scheme.eq_ignore_ascii_case(BEARER).then(|| token.trim_ascii())
    });
    let protocol = match access {
        Access::Socket => protocol_key(headers),
        _ => None,
    };
    let protocol = protocol.is_some_and(|given| same(&given, key.as_bytes()));
    given | bearer.is_some_and(|token| same(token, key.as_bytes())) | protocol
}

/// The key that a WebSocket's client gives among the protocols that it offers, in base64url: a
/// page can send no header of its own with it. What is no base64url is a wrong key.
fn protocol_key(headers: &HeaderMap) -> Option<Vec<u8>> {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let protocols = offered.filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(','));
    let given =
        protocols.filter_map(|protocol| protocol.trim().strip_prefix(KEY_PROTOCOL)).next()?;
    Some(BASE64_URL_SAFE_NO_PAD.decode(given.trim_end_matches('=')).unwrap_or_default())
}

/// Whether `given` is `key`, in a time that depends on `given`'s length alone: how far they agree
/// must not be measurable from outside.
fn same(given: &[u8], key: &[u8]) -> bool {
    let mut difference = u8::from(given.len() != key.len());
    for (index, byte) in given.iter().enumerate() {
        // Keys are never empty; the configuration sees to it.
        difference |= std::hint::black_box(byte ^ key[index % key.len()]);
    }
    std::hint::black_box(difference) == 0
}

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Before the key in base64url.
const KEY_PROTOCOL: &str = "keepsight.key.";
const BEARER: &[u8] = b"bearer ";
const CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn guard(key: Option<&str>, origins: &[&str]) -> Guard {
        Guard::new(&ServerConfig {
            key: key.map(Secret::hidden),
            allowed_origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
            allowed_hosts: vec!["door.example".to_owned()],
            ..ServerConfig::default()
        })
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[track_caller]
    fn check_host(host: &str, expected: Option<u16>) {
        let headers = headers(&[("host", host)]);
        let uri = Uri::from_static("/");
        let found = guard(None, &[]).check_host(Version::HTTP_11, &uri, &headers);
        assert_eq!(found.err().map(|reply| reply.status.as_u16()), expected, "{host}");
    }

    #[test]
    fn the_host_is_one_of_ours() {
        for host in [
            "localhost",
            "LOCALHOST:8787",
            "127.0.0.1:8787",
            "192.0.2.7",
            "[::1]:8787",
            "[2001:db8::1]",
            "door.example:1",
        ] {
            check_host(host, None);
        }
        for host in
            ["evil.example", "localhost.evil.example", "localhost:x", "[::1", "[evil]", "", "1.2.3"]
        {
            check_host(host, Some(403));
        }
    }

    #[test]
    fn the_host_is_named_once() {
        let uri = Uri::from_static("/");
        let check = |version, uri: &Uri, pairs: &[(&'static str, &str)]| {
            let found = guard(None, &[]).check_host(version, uri, &headers(pairs));
            found.err().map(|reply| reply.status.as_u16())
        };
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(check(Version::HTTP_11, &uri, &twice), Some(400));
        assert_eq!(check(Version::HTTP_11, &uri, &[]), Some(400));
        assert_eq!(check(Version::HTTP_10, &uri, &[]), None);
        let absolute = Uri::from_static("http://evil.example/livez");
        assert_eq!(check(Version::HTTP_11, &absolute, &[("host", "localhost")]), Some(403));
    }

    #[track_caller]
    fn check_access(
        guard: &Guard,
        pairs: &[(&'static str, &str)],
        [public, probe, change, private]: [u16; 4],
    ) {
        let mut all = headers(pairs);
        all.insert(HOST, HeaderValue::from_static("localhost:8787"));
        for (access, expected) in [
            (Access::Public, public),
            (Access::Probe, probe),
            (Access::Change, change),
            (Access::Private, private),
        ] {
            let found = guard.check_access(access, &all, None);
            let status = found.map_or_else(|reply| reply.status.as_u16(), |()| 200);
            assert_eq!(status, expected, "{access:?} with {pairs:?}");
        }
    }

    #[test]
    fn without_a_key_our_own_pages_and_tools_may_do_everything() {
        let open = guard(None, &[]);
        check_access(&open, &[], [200, 200, 200, 200]);
        check_access(&open, &[("origin", "http://localhost:8787")], [200, 200, 200, 200]);
        check_access(&open, &[("origin", "https://LOCALHOST:8787")], [200, 200, 200, 200]);
        for origin in ["http://evil.example", "null", "http://localhost:9", "localhost:8787"] {
            check_access(&open, &[("origin", origin)], [200, 403, 401, 403]);
        }
        let twice = [("origin", "http://localhost:8787"), ("origin", "http://evil.example")];
        check_access(&open, &twice, [200, 403, 401, 403]);
    }

    #[test]
    fn with_a_key_it_is_asked_for() {
        let keyed = guard(Some("correct-horse"), &[]);
        check_access(&keyed, &[], [200, 200, 401, 401]);
        for wrong in
            ["", "correct-hors", "correct-horsf", "correct-horsee", "correct-horsecorrect-horse"]
        {
            check_access(&keyed, &[("x-api-key", wrong)], [200, 200, 401, 401]);
            let bearer = format!("Bearer {wrong}");
            check_access(&keyed, &[("authorization", &bearer)], [200, 200, 401, 401]);
        }
        check_access(&keyed, &[("authorization", "Basic correct-horse")], [200, 200, 401, 401]);
        for right in [("x-api-key", "correct-horse"), ("authorization", "bearer correct-horse")] {
            check_access(&keyed, &[right], [200, 200, 200, 200]);
            let foreign = [right, ("origin", "http://evil.example")];
            check_access(&keyed, &foreign, [200, 403, 200, 403]);
        }
    }

    #[test]
    fn wrong_keys_from_one_address_are_its_own_affair() {
        let keyed = guard(Some("correct-horse"), &[]);
        let ask = |peer: &str, key: &str| {
            let headers = headers(&[("host", "localhost"), ("x-api-key", key)]);
            let peer = Some(peer.parse().unwrap());
            let found = keyed.check_access(Access::Private, &headers, peer);
            found.map_or_else(
                |reply| (reply.status.as_u16(), reply.retry_after.is_some()),
                |()| (200, false),
            )
        };
        for _ in 0..ServerConfig::default().limits.wrong_keys {
            assert_eq!(ask("192.0.2.1", "wrong"), (401, false));
        }
        assert_eq!(ask("192.0.2.1", "correct-horse"), (429, true));
        assert_eq!(ask("192.0.2.2", "correct-horse"), (200, false));
    }

    #[test]
    fn allowed_origins_are_as_our_own() {
        let open = guard(None, &["https://wall.example"]);
        check_access(&open, &[("origin", "https://wall.example")], [200, 200, 200, 200]);
        check_access(&open, &[("origin", "http://wall.example")], [200, 403, 401, 403]);
        let keyed = guard(Some("correct-horse"), &["https://wall.example"]);
        check_access(&keyed, &[("origin", "https://wall.example")], [200, 200, 401, 401]);
    }

    #[track_caller]
    fn check_cors(origins: &[&str], access: Access, origin: &str, expected: Option<&str>) {
        let request = headers(&[("host", "localhost:8787"), ("origin", origin)]);
        let mut answer = HeaderMap::new();
        guard(None, origins).answer_headers(access, &request, &mut answer);
        let found = answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap());
        assert_eq!(found, expected, "{origins:?} {access:?} {origin}");
    }

    #[test]
    fn browsers_are_told_who_may_read() {
        for access in [Access::Public, Access::Change] {
            check_cors(&[], access, "http://evil.example", Some("*"));
            check_cors(&["https://wall.example"], access, "http://evil.example", None);
        }
        for access in [Access::Private, Access::Probe] {
            check_cors(&[], access, "http://evil.example", None);
            check_cors(&["*"], access, "http://evil.example", Some("*"));
        }
        for access in [Access::Public, Access::Change, Access::Private, Access::Probe] {
            let wall = "https://wall.example";
            check_cors(&[wall], access, wall, Some(wall));
        }
    }
}
