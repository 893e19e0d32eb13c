//! Targets that are slow, hang, panic and refuse, and streams that don't notice.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use keepsight::{
    loader::{BackoffPolicy, InstanceHost},
    outputs::{Output, OutputLimits, OutputSpec, OutputState, OutputStatus},
    sandbox::{Sandbox, SandboxLimits},
    streams::{FrameOutcome, Listener},
};
use keepsight_contract::{OutputKind, Response, Tracks, testing::frames};
use serde_json::json;

use super::support::{
    Sink, SinkBehaviour, await_end, await_report, output, report, setup, start, stream,
};
use crate::support::{Gate, gate::LONGEST, site::await_value};

/// An output to the sink `name` without streams, with limits that a test can wait for.
fn lone(name: &str, write_limit: Duration) -> (Output, Listener) {
    let kinds = [OutputKind::Tracks];
    let mut spec =
        OutputSpec::new(&format!("sink:{name}"), name, &kinds, (None, None), &setup().catalog)
            .unwrap();
    let wait = Duration::from_millis(10);
    spec.limits = OutputLimits {
        open: write_limit.min(Duration::from_millis(50)),
        write: write_limit,
        flush_every: wait,
        queue_length: NonZeroUsize::new(8).unwrap(),
        backoff: BackoffPolicy { first: wait, longest: wait },
        ..OutputLimits::default()
    };
    let sandbox = Sandbox::new(SandboxLimits::default());
    let host = InstanceHost::new(name, None, &sandbox, |_| {});
    let output = Output::start(name, spec, host, sandbox);
    let listener = output.listener();
    (output, listener)
}

fn outcome(sequence: u64) -> FrameOutcome {
    FrameOutcome {
        stream: "s".into(),
        plugin: "p".into(),
        frame: frames::gray(2, 2, |_, _| 0).renumbered(sequence),
        result: Ok(Arc::new(Response::new().with(Tracks::default()))),
        took: Duration::ZERO,
    }
}

#[track_caller]
fn await_status(output: &Output, wanted: impl Fn(&OutputStatus) -> bool) -> OutputStatus {
    let ask = || {
        let status = output.status();
        json!({ "wanted": wanted(&status), "status": format!("{status:?}") })
    };
    await_value(ask, |value| value["wanted"] == true);
    output.status()
}

#[test]
fn an_output_that_hangs_slows_no_stream_of_any_mode() {
    let gate = Gate::default();
    let sink = Sink::named("stuck", SinkBehaviour::Hangs(gate.clone()));
    let frames = 3000;
    let toml =
        stream(&format!("stuck?frames={frames}"), "every") + &output("sink:stuck", "\"tracks\"");
    let site = start(&toml);
    gate.await_waiting(1);
    let stream = await_end(&site);
    assert_eq!(stream["plugins"][0]["processed"], frames);
    assert!(sink.sequences().is_empty(), "the output hung all the while");

    let stuck = report(&site);
    assert!(stuck.overflowing);
    assert_eq!(stuck.queued as u64 + stuck.dropped, frames, "each record is accounted for");
    gate.open();
    let done = await_report(&site, |report| report.queued == 0);
    assert_eq!(done.written + done.dropped, frames);
    assert!(!done.overflowing);
    let newest: Vec<u64> = (frames - 1024..frames).collect();
    assert!(sink.sequences().ends_with(&newest), "the oldest were lost and no newer ones");
}

#[test]
fn a_target_that_never_returns_is_given_up_and_replaced() {
    let gate = Gate::default();
    let sink = Sink::named("hung", SinkBehaviour::Hangs(gate.clone()));
    let (output, put) = lone("hung", Duration::from_millis(20));
    put(&outcome(0));
    let status = await_status(&output, |status| status.state == OutputState::Failing);
    let trouble = status.last_trouble.unwrap();
    assert_eq!(trouble.code, "output.timed_out");
    assert_eq!((status.written, status.dropped), (0, 1));

    sink.set(SinkBehaviour::Takes);
    put(&outcome(1));
    await_status(&output, |status| status.state == OutputState::Writing);
    assert_eq!(sink.sequences(), [1]);
    gate.open();
}

#[test]
fn a_target_whose_opening_hangs_loses_no_record() {
    let gate = Gate::default();
    let sink = Sink::named("opening", SinkBehaviour::OpeningHangs(gate.clone()));
    let (output, put) = lone("opening", LONGEST);
    put(&outcome(0));
    let status = await_status(&output, |status| status.state == OutputState::Failing);
    assert_eq!(status.last_trouble.unwrap().code, "output.timed_out");
    sink.set(SinkBehaviour::Takes);
    let status = await_status(&output, |status| status.written == 1);
    assert_eq!((status.state, status.dropped), (OutputState::Writing, 0));
    gate.open();
}

#[test]
fn a_target_that_keeps_nothing_fails_until_a_record_shows_that_it_does() {
    let sink = Sink::named("flushes", SinkBehaviour::KeepsNothing);
    let (output, put) = lone("flushes", LONGEST);
    put(&outcome(0));
    let status = await_status(&output, |status| status.state == OutputState::Failing);
    assert_eq!(status.last_trouble.unwrap().reason, "the test keeps nothing");
    sink.set(SinkBehaviour::Takes);
    put(&outcome(1));
    await_status(&output, |status| status.state == OutputState::Writing);
    assert_eq!(sink.sequences(), [0, 1]);
}

#[test]
fn a_panic_ends_nothing_and_the_record_is_tried_again() {
    let sink = Sink::named("panics", SinkBehaviour::Panics);
    let (output, put) = lone("panics", LONGEST);
    put(&outcome(0));
    let status = await_status(&output, |status| status.dropped == 1);
    assert_eq!(status.state, OutputState::Failing);
    let trouble = status.last_trouble.unwrap();
    assert_eq!(trouble.code, "output.panicked");
    assert!(trouble.reason.contains("the test's target panics"), "{}", trouble.reason);

    sink.set(SinkBehaviour::Takes);
    put(&outcome(1));
    await_status(&output, |status| status.state == OutputState::Writing);
    assert_eq!(sink.sequences(), [1]);
}

#[test]
fn a_record_that_can_not_be_written_makes_way() {
    let sink = Sink::named("stumbles", SinkBehaviour::StumblesAt(1));
    let (output, put) = lone("stumbles", LONGEST);
    for sequence in 0..4 {
        put(&outcome(sequence));
    }
    let status = await_status(&output, |status| status.written == 3);
    assert_eq!((status.state, status.dropped), (OutputState::Writing, 1));
    assert_eq!(sink.sequences(), [0, 2, 3]);
}

#[test]
fn what_can_not_be_opened_keeps_the_newest_until_it_can() {
    let sink = Sink::named("refuses", SinkBehaviour::Refuses);
    let (output, put) = lone("refuses", LONGEST);
    for sequence in 0..20 {
        put(&outcome(sequence));
    }
    let status = await_status(&output, |status| status.state == OutputState::Failing);
    assert_eq!((status.queued, status.dropped), (8, 12));
    assert_eq!(status.last_trouble.unwrap().reason, "the test refuses");
    sink.set(SinkBehaviour::Takes);
    await_status(&output, |status| status.written == 8);
    assert_eq!(sink.sequences(), (12..20).collect::<Vec<_>>());
}

#[test]
fn at_the_end_all_that_waits_is_written_or_counted() {
    let sink = Sink::named("ends", SinkBehaviour::Takes);
    let (output, put) = lone("ends", LONGEST);
    for sequence in 0..5 {
        put(&outcome(sequence));
    }
    output.stop();
    output.join(LONGEST);
    assert_eq!(sink.sequences(), [0, 1, 2, 3, 4]);
    put(&outcome(5));
    let status = output.status();
    assert_eq!((status.written, status.dropped, status.queued), (5, 1, 0));

    let gate = Gate::default();
    Sink::named("ends-late", SinkBehaviour::Hangs(gate.clone()));
    let (output, put) = lone("ends-late", LONGEST);
    for sequence in 0..5 {
        put(&outcome(sequence));
    }
    gate.await_waiting(1);
    output.stop();
    output.join(Duration::from_millis(10));
    let status = output.status();
    assert_eq!((status.written, status.dropped, status.queued), (0, 5, 0));
    gate.open();
}
