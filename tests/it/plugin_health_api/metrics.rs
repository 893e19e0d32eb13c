//! `/metrics`.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use keepsight::{
    inspector::{
        FeedMetrics, Metrics, OutputReport, PluginMetrics, ProcessMetrics, SessionState,
        StreamMetrics, StreamState,
    },
    lifecycle::LifecycleState,
    loader::MetricsSnapshot,
};
use keepsight_contract::{Degradation, Histogram, HistogramSnapshot, Response};
use serde_json::json;

use super::{
    client::{Client, get},
    exposition::Samples,
    fake_backend::FakeBackend,
};
use crate::support::{Script, Site, Switch, site::await_value, test_source::Behaviour};

fn histogram(values: &[f64]) -> HistogramSnapshot {
    let histogram = Histogram::default();
    values.iter().for_each(|value| histogram.record(*value));
    histogram.snapshot()
}

fn plugin(name: &str, own: MetricsSnapshot) -> PluginMetrics {
    PluginMetrics {
        name: name.to_owned(),
        plugin: "video-tracker".to_owned(),
        state: LifecycleState::Running,
        quarantined: false,
        generation: 2,
        success_count: 7,
        errors: BTreeMap::from([("run.timed_out", 2), ("run.panicked", 1)]),
        run_ms: histogram(&[1.0, 3.0]),
        restarts: 1,
        abandoned: 2,
        memory: None,
        degraded: vec![Degradation {
            code: "gpu.cpu_fallback".into(),
            reason: "no adapter".to_owned(),
            hint: "install a driver".to_owned(),
        }],
        own,
    }
}

fn door() -> StreamMetrics {
    StreamMetrics {
        name: "door".to_owned(),
        scheme: "camera".to_owned(),
        state: StreamState::Live,
        frozen: false,
        frames_in: 100,
        last_frame_age: Some(Duration::from_millis(40)),
        reconnects: 3,
        memory: None,
        plugins: vec![FeedMetrics {
            plugin: "tracker".to_owned(),
            state: SessionState::Running,
            processed: 90,
            dropped: 9,
            errors: 1,
            latency_ms: histogram(&[8.0]),
        }],
        own: MetricsSnapshot::default(),
    }
}

fn tracks_file() -> OutputReport {
    OutputReport {
        to: "file:tracks.jsonl".to_owned(),
        what: vec!["tracks"],
        state: "failing",
        code: Some("output.no_space"),
        reason: None,
        hint: None,
        since: SystemTime::UNIX_EPOCH,
        written: 90,
        dropped: 4,
        queued: 7,
        overflowing: true,
        last_error: None,
        last_error_at: None,
    }
}

fn scrape(metrics: Metrics) -> Samples {
    let server = FakeBackend { metrics, ..FakeBackend::default() }.serve();
    let answer = get(server.address(), "/metrics");
    assert_eq!(answer.status, 200);
    let content_type = answer.header("content-type");
    assert_eq!(content_type, Some("text/plain; version=0.0.4; charset=utf-8"));
    Samples::parse(&String::from_utf8(answer.body).unwrap())
}

#[test]
fn plugins_streams_and_the_process_are_counted() {
    let process = ProcessMetrics {
        uptime: Duration::from_millis(1500),
        resident_bytes: Some(1 << 20),
        ..ProcessMetrics::default()
    };
    let plugins = vec![plugin("tracker", MetricsSnapshot::default())];
    let streams = vec![door()];
    let outputs = vec![tracks_file()];
    let samples = scrape(Metrics { process, plugins, streams, outputs });

    #[track_caller]
    fn check(samples: &Samples, name: &str, labels: &[(&str, &str)], value: f64) {
        assert_eq!(samples.value(name, labels), Some(value), "{name} in {samples:#?}");
    }
    check(&samples, "keepsight_uptime_seconds", &[], 1.5);
    check(&samples, "keepsight_abandoned_workers", &[], 0.0);
    check(&samples, "process_resident_memory_bytes", &[], 1_048_576.0);
    // What was not measured is not shown as 0.
    assert_eq!(samples.count("process_threads"), 0);
    assert_eq!(samples.count("keepsight_plugin_memory_bytes"), 0);

    let tracker = ("plugin", "tracker");
    for (state, value) in [
        ("LOADED", 0.0),
        ("INITIALIZED", 0.0),
        ("RUNNING", 1.0),
        ("FAILED", 0.0),
        ("UNAVAILABLE", 0.0),
    ] {
        check(&samples, "keepsight_plugin_state", &[tracker, ("state", state)], value);
    }
    check(&samples, "keepsight_plugin_runs_total", &[tracker], 10.0);
    let late = [tracker, ("kind", "run.timed_out")];
    check(&samples, "keepsight_plugin_errors_total", &late, 2.0);
    check(&samples, "keepsight_plugin_restarts_total", &[tracker], 1.0);
    check(&samples, "keepsight_plugin_abandoned_workers", &[tracker], 2.0);
    let fallback = [tracker, ("code", "gpu.cpu_fallback")];
    check(&samples, "keepsight_plugin_degraded", &fallback, 1.0);
    check(&samples, "keepsight_plugin_run_seconds_count", &[tracker], 2.0);
    check(&samples, "keepsight_plugin_run_seconds_sum", &[tracker], 0.004);
    let edge = [tracker, ("le", "0.002")];
    check(&samples, "keepsight_plugin_run_seconds_bucket", &edge, 1.0);

    let door = ("stream", "door");
    check(&samples, "keepsight_stream_state", &[door, ("state", "live")], 1.0);
    check(&samples, "keepsight_stream_state", &[door, ("state", "stalled")], 0.0);
    check(&samples, "keepsight_stream_frames_total", &[door], 100.0);
    check(&samples, "keepsight_stream_frame_age_seconds", &[door], 0.04);
    check(&samples, "keepsight_stream_reconnects_total", &[door], 3.0);
    check(&samples, "keepsight_stream_frames_processed_total", &[door, tracker], 90.0);
    check(&samples, "keepsight_stream_frames_dropped_total", &[door, tracker], 9.0);
    check(&samples, "keepsight_stream_frames_failed_total", &[door, tracker], 1.0);
    check(&samples, "keepsight_stream_latency_seconds_count", &[door, tracker], 1.0);

    let file = ("output", "file:tracks.jsonl");
    check(&samples, "keepsight_output_state", &[file, ("state", "failing")], 1.0);
    check(&samples, "keepsight_output_state", &[file, ("state", "writing")], 0.0);
    check(&samples, "keepsight_output_written_total", &[file], 90.0);
    check(&samples, "keepsight_output_dropped_total", &[file], 4.0);
    check(&samples, "keepsight_output_queued", &[file], 7.0);
}

#[test]
fn what_plugins_count_themselves_cannot_break_the_format() {
    let own = |value| MetricsSnapshot {
        counters: BTreeMap::from([
            ("frames seen".to_owned(), value),
            ("frames-seen".to_owned(), 100),
            ("x\"\\\n# TYPE".to_owned(), 1),
        ]),
        gauges: BTreeMap::from([
            ("frames_seen_total".to_owned(), 3.0),
            ("load".to_owned(), f64::NAN),
            ("wait_ms_sum".to_owned(), -1.5),
        ]),
        histograms: BTreeMap::from([
            ("wait_ms".to_owned(), histogram(&[1.0])),
            ("step".to_owned(), histogram(&[0.5, 3000.0])),
        ]),
        ..MetricsSnapshot::default()
    };
    let odd = "a \"b\" \\ \n c";
    let plugins = vec![plugin("tracker", own(1)), plugin(odd, own(2))];
    let samples = scrape(Metrics { plugins, ..Metrics::default() });
    // The name is there once, with the value of whoever came first.
    for (name, value) in [("tracker", 1.0), (odd, 2.0)] {
        let seen = samples.value("plugin_video_tracker_frames_seen_total", &[("plugin", name)]);
        assert_eq!(seen, Some(value));
        let steps = samples.value("plugin_video_tracker_step_sum", &[("plugin", name)]);
        assert_eq!(steps, Some(3000.5));
    }
    assert!(samples.value("plugin_video_tracker_load", &[("plugin", odd)]).unwrap().is_nan());
    let waits = samples.value("plugin_video_tracker_wait_ms_sum", &[("plugin", odd)]);
    assert_eq!(waits, Some(-1.5));
    assert_eq!(samples.count("plugin_video_tracker_wait_ms_bucket"), 0);
}

#[test]
fn metrics_are_private() {
    let server = FakeBackend::default().serve();
    let mut client = Client::connect(server.address());
    let head = "GET /metrics\nOrigin: http://evil.example";
    assert_eq!(client.request(head, "").status, 403);
}

#[test]
fn the_runtime_counts_as_it_goes() {
    Switch::named("metered", Behaviour::Gives);
    Script::default()
        .run(|request, _| {
            if request.frame().is_none() {
                panic!("only for frames");
            }
            Ok(Response::new())
        })
        .init(|host| {
            host.counter("starts").increment();
            Ok(())
        })
        .named("metered");
    let site = Site::start(
        "[streams.door]\nsource = \"test:metered\"\nplugins = [\"it\"]\n\
         [plugins.it]\nuse = \"scripted\"\nmemory = \"64MiB\"\n\
         config = { script = \"metered\" }",
    );
    site.await_state("it", "RUNNING");
    assert_eq!(site.run_tool("it", "do", &json!({})).0, 500);
    let scrape = || {
        let answer = get(site.address(), "/metrics");
        Samples::parse(&String::from_utf8(answer.body).unwrap())
    };
    let (it, door) = (("plugin", "it"), ("stream", "door"));
    let processed = |samples: &Samples| {
        samples.value("keepsight_stream_latency_seconds_count", &[door, it]).unwrap_or_default()
    };
    await_value(|| processed(&scrape()).into(), |count| count.as_f64() > Some(2.0));
    let samples = scrape();
    let errors = samples.value("keepsight_plugin_errors_total", &[it, ("kind", "run.panicked")]);
    assert_eq!(errors, Some(1.0));
    assert_eq!(samples.value("plugin_scripted_starts_total", &[it]), Some(1.0));
    assert_eq!(samples.value("keepsight_stream_state", &[door, ("state", "live")]), Some(1.0));
    let limit = samples.value("keepsight_plugin_memory_limit_bytes", &[it]);
    assert_eq!(limit, Some(67_108_864.0));
    assert!(samples.value("keepsight_plugin_memory_peak_bytes", &[it]) > Some(0.0));
    #[cfg(target_os = "linux")]
    assert!(samples.value("process_resident_memory_bytes", &[]).unwrap() > 1e6);
}
