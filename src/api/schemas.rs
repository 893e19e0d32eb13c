//! What bodies look like, as JSON Schema (draft 2020-12): the part that the contract fixes to the
//! key, ours with room for more.

use serde_json::{Map, Value, json};

/// The body of an answer that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerSchema {
    /// Anything, or none.
    Any,
    /// The schema of that name.
    One(&'static str),
    /// A list of it.
    Many(&'static str),
}

impl AnswerSchema {
    /// The schema where it is used.
    pub(super) fn used(self) -> Option<Value> {
        match self {
            Self::Any => None,
            Self::One(name) => Some(named(name)),
            Self::Many(name) => Some(list(named(name))),
        }
    }
}

/// All schemas, by name.
pub(super) fn schemas() -> Map<String, Value> {
    let all = [
        ("Error", open([("detail", text())])),
        ("PluginItem", closed(plugin_item())),
        ("PluginsSummary", plugins_summary()),
        ("PluginHealth", closed(plugin_health())),
        ("Degradation", closed(["code", "reason", "hint"].map(|key| (key, text())))),
        ("Manifest", manifest()),
        ("Tool", tool()),
        ("ToolResult", tool_result()),
        ("Detection", open(detection())),
        ("Track", open(detection().into_iter().chain(track()))),
        ("Region", open(place().into_iter().chain([("label", text()), ("score", number())]))),
        ("Attachment", open(["name", "media_type", "base64"].map(|key| (key, text())))),
        ("Reloaded", closed([("status", one_of(["reloaded"])), ("plugin", text())])),
        ("Health", health()),
        ("Alive", open([("status", one_of(["alive"]))])),
        ("Ready", ready()),
        ("ReadinessCheck", readiness_check()),
        ("Inspection", open(plugin_health().into_iter().chain(inspection()))),
        ("CallSession", call_session()),
        ("Finding", finding()),
        ("Transition", transition()),
        ("Fault", fault()),
        ("Host", host()),
        ("Stream", stream()),
        ("StreamPlugin", stream_plugin()),
        ("Size", open(["width", "height"].map(|key| (key, count())))),
        ("StreamTracks", stream_tracks()),
    ];
    all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

type Property = (&'static str, Value);

fn plugin_item() -> Vec<Property> {
    vec![
        ("name", text()),
        ("state", one_of(["LOADED", "INITIALIZED", "RUNNING", "FAILED", "UNAVAILABLE"])),
        ("description", text()),
        ("version", text()),
        ("reason", or_null("string")),
        ("uptime_seconds", or_null("number")),
        ("last_used", json!({ "type": ["string", "null"], "format": "date-time" })),
        ("success_count", count()),
        ("error_count", count()),
        ("last_execution_time_ms", or_null("number")),
        ("avg_execution_time_ms", or_null("number")),
    ]
}

fn plugins_summary() -> Value {
    closed([
        ("plugins", list(named("PluginItem"))),
        ("total", count()),
        ("available", count()),
        ("failed", count()),
        ("unavailable", count()),
    ])
}

fn plugin_health() -> Vec<Property> {
    let mut properties = plugin_item();
    properties.extend([
        ("code", or_null("string")),
        ("hint", or_null("string")),
        ("since", time()),
        ("degraded", list(named("Degradation"))),
        ("waiting_for", list(text())),
        ("streams", map(text())),
        ("restarts", count()),
        ("next_attempt_in_seconds", or_null("number")),
        ("quarantined", boolean()),
        ("generation", count()),
        ("isolation", text()),
        ("not_contained", list(text())),
    ]);
    properties
}

fn manifest() -> Value {
    closed([
        ("id", text()),
        ("name", text()),
        ("version", text()),
        ("description", text()),
        ("type", text()),
        ("capabilities", list(text())),
        ("tools", list(named("Tool"))),
    ])
}

fn tool() -> Value {
    closed([
        ("id", text()),
        ("title", text()),
        ("description", text()),
        ("input_types", list(text())),
        ("inputs", json!({})),
        ("output_types", list(text())),
        ("outputs", json!({})),
        ("capabilities", list(text())),
    ])
}

fn tool_result() -> Value {
    let lists = ["Detection", "Track", "Region", "Attachment"];
    let keys = ["detections", "tracks", "regions", "attachments"];
    let properties: Map<_, _> = std::iter::zip(keys, lists)
        .map(|(key, name)| (key.to_owned(), list(named(name))))
        .collect();
    closed([
        ("tool_name", text()),
        ("plugin_id", text()),
        ("result", json!({ "type": "object", "properties": properties })),
        ("processing_time_ms", count()),
    ])
}

/// Pixels; the origin is the picture's top left corner.
fn place() -> Vec<Property> {
    let corners = json!({ "type": "array", "items": number(), "minItems": 4, "maxItems": 4 });
    vec![
        ("x", number()),
        ("y", number()),
        ("width", number()),
        ("height", number()),
        ("xyxy", corners),
    ]
}

fn detection() -> Vec<Property> {
    let mut properties = place();
    properties.extend([
        ("confidence", json!({ "type": "number", "minimum": 0, "maximum": 1 })),
        ("class", text()),
        ("class_id", count()),
    ]);
    properties
}

fn track() -> Vec<Property> {
    vec![
        ("track_id", count()),
        ("velocity", list(number())),
        ("state", text()),
        ("age_frames", count()),
        ("first_sequence", count()),
        ("since_seconds", number()),
    ]
}

fn health() -> Value {
    closed([
        ("status", one_of(["healthy", "degraded"])),
        ("plugins_loaded", count()),
        ("version", text()),
    ])
}

fn ready() -> Value {
    let mut schema = open([("status", one_of(["ready", "not ready"]))]);
    schema["properties"]["checks"] = list(named("ReadinessCheck"));
    schema
}

fn readiness_check() -> Value {
    open([
        ("kind", text()),
        ("name", text()),
        ("state", text()),
        ("verdict", one_of(["ready", "within grace", "not ready"])),
        ("code", or_null("string")),
        ("reason", or_null("string")),
    ])
}

fn inspection() -> Vec<Property> {
    let numbers =
        |keys: &[&'static str]| open(keys.iter().map(|key| (*key, number())).collect::<Vec<_>>());
    let times = ["mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms"];
    let times = times.map(|key| (key, or_null("number")));
    let memory = ["bytes", "peak_bytes", "limit_bytes"].map(|key| (key, or_null("integer")));
    vec![
        ("plugin", text()),
        ("critical", boolean()),
        ("manifest", or_null("object")),
        ("requirements", list(named("Finding"))),
        ("timings", open(times.into_iter().chain([("count", count())]))),
        ("errors", map(count())),
        ("abandoned_workers", count()),
        ("memory", open(memory.into_iter().chain([("measured", boolean())]))),
        ("call_sessions", list(named("CallSession"))),
        ("restart_policy", numbers(&["budget", "window_seconds"])),
        ("time_limits_seconds", numbers(&["init", "frame", "call", "session", "close"])),
        ("last_crash", or_null("object")),
        ("transitions", list(named("Transition"))),
        ("transitions_refused", count()),
        ("faults", list(named("Fault"))),
    ]
}

fn call_session() -> Value {
    open([("name", text()), ("idle_seconds", or_null("number"))])
}

fn finding() -> Value {
    let texts = ["code", "subject", "reason", "hint"].map(|key| (key, text()));
    open(texts.into_iter().chain([("met", boolean())]))
}

fn transition() -> Value {
    open([
        ("at", time()),
        ("from", or_null("string")),
        ("to", text()),
        ("event", text()),
        ("code", text()),
        ("reason", text()),
        ("hint", or_null("string")),
        ("generation", count()),
    ])
}

/// The backtrace is there where one plugin is asked for.
fn fault() -> Value {
    let mut schema = open([
        ("at", time()),
        ("code", text()),
        ("reason", text()),
        ("hint", text()),
        ("stream", or_null("string")),
        ("location", or_null("string")),
        ("has_backtrace", boolean()),
    ]);
    schema["properties"]["backtrace"] = or_null("string");
    schema
}

fn host() -> Value {
    open([
        ("version", text()),
        ("uptime_seconds", number()),
        ("time", time()),
        ("clock_synchronized", or_null("boolean")),
        ("temperatures", list(open([("name", text()), ("celsius", number())]))),
        ("throttling", or_null("boolean")),
        ("cooling", list(json!({ "type": "object" }))),
        ("disk", or_null("object")),
        ("memory", json!({ "type": "object" })),
        ("threads", or_null("integer")),
        ("abandoned_workers", count()),
        ("abandoned_workers_ever", count()),
        ("children", or_null("integer")),
        ("gpu", open([("status", text()), ("reason", or_null("string"))])),
        ("outputs", list(json!({ "type": "object" }))),
        ("last_reread", or_null("object")),
    ])
}

fn stream() -> Value {
    let size = json!({ "anyOf": [named("Size"), { "type": "null" }] });
    open([
        ("name", text()),
        ("source", text()),
        ("state", text()),
        ("code", or_null("string")),
        ("reason", or_null("string")),
        ("hint", or_null("string")),
        ("since", time()),
        ("last_error", or_null("string")),
        ("last_error_at", or_null("string")),
        ("device", or_null("string")),
        ("format", or_null("string")),
        ("size", size),
        ("rate", or_null("number")),
        ("nominal_rate", or_null("number")),
        ("mode", one_of(["newest", "every"])),
        ("frames_in", count()),
        ("frames_dropped", count()),
        ("last_frame_age_seconds", or_null("number")),
        ("reconnects", count()),
        ("source_counters", json!({ "type": "object", "additionalProperties": count() })),
        ("memory", or_null("object")),
        ("critical", boolean()),
        ("plugins", list(named("StreamPlugin"))),
    ])
}

fn stream_plugin() -> Value {
    open([
        ("plugin", text()),
        ("state", text()),
        ("processed", count()),
        ("dropped", count()),
        ("errors", count()),
        ("last_latency_ms", or_null("number")),
    ])
}

fn stream_tracks() -> Value {
    open([
        ("stream", text()),
        ("state", text()),
        ("plugin", text()),
        ("sequence", count()),
        ("time", time()),
        ("age_seconds", number()),
        ("latency_ms", number()),
        ("size", named("Size")),
        ("tracks", list(named("Track"))),
    ])
}

/// An object with these keys and no other.
fn closed(properties: impl IntoIterator<Item = Property>) -> Value {
    let mut schema = open(properties);
    schema["additionalProperties"] = false.into();
    schema
}

/// An object with these keys at least.
fn open(properties: impl IntoIterator<Item = Property>) -> Value {
    let properties: Map<_, _> =
        properties.into_iter().map(|(key, schema)| (key.to_owned(), schema)).collect();
    let required: Vec<_> = properties.keys().cloned().collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn map(of: Value) -> Value {
    json!({ "type": "object", "additionalProperties": of })
}

fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn text() -> Value {
    json!({ "type": "string" })
}

/// ISO 8601 in UTC.
fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn number() -> Value {
    json!({ "type": "number" })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn boolean() -> Value {
    json!({ "type": "boolean" })
}

fn or_null(of: &str) -> Value {
    json!({ "type": [of, "null"] })
}

fn one_of<const N: usize>(values: [&str; N]) -> Value {
    json!({ "type": "string", "enum": values.as_slice() })
}
