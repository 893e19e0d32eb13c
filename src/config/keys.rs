//! Every key of `keepsight.toml`, by the table that it stands in.

pub(super) const TOP: &[&str] = &["version", "server", "runtime", "streams", "plugins", "outputs"];
pub(super) const SERVER: &[&str] = &["listen", "key", "allowed_origins", "allowed_hosts", "limits"];
pub(super) const SERVER_LIMITS: &[&str] = &[
    "header_bytes",
    "headers",
    "body_bytes",
    "connections",
    "calls",
    "subscribers",
    "viewers",
    "sockets",
    "wrong_keys",
    "header_time",
    "body_time",
    "request_time",
    "write_time",
    "heartbeat",
];
pub(super) const RUNTIME: &[&str] = &["state_dir", "on_lost_containment", "strict", "limits"];
pub(super) const RUNTIME_LIMITS: &[&str] = &[
    "probe",
    "init",
    "frame",
    "call",
    "session",
    "shutdown",
    "abandoned_threads",
    "abandoned_threads_per_plugin",
];
pub(super) const STREAM: &[&str] = &[
    "source",
    "size",
    "fps",
    "critical",
    "grace",
    "frozen_after",
    "mode",
    "memory",
    "plugins",
    "settings",
];
pub(super) const PLUGIN: &[&str] =
    &["use", "critical", "grace", "deadline", "memory", "restart", "config"];
pub(super) const RESTART: &[&str] = &["budget", "window", "backoff"];
pub(super) const OUTPUT: &[&str] = &["to", "what", "keep"];
pub(super) const KEEP: &[&str] = &["size", "age"];

/// All of them, under the titles that the tables have in docs/configuration.md.
#[cfg(test)]
pub(super) const ALL: &[(&str, &[&str])] = &[
    ("The file", TOP),
    ("[server]", SERVER),
    ("[server.limits]", SERVER_LIMITS),
    ("[runtime]", RUNTIME),
    ("[runtime.limits]", RUNTIME_LIMITS),
    ("[streams.NAME]", STREAM),
    ("[plugins.NAME]", PLUGIN),
    ("[plugins.NAME.restart]", RESTART),
    ("[[outputs]]", OUTPUT),
    ("[outputs.keep]", KEEP),
];
