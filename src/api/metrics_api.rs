//! `/metrics`: names, labels and what they mean.
//!
//! Ours begin with `keepsight_`; what plugins and sources count themselves with `plugin_ID_` and
//! `source_SCHEME_`. What was not measured is left out, never shown as 0.

use hyper::StatusCode;

use super::{
    Backend,
    events_api::Subscribers,
    exposition::{Exposition, Labels, name_part},
    video_api::Viewers,
};
use crate::{
    health::Reply,
    inspector::{
        FeedMetrics, OutputReport, PluginMetrics, ProcessMetrics, StreamMetrics, StreamState,
    },
    lifecycle::LifecycleState,
    loader::MetricsSnapshot,
};

pub(super) fn metrics(
    backend: &dyn Backend,
    subscribers: &Subscribers,
    viewers: &Viewers,
    sockets: usize,
) -> Reply {
    let metrics = backend.metrics();
    let mut to = Exposition::default();
    process(&mut to, &metrics.process);
    let help = "Events that were published.";
    to.counter("keepsight_events_total", help, &[], subscribers.events_count());
    let help = "Clients that follow the events.";
    to.gauge("keepsight_event_subscribers", help, &[], subscribers.count() as f64);
    let help = "Clients that look at live pictures.";
    to.gauge("keepsight_viewers", help, &[], viewers.count() as f64);
    let help = "Clients that send pictures by a WebSocket.";
    to.gauge("keepsight_sockets", help, &[], sockets as f64);
    let help = "Pictures that were encoded, each once for all who look.";
    to.counter("keepsight_pictures_encoded_total", help, &[], viewers.encoded_count());
    for plugin in &metrics.plugins {
        plugin_metrics(&mut to, plugin);
    }
    for stream in &metrics.streams {
        stream_metrics(&mut to, stream);
    }
    for output in &metrics.outputs {
        output_metrics(&mut to, output);
    }
    // Last, so that no plugin's names can take ours.
    for plugin in &metrics.plugins {
        let prefix = format!("plugin_{}", name_part(&plugin.plugin));
        own(&mut to, &prefix, &[("plugin", &plugin.name)], &plugin.own);
    }
    for stream in &metrics.streams {
        let prefix = format!("source_{}", name_part(&stream.scheme));
        own(&mut to, &prefix, &[("stream", &stream.name)], &stream.own);
    }
    Reply::new(StatusCode::OK, Exposition::CONTENT_TYPE, to.into_text())
}

fn process(to: &mut Exposition, process: &ProcessMetrics) {
    let version: Labels<'_> = &[("version", env!("CARGO_PKG_VERSION"))];
    to.gauge("keepsight_build_info", "1, with the version as a label.", version, 1.0);
    let uptime = process.uptime.as_secs_f64();
    to.gauge("keepsight_uptime_seconds", "Since the process began.", &[], uptime);
    to.gauge(
        "keepsight_abandoned_workers",
        "Threads that were given up because they hang, and have not returned.",
        &[],
        process.abandoned.now as f64,
    );
    to.counter(
        "keepsight_abandoned_workers_total",
        "Threads that were given up, those that returned included.",
        &[],
        process.abandoned.ever,
    );
    if let Some(bytes) = process.resident_bytes {
        let help = "Memory of the process that is resident.";
        to.gauge("process_resident_memory_bytes", help, &[], bytes as f64);
    }
    if let Some(threads) = process.threads {
        to.gauge("process_threads", "Threads of the process.", &[], threads as f64);
    }
}

fn plugin_metrics(to: &mut Exposition, plugin: &PluginMetrics) {
    let name = ("plugin", plugin.name.as_str());
    for state in LifecycleState::ALL {
        to.gauge(
            "keepsight_plugin_state",
            "1 for the state that the plugin is in, 0 for the others.",
            &[name, ("state", state.as_str())],
            f64::from(u8::from(state == plugin.state)),
        );
    }
    let runs = plugin.success_count + plugin.errors.values().sum::<u64>();
    to.counter("keepsight_plugin_runs_total", "Runs, with and without result.", &[name], runs);
    for (code, count) in &plugin.errors {
        to.counter(
            "keepsight_plugin_errors_total",
            "Runs that gave no result, by the error's code.",
            &[name, ("kind", code)],
            *count,
        );
    }
    let help = "How long runs took.";
    to.histogram("keepsight_plugin_run_seconds", help, &[name], &plugin.run_ms, MILLISECOND);
    let help = "Restarts by the supervisor.";
    to.counter("keepsight_plugin_restarts_total", help, &[name], plugin.restarts);
    let generation = plugin.generation as f64;
    to.gauge("keepsight_plugin_generation", "How often it was built.", &[name], generation);
    to.gauge(
        "keepsight_plugin_quarantined",
        "1 where it is left alone because it failed too often.",
        &[name],
        f64::from(u8::from(plugin.quarantined)),
    );
    to.gauge(
        "keepsight_plugin_abandoned_workers",
        "Threads of the plugin that were given up and have not returned.",
        &[name],
        plugin.abandoned as f64,
    );
    if let Some(memory) = &plugin.memory {
        let help = "Memory that the plugin and its sessions have.";
        to.gauge("keepsight_plugin_memory_bytes", help, &[name], memory.bytes as f64);
        let help = "The most memory that the plugin and its sessions ever had.";
        to.gauge("keepsight_plugin_memory_peak_bytes", help, &[name], memory.peak as f64);
        if let Some(limit) = memory.limit {
            let help = "The most memory that the plugin and its sessions may have.";
            to.gauge("keepsight_plugin_memory_limit_bytes", help, &[name], limit as f64);
        }
    }
    let help = "Metrics that the plugin asked for beyond those that it may have.";
    let refused = plugin.own.names_refused;
    to.counter("keepsight_plugin_metric_names_refused_total", help, &[name], refused);
    for degradation in &plugin.degraded {
        to.gauge(
            "keepsight_plugin_degraded",
            "1 for each way in which the plugin works less well than it could.",
            &[name, ("code", &degradation.code)],
            1.0,
        );
    }
}

fn stream_metrics(to: &mut Exposition, stream: &StreamMetrics) {
    let name = ("stream", stream.name.as_str());
    for state in StreamState::ALL {
        to.gauge(
            "keepsight_stream_state",
            "1 for the state that the stream is in, 0 for the others.",
            &[name, ("state", state.as_str())],
            f64::from(u8::from(state == stream.state)),
        );
    }
    let help = "1 while the source gives the same picture again and again.";
    let frozen = f64::from(u8::from(stream.frozen));
    to.gauge("keepsight_stream_frozen", help, &[name], frozen);
    let help = "Frames that the source gave.";
    to.counter("keepsight_stream_frames_total", help, &[name], stream.frames_in);
    if let Some(age) = stream.last_frame_age {
        let help = "Since the newest frame came.";
        to.gauge("keepsight_stream_frame_age_seconds", help, &[name], age.as_secs_f64());
    }
    let help = "How often the source was opened again.";
    to.counter("keepsight_stream_reconnects_total", help, &[name], stream.reconnects);
    if let Some(memory) = &stream.memory {
        let help = "Memory that the stream's source has.";
        to.gauge("keepsight_stream_memory_bytes", help, &[name], memory.bytes as f64);
        let help = "The most memory that the stream's source had since it was opened.";
        to.gauge("keepsight_stream_memory_peak_bytes", help, &[name], memory.peak as f64);
        if let Some(limit) = memory.limit {
            let help = "The most memory that the stream's source may have.";
            to.gauge("keepsight_stream_memory_limit_bytes", help, &[name], limit as f64);
        }
    }
    let help = "Metrics that the source asked for beyond those that it may have.";
    let refused = stream.own.names_refused;
    to.counter("keepsight_stream_metric_names_refused_total", help, &[name], refused);
    for feed in &stream.plugins {
        feed_metrics(to, &[name, ("plugin", &feed.plugin)], feed);
    }
}

fn feed_metrics(to: &mut Exposition, labels: Labels<'_>, feed: &FeedMetrics) {
    let help = "Frames that the plugin gave a result for.";
    to.counter("keepsight_stream_frames_processed_total", help, labels, feed.processed);
    let help = "Frames that the plugin had no time for.";
    to.counter("keepsight_stream_frames_dropped_total", help, labels, feed.dropped);
    let help = "Frames that the plugin gave no result for.";
    to.counter("keepsight_stream_frames_failed_total", help, labels, feed.errors);
    let help = "From a frame's capture to the plugin's result.";
    to.histogram("keepsight_stream_latency_seconds", help, labels, &feed.latency_ms, MILLISECOND);
}

fn output_metrics(to: &mut Exposition, output: &OutputReport) {
    let name = ("output", output.to.as_str());
    for state in ["opening", "writing", "failing"] {
        to.gauge(
            "keepsight_output_state",
            "1 for the state that the output is in, 0 for the others.",
            &[name, ("state", state)],
            f64::from(u8::from(state == output.state)),
        );
    }
    let help = "Records that were written.";
    to.counter("keepsight_output_written_total", help, &[name], output.written);
    let help = "Records that were lost.";
    to.counter("keepsight_output_dropped_total", help, &[name], output.dropped);
    let help = "Records that wait.";
    to.gauge("keepsight_output_queued", help, &[name], output.queued as f64);
}

fn own(to: &mut Exposition, prefix: &str, labels: Labels<'_>, own: &MetricsSnapshot) {
    let help = |name: &str| format!("{name}, as it is counted there.");
    for (name, value) in &own.counters {
        let part = name_part(name);
        let total = if part.ends_with("_total") { "" } else { "_total" };
        to.counter(&format!("{prefix}_{part}{total}"), &help(name), labels, *value);
    }
    for (name, value) in &own.gauges {
        to.gauge(&format!("{prefix}_{}", name_part(name)), &help(name), labels, *value);
    }
    for (name, value) in &own.histograms {
        to.histogram(&format!("{prefix}_{}", name_part(name)), &help(name), labels, value, 1.0);
    }
}

/// In seconds.
const MILLISECOND: f64 = 1e-3;
