//! Streams and their newest tracks.

use std::collections::BTreeMap;

use hyper::StatusCode;
use keepsight_contract::{FrameSize, PixelFormat, Tracks};
use serde::Serialize;

use super::{Backend, LatestResult, status_table::SOON};
use crate::{
    health::{Reply, milliseconds, seconds, utc, wall_time},
    inspector::{StreamPluginReport, StreamReport},
    sandbox::MemoryUse,
};

/// A stream as clients see it.
#[derive(Serialize)]
struct StreamItem {
    name: String,
    source: String,
    state: &'static str,
    code: Option<String>,
    reason: Option<String>,
    hint: Option<String>,
    since: String,
    last_error: Option<String>,
    last_error_at: Option<String>,
    device: Option<String>,
    format: Option<PixelFormat>,
    size: Option<SizeItem>,
    rate: Option<f64>,
    nominal_rate: Option<f64>,
    mode: &'static str,
    frames_in: u64,
    frames_dropped: u64,
    last_frame_age_seconds: Option<f64>,
    reconnects: u64,
    source_counters: BTreeMap<String, u64>,
    memory: Option<MemoryItem>,
    critical: bool,
    plugins: Vec<StreamPluginItem>,
}

/// What the source has of memory since it was opened last, decoded frames included.
#[derive(Serialize)]
struct MemoryItem {
    bytes: u64,
    peak_bytes: u64,
    limit_bytes: Option<u64>,
}

/// In pixels.
#[derive(Serialize)]
struct SizeItem {
    width: u32,
    height: u32,
}

/// A plugin as its stream sees it.
#[derive(Serialize)]
struct StreamPluginItem {
    plugin: String,
    state: &'static str,
    processed: u64,
    dropped: u64,
    errors: u64,
    last_latency_ms: Option<f64>,
}

/// The newest tracks of a stream, and the frame that they are of.
#[derive(Serialize)]
struct TracksItem<'a> {
    stream: &'a str,
    state: &'static str,
    plugin: &'a str,
    sequence: u64,
    time: String,
    age_seconds: f64,
    latency_ms: f64,
    size: SizeItem,
    tracks: &'a Tracks,
}

pub(super) fn streams(backend: &dyn Backend) -> Reply {
    let mut reports = backend.streams();
    reports.sort_by(|a, b| a.name.cmp(&b.name));
    Reply::ok(&reports.into_iter().map(StreamItem::from).collect::<Vec<_>>())
}

pub(super) fn stream(backend: &dyn Backend, name: &str) -> Reply {
    match backend.stream(name) {
        Some(report) => Reply::ok(&StreamItem::from(report)),
        None => stream_not_found(name),
    }
}

pub(super) fn tracks(backend: &dyn Backend, name: &str, plugin: Option<&str>) -> Reply {
    let (stream, latest) = match latest(backend, name, plugin) {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    let Some(tracks) = latest.response.output::<Tracks>() else {
        let detail = format!("Plugin '{}' gives no tracks", latest.plugin);
        return Reply::detail(StatusCode::NOT_FOUND, detail);
    };
    Reply::ok(&TracksItem {
        stream: name,
        state: stream.state.as_str(),
        plugin: &latest.plugin,
        sequence: latest.frame.sequence(),
        time: utc(wall_time(latest.frame.captured())),
        age_seconds: seconds(latest.frame.captured().elapsed()),
        latency_ms: milliseconds(latest.latency),
        size: SizeItem::from(latest.frame.size()),
        tracks,
    })
}

/// A stream and the newest result on it.
pub(super) fn latest(
    backend: &dyn Backend,
    name: &str,
    plugin: Option<&str>,
) -> Result<(StreamReport, LatestResult), Reply> {
    let stream = backend.stream(name).ok_or_else(|| stream_not_found(name))?;
    if let Some(plugin) = plugin
        && !stream.plugins.iter().any(|fed| fed.plugin == plugin)
    {
        let detail = format!("Stream '{name}' feeds no plugin '{plugin}'");
        return Err(Reply::detail(StatusCode::NOT_FOUND, detail));
    }
    match backend.latest(name, plugin) {
        Some(latest) => Ok((stream, latest)),
        None => {
            let state = stream.state.as_str();
            let reason = stream.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            let detail = format!("Stream '{name}' is {state} and has no result yet{reason}");
            let reply = Reply::detail(StatusCode::SERVICE_UNAVAILABLE, detail);
            Err(reply.retry_after(Some(SOON)))
        }
    }
}

fn stream_not_found(name: &str) -> Reply {
    Reply::detail(StatusCode::NOT_FOUND, format!("Stream '{name}' not found"))
}

impl From<StreamReport> for StreamItem {
    fn from(report: StreamReport) -> Self {
        Self {
            name: report.name,
            source: report.source,
            state: report.state.as_str(),
            code: report.code,
            reason: report.reason,
            hint: report.hint,
            since: utc(report.since),
            last_error: report.last_error,
            last_error_at: report.last_error_at.map(utc),
            device: report.device,
            format: report.format,
            size: report.size.map(SizeItem::from),
            rate: report.rate,
            nominal_rate: report.nominal_rate,
            mode: report.mode,
            frames_in: report.frames_in,
            frames_dropped: report.frames_dropped,
            last_frame_age_seconds: report.last_frame_age.map(seconds),
            reconnects: report.reconnects,
            source_counters: report.source_counters,
            memory: report.memory.map(MemoryItem::from),
            critical: report.critical,
            plugins: report.plugins.into_iter().map(StreamPluginItem::from).collect(),
        }
    }
}

impl From<MemoryUse> for MemoryItem {
    fn from(memory: MemoryUse) -> Self {
        let MemoryUse { bytes, peak, limit, .. } = memory;
        Self { bytes, peak_bytes: peak, limit_bytes: limit }
    }
}

impl From<FrameSize> for SizeItem {
    fn from(size: FrameSize) -> Self {
        Self { width: size.width, height: size.height }
    }
}

impl From<StreamPluginReport> for StreamPluginItem {
    fn from(report: StreamPluginReport) -> Self {
        Self {
            plugin: report.plugin,
            state: report.session_state.as_str(),
            processed: report.processed,
            dropped: report.dropped,
            errors: report.errors,
            last_latency_ms: report.last_latency.map(milliseconds),
        }
    }
}
