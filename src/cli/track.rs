use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use keepsight_contract::{Pace, SourceUri, Tracks};
use serde_json::{Value, json};

use super::{
    ExitStatus, Failure, arguments::TrackOptions, blank_frames::BlankFrames, print,
    progress::Progress, settings, signals::Signals, track_files::TrackFiles,
};
use crate::{
    config::{Config, Mode, PluginConfig, Settings},
    lifecycle::LifecycleState,
    loader::{Catalog, PluginInstance, ProbeProgram},
    runtime::{Runtime, RuntimeOptions},
    streams::{FrameOutcome, SourceState, Stream},
};

/// What a run found, beside its files.
#[derive(Default)]
struct Tally {
    frames: u64,
    failed: u64,
    /// Pictures that the source left out, since nothing could be made of them.
    damaged: u64,
    tracks: BTreeSet<u64>,
}

/// Tracks a film or a folder of pictures, frame by frame, into files.
pub(super) fn track(
    options: &TrackOptions,
    catalog: &Catalog,
    json: bool,
) -> Result<ExitStatus, Failure> {
    TrackFiles::check_names(options.tracks.as_deref(), options.overlay.as_deref())
        .map_err(|error| Failure::of(ExitStatus::Configuration, &error))?;
    let catalog = &catalog.with_source(BlankFrames::REGISTRATION)?;
    let config = configuration(options, catalog)?;
    let (outcomes, results) = mpsc::sync_channel(OUTCOMES_WAITING);
    let probe_program =
        ProbeProgram::this().map_err(|error| Failure::of(ExitStatus::Failure, &error))?;
    let runtime_options = RuntimeOptions {
        probe_program,
        pace: Pace::Unpaced,
        // In mode Every the session may wait here, and the source with it.
        listeners: vec![Arc::new(move |outcome: &FrameOutcome| {
            let _ = outcomes.send(outcome.clone());
        })],
    };
    let runtime = Runtime::new(&config, catalog, runtime_options)
        .map_err(|error| Failure::of(ExitStatus::Configuration, &error))?;
    runtime.begin();
    let interrupted = watch_for_interrupt()?;
    let progress = Progress::new();
    let outcome = collect(options, &runtime, &results, &progress, &interrupted);
    let took = progress.finish();
    // Sessions that wait for us to take their outcome must not wait for ever.
    drop(results);
    let report = outcome.as_ref().map(|tally| summary(&runtime, tally, took));
    runtime.shut_down();
    match report {
        Ok(report) if json => print::json(&report)?,
        Ok(report) => print_summary(&report),
        Err(_) => {}
    }
    // What leaves pictures out must not pass for the whole input's tracks.
    let whole = |tally: &Tally| tally.failed == 0 && tally.damaged == 0;
    outcome.map(|tally| if whole(&tally) { ExitStatus::Success } else { ExitStatus::Failure })
}

/// One stream, one tracker, nothing dropped.
fn configuration(options: &TrackOptions, catalog: &Catalog) -> Result<Config, Failure> {
    let uri = source(options, catalog)?;
    let mut config = settings::for_source(&uri, catalog);
    let mut plugin = match &options.config {
        Some(file) => tracker_of(&settings::read(file, catalog)?, file.display())?,
        None => config.plugins.get(TRACKER).cloned().ok_or_else(|| {
            let message = "this build has no tracker; build with the feature video-tracker";
            Failure::new(ExitStatus::Missing, message)
        })?,
    };
    let mut settings = plugin.config.expose().clone();
    for (key, value) in [
        ("detect_every", options.detect_every.map(|interval| json!(interval))),
        ("detections", options.detections.as_ref().map(|path| json!(path))),
        ("camera_motion", options.camera_motion.as_ref().map(|path| json!(path))),
    ] {
        if let Some(value) = value {
            settings[key] = value;
        }
    }
    if options.input.is_none() {
        // Nothing is to be seen on frames without a picture.
        settings["follow"] = json!(false);
    }
    plugin.config = Settings::plain(settings);
    config.plugins = BTreeMap::from([(TRACKER.to_owned(), plugin)]);
    for stream in config.streams.values_mut() {
        stream.mode = Mode::Every;
        stream.plugins = vec![TRACKER.to_owned()];
    }
    Ok(config)
}

/// What the frames come from: a source by its URI, a path, or nothing but their number.
fn source(options: &TrackOptions, catalog: &Catalog) -> Result<String, Failure> {
    if let (Some(size), Some(rate), Some(detections)) =
        (options.size, options.fps, &options.detections)
    {
        return last_frame(detections).map(|count| BlankFrames::uri(size, rate, count)).map_err(
            |error| {
                let message = format!("cannot read {}: {error}", detections.display());
                Failure::new(ExitStatus::Missing, message)
            },
        );
    }
    let input = options.input.clone().expect("an argument that is required without the others");
    Ok(match input.parse::<SourceUri>() {
        Ok(uri) if catalog.source(uri.scheme()).is_some() => input,
        _ => format!("file:{input}"),
    })
}

/// The highest frame number in a MOT text. What is no such text is left for the tracker to
/// complain of.
fn last_frame(path: &Path) -> io::Result<u64> {
    let mut reader = BufReader::new(File::open(path)?);
    let (mut last, mut line) = (1, Vec::new());
    loop {
        line.clear();
        let bytes = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if bytes == 0 || line.len() as u64 == LINE_BYTES_MAX {
            return Ok(last);
        }
        let text = String::from_utf8_lossy(&line);
        let number = text.split(',').next().and_then(|number| number.trim().parse().ok());
        last = last.max(number.filter(|number| *number <= FRAME_MAX).unwrap_or(0));
    }
}

fn tracker_of(config: &Config, file: impl std::fmt::Display) -> Result<PluginConfig, Failure> {
    let tracker = config.plugins.values().find(|plugin| plugin.plugin == TRACKER);
    tracker.cloned().ok_or_else(|| {
        let message = format!("{file} has no instance of {TRACKER}");
        Failure::new(ExitStatus::Configuration, message)
    })
}

fn collect(
    options: &TrackOptions,
    runtime: &Runtime,
    results: &mpsc::Receiver<FrameOutcome>,
    progress: &Progress,
    interrupted: &AtomicBool,
) -> Result<Tally, Failure> {
    let streams = runtime.streams();
    let stream = streams.streams().next().expect("the configuration has one stream");
    let instance = runtime.registry().find(TRACKER).expect("the configuration has the tracker");
    let failed = |error| Failure::of(ExitStatus::Failure, &error);
    let mut files: Option<TrackFiles> = None;
    let mut tally = Tally::default();
    while !interrupted.load(Relaxed) {
        let outcome = match results.recv_timeout(LOOK_ROUND) {
            Ok(outcome) => outcome,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                // A source that failed for good brings no more, but what it brought is still
                // worked on until the stream ends.
                if stream.wait_ended(Duration::ZERO) || is_hopeless(&stream, &instance) {
                    break;
                }
                continue;
            }
        };
        if tally.frames == 0 {
            let expected = stream.report().status.frames_expected;
            expected.into_iter().for_each(|total| progress.expect(total));
        }
        let index = outcome.frame.sequence();
        match &outcome.result {
            Ok(response) => {
                let rate = stream.report().status.info.and_then(|info| info.rate);
                let open = || {
                    let (tracks, film) = (options.tracks.as_deref(), options.overlay.as_deref());
                    TrackFiles::create(tracks, film, rate.unwrap_or(RATE_UNKNOWN))
                };
                let files = match &mut files {
                    Some(files) => files,
                    None => files.insert(open().map_err(failed)?),
                };
                files.add(index, &outcome.frame, response).map_err(failed)?;
                let tracks = response.output::<Tracks>().into_iter().flat_map(|tracks| &tracks.0);
                tally.tracks.extend(tracks.map(|track| track.track_id));
            }
            Err(reason) => {
                tally.failed += 1;
                print::error(&format!("frame {}: {reason}", index + 1));
            }
        }
        tally.frames += 1;
        progress.advance();
    }
    tally.damaged = damaged(runtime);
    if tally.damaged > 0 {
        let pictures = if tally.damaged == 1 { "picture" } else { "pictures" };
        print::error(&format!("left out: {} damaged {pictures}", tally.damaged));
    }
    let Some(mut trouble) = trouble(&stream, &instance) else {
        files.map_or(Ok(()), TrackFiles::finish).map_err(failed)?;
        return Ok(tally);
    };
    if let Some(files) = files {
        for path in files.keep_unfinished().map_err(failed)? {
            trouble.message.push_str(&format!("; what came before is in {}", path.display()));
        }
    }
    Err(trouble)
}

/// How many pictures the source counts that it left out.
fn damaged(runtime: &Runtime) -> u64 {
    let streams = runtime.inspector().metrics().streams;
    streams.iter().filter_map(|stream| stream.own.counters.get("frames_damaged")).sum()
}

/// Whether there is no use in waiting for more, even for what is being worked on.
fn is_hopeless(stream: &Stream, instance: &PluginInstance) -> bool {
    let state = instance.report().state;
    matches!(state, LifecycleState::Failed | LifecycleState::Unavailable)
        || stream.report().status.state == SourceState::Reconnecting
}

/// Why the input was not tracked to its end, if it was not.
fn trouble(stream: &Stream, instance: &PluginInstance) -> Option<Failure> {
    let report = instance.report();
    if matches!(report.state, LifecycleState::Failed | LifecycleState::Unavailable) {
        let hint = report.cause.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        let message = format!("the tracker is {}: {}{hint}", report.state, report.cause.reason);
        return Some(Failure::new(ExitStatus::Missing, message));
    }
    let status = stream.report().status;
    if matches!(status.state, SourceState::Reconnecting | SourceState::Failed) {
        let reason = status.reason.unwrap_or_else(|| "no frames".to_owned());
        let hint = status.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        return Some(Failure::new(ExitStatus::Missing, format!("{reason}{hint}")));
    }
    None
}

fn summary(runtime: &Runtime, tally: &Tally, took: Duration) -> Value {
    let mut steps = BTreeMap::new();
    if let Some(instance) = runtime.registry().find(TRACKER) {
        for (name, histogram) in instance.services().metrics().histograms {
            let mean = histogram.sum / histogram.count.max(1) as f64;
            let p99 = histogram.quantile(0.99);
            steps.insert(name, json!({"mean": mean, "p99": p99, "max": histogram.max}));
        }
    }
    json!({
        "frames": tally.frames,
        "frames_failed": tally.failed,
        "frames_damaged": tally.damaged,
        "tracks": tally.tracks.len(),
        "seconds": took.as_secs_f64(),
        "frames_per_second": tally.frames as f64 / took.as_secs_f64().max(1e-9),
        "steps": steps,
    })
}

fn print_summary(report: &Value) {
    let number = |name: &str| report[name].as_f64().unwrap_or_default();
    print::line(&format!(
        "{} frames, {} tracks, {:.1} s, {:.1} frames a second",
        number("frames"),
        number("tracks"),
        number("seconds"),
        number("frames_per_second"),
    ));
    for (name, step) in report["steps"].as_object().into_iter().flatten() {
        let mean = step["mean"].as_f64().unwrap_or_default();
        print::line(&format!("    {name:24} mean {mean:8.2}"));
    }
}

/// Set once the person asks to end: files are finished with what there is.
fn watch_for_interrupt() -> Result<Arc<AtomicBool>, Failure> {
    let failed = |error| Failure::of(ExitStatus::Failure, &error);
    let mut signals = Signals::catch().map_err(failed)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let set = interrupted.clone();
    // It waits for a signal until the process ends, which doesn't wait for it.
    let watch = move || {
        while signals.wait(LONG).is_none() {}
        set.store(true, Relaxed);
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch).map_err(failed)?;
    Ok(interrupted)
}

/// Id of the plugin that tracks.
const TRACKER: &str = "video-tracker";
/// Outcomes that may wait to be written.
const OUTCOMES_WAITING: usize = 8;
/// What a line of detections has at most, and which number a frame.
const LINE_BYTES_MAX: u64 = 1_024;
const FRAME_MAX: u64 = 10_000_000;
/// Frame rate of a film whose input has none, in frames a second.
const RATE_UNKNOWN: f64 = 25.0;
const LOOK_ROUND: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(3600);
