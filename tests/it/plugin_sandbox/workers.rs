//! A worker from start to end: its calls, its stop, and what cannot be started.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use keepsight::sandbox::{
    AbandonReason, Activity, Phase, RunFault, Sandbox, SandboxLimits, SandboxScope,
};

use super::support::{BOUND, Gate, SHORT, eventually, nobody_abandons, sandbox, scope};

#[test]
fn state_lives_on_one_thread_from_open_to_close() {
    let (answer, answers) = mpsc::channel();
    let (ask, asked) = mpsc::channel::<u32>();
    let worker = sandbox()
        .spawn_worker("session", scope("session"), nobody_abandons, move |seat| {
            // An `Rc` cannot leave its thread.
            let session = seat.run(Phase::Open, BOUND, |_| std::rc::Rc::new(40)).unwrap();
            for number in asked {
                let sum = seat.run(Phase::Run, BOUND, |_| *session + number);
                answer.send(sum.unwrap()).unwrap();
            }
            seat.run(Phase::Close, BOUND, move |_| drop(session)).unwrap();
        })
        .unwrap();
    for number in [2, 60] {
        ask.send(number).unwrap();
        assert_eq!(answers.recv_timeout(BOUND).unwrap(), 40 + number);
    }
    eventually("it waits", || worker.activity() == Activity::Idle);
    drop(ask);
    assert!(worker.join_within(BOUND));
    assert!(worker.is_finished());
    assert_eq!(worker.activity(), Activity::Ended);
}

#[test]
fn a_call_runs_in_its_scope_with_its_deadline() {
    let scope = SandboxScope::new("tracker", Some("door".into()), 7);
    let before = Instant::now();
    let seen = sandbox().run_once("scope", scope, Phase::Run, BOUND, |call| {
        assert_eq!(call.memory_left(), None, "not measured");
        (call.deadline(), SandboxScope::current())
    });
    let (deadline, scope) = seen.unwrap();
    assert!(deadline >= before + BOUND && deadline <= Instant::now() + BOUND);
    let scope = scope.expect("inside");
    assert_eq!(&**scope.instance(), "tracker");
    assert_eq!(scope.stream().map(|stream| &**stream), Some("door"));
    assert_eq!(scope.generation(), 7);
    assert!(SandboxScope::current().is_none(), "and not outside");
}

#[test]
fn a_stop_cancels_the_running_call_and_lets_it_clean_up() {
    for reason in [AbandonReason::Reload, AbandonReason::Shutdown] {
        let (step, steps) = mpsc::channel();
        let worker = sandbox()
            .spawn_worker("stop", scope("stop"), nobody_abandons, move |seat| {
                let waited = seat.run(Phase::Run, BOUND, |call| {
                    step.send("running").unwrap();
                    while call.checkpoint().is_ok() {
                        std::thread::yield_now();
                    }
                    Instant::now() < call.deadline()
                });
                assert!(waited.unwrap(), "cancelled, not timed out");
                assert!(seat.stop_requested() && !seat.is_abandoned());
                assert_eq!(seat.stop_reason(), Some(reason));
                let refused = seat.run(Phase::Run, BOUND, |_| ()).unwrap_err();
                assert!(
                    matches!(refused, RunFault::Cancelled { reason: because } if because == reason)
                );
                seat.run(Phase::Close, BOUND, |call| assert!(!call.is_cancelled())).unwrap();
                step.send("closed").unwrap();
            })
            .unwrap();
        assert_eq!(steps.recv_timeout(BOUND), Ok("running"));
        worker.stop_for(reason);
        worker.stop();
        assert_eq!(steps.recv_timeout(BOUND), Ok("closed"));
        assert!(worker.join_within(BOUND));
    }
}

#[test]
fn a_worker_that_does_not_stop_is_abandoned_by_join() {
    let sandbox = sandbox();
    let (gate, keeper) = Gate::closed();
    let (fault, faults) = mpsc::channel();
    let (started, starts) = mpsc::channel();
    let worker = sandbox
        .spawn_worker(
            "stubborn",
            scope("stubborn"),
            move |reported| fault.send(reported.code()).unwrap(),
            move |seat| {
                let held = seat.run(Phase::Run, Duration::MAX, |_| {
                    started.send(()).unwrap();
                    gate.wait();
                });
                drop(held);
            },
        )
        .unwrap();
    starts.recv_timeout(BOUND).unwrap();
    worker.stop();
    assert!(!worker.join_within(Duration::ZERO));
    assert_eq!(faults.recv_timeout(BOUND), Ok("cancelled.shutdown"));
    assert_eq!(worker.activity(), Activity::Abandoned);
    assert_eq!(sandbox.abandoned_of("stubborn"), 1);
    assert!(!worker.join_within(Duration::ZERO), "still not, and it is told only once");
    assert!(faults.try_recv().is_err());

    keeper.open();
    assert!(worker.join_within(BOUND));
    assert_eq!(sandbox.abandoned_of("stubborn"), 0);
}

#[test]
fn a_worker_that_hangs_between_calls_is_abandoned_too() {
    let sandbox = sandbox();
    let (gate, keeper) = Gate::closed();
    let (fault, faults) = mpsc::channel();
    let (outcome, outcomes) = mpsc::channel();
    let worker = sandbox
        .spawn_worker(
            "between",
            scope("between"),
            move |reported| fault.send(reported.code()).unwrap(),
            move |seat| {
                gate.wait();
                outcome.send(seat.run(Phase::Run, BOUND, |_| ()).map_err(|it| it.code())).unwrap();
            },
        )
        .unwrap();
    worker.stop_for(AbandonReason::Reload);
    assert!(!worker.join_within(Duration::ZERO));
    assert_eq!(faults.recv_timeout(BOUND), Ok("cancelled.reload"));
    keeper.open();
    assert_eq!(outcomes.recv_timeout(BOUND), Ok(Err("cancelled.reload")));
    assert!(worker.join_within(BOUND));
}

#[test]
fn a_call_inside_a_call_is_part_of_it() {
    let (outcome, outcomes) = mpsc::channel();
    let worker = sandbox()
        .spawn_worker("nest", scope("nest"), nobody_abandons, move |seat| {
            let outer = seat.run(Phase::Run, BOUND, |outer| {
                let inner = seat.run(Phase::Run, Duration::MAX, |inner| inner.deadline());
                let falls: Result<(), _> = seat.run(Phase::Close, BOUND, |_| panic!("inside"));
                (inner.unwrap() == outer.deadline(), falls.unwrap_err().code())
            });
            let next = seat.run(Phase::Run, BOUND, |_| "next");
            outcome.send((outer.unwrap(), next.unwrap())).unwrap();
        })
        .unwrap();
    let outcome = outcomes.recv_timeout(BOUND).unwrap();
    assert_eq!(outcome, ((true, "close.panicked"), "next"));
    assert!(worker.join_within(BOUND));
}

#[test]
fn a_thread_that_the_system_refuses_is_a_fault() {
    let limits = SandboxLimits { stack_bytes: Some(1 << 60), ..SandboxLimits::default() };
    let refused = Sandbox::new(limits).run_once("none", scope("none"), Phase::Run, BOUND, |_| ());
    let fault = refused.unwrap_err();
    assert!(matches!(fault, RunFault::WorkerUnavailable { .. }), "{fault:?}");
    assert_eq!(fault.code(), "sandbox.worker_unavailable");
    assert!(std::error::Error::source(&fault).is_some(), "the system's own words");
}

#[test]
fn a_sandbox_lives_as_long_as_its_workers() {
    let (gate, keeper) = Gate::closed();
    let (fault, faults) = mpsc::channel();
    let worker = {
        let sandbox = sandbox();
        sandbox
            .spawn_worker(
                "orphan",
                scope("orphan"),
                move |reported| fault.send(reported.code()).unwrap(),
                move |seat| drop(seat.run(Phase::Run, super::support::SHORT, |_| gate.wait())),
            )
            .unwrap()
    };
    let told = faults.recv_timeout(BOUND);
    assert_eq!(told, Ok("run.timed_out"), "its watchdog still watches");
    keeper.open();
    assert!(worker.join_within(BOUND));
}

/// Says when its drop ends, which waits for a gate.
struct DroppedSlowly(Gate, mpsc::Sender<()>);

impl Drop for DroppedSlowly {
    fn drop(&mut self) {
        self.0.wait();
        self.1.send(()).unwrap();
    }
}

#[test]
fn the_end_waits_for_what_is_being_dropped() {
    let sandbox = sandbox();
    let ((gate, keeper), (dropped, drops)) = (Gate::closed(), mpsc::channel());
    let foreign = DroppedSlowly(gate, dropped);
    sandbox.drop_foreign(scope("slow"), BOUND, foreign, |fault| panic!("{fault}"));
    assert_eq!(sandbox.join_drops(Instant::now()), 1);
    keeper.open();
    assert_eq!(sandbox.join_drops(Instant::now() + BOUND), 0);
    drops.try_recv().expect("dropped");
}

#[test]
fn the_end_does_not_wait_for_a_drop_that_was_given_up() {
    let sandbox = sandbox();
    let ((gate, keeper), (dropped, drops)) = (Gate::closed(), mpsc::channel());
    let (told, faults) = mpsc::channel();
    let tell = move |fault: &RunFault| told.send(fault.to_string()).unwrap();
    sandbox.drop_foreign(scope("hung"), SHORT, DroppedSlowly(gate, dropped), tell);
    faults.recv_timeout(BOUND).expect("given up");
    assert_eq!(sandbox.join_drops(Instant::now() + BOUND), 0);
    assert_eq!(sandbox.abandoned_total().now, 1, "and it is still there");
    keeper.open();
    drops.recv_timeout(BOUND).expect("dropped in the end");
}
