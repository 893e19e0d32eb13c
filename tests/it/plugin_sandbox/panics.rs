//! Panics of every shape become data.

use std::panic::panic_any;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};

use keepsight::sandbox::{PanicReport, Phase, RunFault};

use super::support::{BOUND, nobody_abandons, sandbox, scope};

/// Panics whenever it is dropped.
struct FallsOnDrop(&'static str);

impl Drop for FallsOnDrop {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

#[track_caller]
fn check(falls: impl FnOnce() + Send + 'static, message: &str) -> PanicReport {
    let sandbox = sandbox();
    let outcome = sandbox.run_once("falls", scope("falls"), Phase::Run, BOUND, move |_| falls());
    match outcome {
        Err(RunFault::Panicked { phase: Phase::Run, report }) => {
            assert_eq!(report.message, message);
            assert_eq!(report.thread, "falls");
            assert!(!report.hook_replaced);
            assert_eq!(sandbox.abandoned_total().ever, 0, "nothing was abandoned");
            report
        }
        other => panic!("expected a panic, got {other:?}"),
    }
}

#[test]
fn a_panic_with_a_string() {
    check(|| panic!("plain"), "plain");
}

#[test]
fn a_panic_with_a_formatted_message() {
    let number = 7;
    check(move || panic!("number {number}"), "number 7");
}

#[test]
fn a_panic_with_a_payload_of_its_own() {
    check(|| panic_any(vec![1, 2, 3]), "a panic whose payload is no text");
}

#[test]
fn a_panic_whose_payload_panics_when_dropped() {
    check(|| panic_any(FallsOnDrop("the payload's own")), "a panic whose payload is no text");
}

#[test]
fn a_panic_of_the_language_itself() {
    let empty: Vec<u8> = Vec::new();
    let report = check(
        move || assert_eq!(empty[3], 0),
        "index out of bounds: the len is 0 but the index is 3",
    );
    assert!(report.location.is_some());
}

#[test]
fn the_report_says_where() {
    let line = line!() + 1;
    let report = check(|| panic!("here"), "here");
    let location = report.location.expect("the hook kept it");
    let (file, place) = location.split_once(".rs:").expect("file:line:column");
    assert!(file.ends_with("panics"), "{location}");
    let (at_line, column) = place.split_once(':').expect("file:line:column");
    assert_eq!(at_line.parse::<u32>(), Ok(line), "{location}");
    assert!(column.parse::<u32>().is_ok(), "{location}");
}

#[test]
fn the_first_report_of_an_instance_has_a_backtrace_and_the_next_has_not() {
    fn a_name_to_look_for(scope: &str) -> PanicReport {
        let outcome: Result<(), RunFault> =
            sandbox().run_once("falls", super::support::scope(scope), Phase::Run, BOUND, |_| {
                panic!("deep")
            });
        let Err(RunFault::Panicked { report, .. }) = outcome else { panic!("it panics") };
        report
    }
    // Instances share 64 places by a random hash, and other tests use some.
    let first = (0..1000)
        .map(|number| a_name_to_look_for(&format!("backtrace-{number}")))
        .find_map(|report| report.backtrace)
        .expect("one in a thousand instances has a place to itself");
    let text = first.to_string();
    assert!(text.contains("a_name_to_look_for"), "{text}");
}

#[test]
fn a_session_that_panics_in_drop_ends_with_a_fault_of_close() {
    let (outcome, outcomes) = mpsc::channel();
    let worker = sandbox()
        .spawn_worker("close", scope("close"), nobody_abandons, move |seat| {
            let session = seat.run(Phase::Open, BOUND, |_| FallsOnDrop("in drop")).unwrap();
            outcome.send(seat.run(Phase::Close, BOUND, move |_| drop(session))).unwrap();
        })
        .unwrap();
    let fault = outcomes.recv_timeout(BOUND).unwrap().unwrap_err();
    assert_eq!(fault.code(), "close.panicked");
    assert!(worker.join_within(BOUND));
}

#[test]
fn a_worker_goes_on_after_a_panic() {
    let (outcome, outcomes) = mpsc::channel();
    let worker = sandbox()
        .spawn_worker("goes-on", scope("goes-on"), nobody_abandons, move |seat| {
            for number in 0..4 {
                let result = seat.run(Phase::Run, BOUND, |_| {
                    assert!(number % 2 == 0, "odd");
                    number
                });
                outcome.send(result.map_err(|fault| fault.code())).unwrap();
            }
        })
        .unwrap();
    let all: Vec<_> = (0..4).map(|_| outcomes.recv_timeout(BOUND).unwrap()).collect();
    assert_eq!(all, [Ok(0), Err("run.panicked"), Ok(2), Err("run.panicked")]);
    assert!(worker.join_within(BOUND));
}

#[test]
fn a_body_that_panics_outside_a_call_is_reported() {
    let (fault, faults) = mpsc::channel();
    let worker = sandbox()
        .spawn_worker(
            "body",
            scope("body"),
            move |reported| fault.send(reported).unwrap(),
            |_seat| panic!("outside"),
        )
        .unwrap();
    let fault = faults.recv_timeout(BOUND).unwrap();
    assert_eq!(fault.code(), "thread.panicked");
    assert!(worker.join_within(BOUND));
}

#[test]
fn ten_thousand_panics_leave_no_thread_and_one_worker() {
    const NAME: &str = "ten-thousand";
    let sandbox = sandbox();
    let caught = Arc::new(AtomicU32::new(0));
    let worker = sandbox
        .spawn_worker(NAME, scope(NAME), nobody_abandons, {
            let caught = caught.clone();
            move |seat| {
                for number in 0..9_000 {
                    let result: Result<(), _> = seat.run(Phase::Run, BOUND, |_| panic!("{number}"));
                    caught.fetch_add(u32::from(result.is_err()), Ordering::Relaxed);
                }
            }
        })
        .unwrap();
    for _ in 0..1_000 {
        let result: Result<(), _> =
            sandbox.run_once(NAME, scope(NAME), Phase::Run, BOUND, |_| panic!("alone"));
        caught.fetch_add(u32::from(result.is_err()), Ordering::Relaxed);
    }
    assert!(worker.join_within(BOUND));
    assert_eq!(caught.load(Ordering::Relaxed), 10_000);
    assert_eq!(sandbox.abandoned_total().ever, 0);
    #[cfg(target_os = "linux")]
    super::support::eventually("every thread of that name is gone", || threads_named(NAME) == 0);
}

#[cfg(target_os = "linux")]
fn threads_named(name: &str) -> usize {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|comm| comm.trim_end() == name)
        .count()
}
