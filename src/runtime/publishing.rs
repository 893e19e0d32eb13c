//! What of the happenings in plugins and streams is published, and how it reads.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::{
    api::{EventKind, EventLog, ResultFeed},
    loader::{Fault, HostEvent},
    streams::{Listener, StreamStatus},
};

/// Publishes and logs what happened in an instance or a source.
pub(super) fn host_event(events: &EventLog, event: HostEvent) {
    match event {
        HostEvent::Published { instance, stream, kind, data } => {
            tracing::debug!(%instance, kind, %data, "event");
            let (plugin, of) = owner(&instance);
            let stream = stream.as_deref().or(of);
            let data = object(json!({ "kind": kind, "data": data }));
            events.publish(EventKind::PluginEvent, plugin, stream, data);
        }
        HostEvent::ThreadFaulted { instance, generation, fault } => {
            tracing::error!(%instance, code = %fault.code, reason = %fault.reason,
                "an owned thread failed");
            let (plugin, stream) = owner(&instance);
            events.publish(EventKind::Fault, plugin, stream, fault_data(generation, &fault));
        }
        HostEvent::Turned { instance, from, to, cause, generation } => {
            let data = json!({
                "from": from.map(|state| state.as_str()),
                "state": to.as_str(),
                "code": cause.code,
                "reason": cause.reason,
                "hint": cause.hint,
                "generation": generation,
            });
            events.publish(EventKind::PluginState, Some(&instance), None, object(data));
        }
        HostEvent::Faulted { instance, generation, fault } => {
            let stream = fault.stream.as_deref();
            let data = fault_data(generation, &fault);
            events.publish(EventKind::Fault, Some(&instance), stream, data);
        }
    }
}

fn fault_data(generation: u64, fault: &Fault) -> Map<String, Value> {
    object(json!({
        "generation": generation,
        "code": fault.code,
        "reason": fault.reason,
        "hint": fault.hint,
        "location": fault.location,
    }))
}

/// Publishes that a stream's source is in another state, or in the same for another reason.
pub(super) fn stream_change(events: &EventLog, stream: &str, status: &StreamStatus) {
    let data = json!({
        "state": status.state.as_str(),
        "code": status.code,
        "reason": status.reason,
        "hint": status.hint,
    });
    events.publish(EventKind::StreamState, None, Some(stream), object(data));
}

/// Tells those who follow the streams of each answer.
pub(super) fn results_listener(results: &Arc<ResultFeed>) -> Listener {
    let results = results.clone();
    Arc::new(move |outcome| {
        if let Ok(response) = &outcome.result {
            results.publish(&outcome.stream, &outcome.plugin, &outcome.frame, response);
        }
    })
}

/// The name of a source's host.
pub(super) fn source_host(stream: &str) -> String {
    format!("{SOURCE}:{stream}")
}

/// The plugin or the stream whose host has that name. Names of instances have no colon.
pub(super) fn owner(instance: &str) -> (Option<&str>, Option<&str>) {
    match instance.split_once(':') {
        Some((SOURCE, stream)) => (None, Some(stream)),
        Some(_) => (None, None),
        None => (Some(instance), None),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => Map::from_iter([("data".to_owned(), other)]),
    }
}

const SOURCE: &str = "source";
