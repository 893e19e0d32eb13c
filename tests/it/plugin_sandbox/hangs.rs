//! Code that does not return: the caller has its answer, the thread is counted, and reclaimed.

use std::panic::panic_any;
use std::sync::mpsc;
use std::time::Duration;

use keepsight::sandbox::{Activity, Phase, RunFault, Sandbox, SandboxLimits, Worker};

use super::support::{BEGUN, BOUND, Gate, SHORT, eventually, nobody_abandons, sandbox, scope};

/// Panics on drop, and says that it was dropped.
struct LateResult(mpsc::Sender<()>);

impl Drop for LateResult {
    fn drop(&mut self) {
        self.0.send(()).unwrap();
        panic_any("a late result's own panic");
    }
}

#[test]
fn the_caller_has_its_answer_and_the_thread_is_reclaimed_when_it_returns() {
    let sandbox = sandbox();
    let (gate, keeper) = Gate::closed();
    let outcome = sandbox.run_once("hang", scope("hang"), Phase::Init, BEGUN, move |_| gate.wait());
    let fault = outcome.unwrap_err();
    assert!(matches!(fault, RunFault::TimedOut { phase: Phase::Init, limit: BEGUN }), "{fault}");
    assert_eq!(fault.code(), "init.timed_out");
    assert_eq!((sandbox.abandoned_total().now, sandbox.abandoned_of("hang")), (1, 1));

    keeper.open();
    eventually("the thread is reclaimed", || sandbox.abandoned_total().now == 0);
    assert_eq!(sandbox.abandoned_of("hang"), 0);
    assert_eq!(sandbox.abandoned_total().ever, 1);
    let sum = sandbox.run_once("next", scope("hang"), Phase::Init, BOUND, |_| 1 + 1);
    assert_eq!(sum.unwrap(), 2, "and the instance goes on");
}

#[test]
fn a_late_result_is_dropped_and_nobody_gets_it() {
    let sandbox = sandbox();
    let (gate, keeper) = Gate::closed();
    let (fault, faults) = mpsc::channel();
    let (dropped, drops) = mpsc::channel();
    let (outcome, outcomes) = mpsc::channel();
    let worker = sandbox
        .spawn_worker(
            "late",
            scope("late"),
            move |reported| fault.send((reported.code(), thread_name())).unwrap(),
            move |seat| {
                let result = seat.run(Phase::Run, SHORT, |call| {
                    gate.wait();
                    assert!(call.is_cancelled(), "it could have known");
                    LateResult(dropped)
                });
                let codes = (result.map(|_| ()).unwrap_err().code(), seat.is_abandoned());
                let next = seat.run(Phase::Close, BOUND, |_| ()).unwrap_err().code();
                outcome.send((codes, next)).unwrap();
            },
        )
        .unwrap();
    let reported = faults.recv_timeout(BOUND).unwrap();
    assert_eq!(reported, ("run.timed_out", "keepsight-watchdog".to_owned()));
    assert_eq!(worker.activity(), Activity::Abandoned);

    keeper.open();
    drops.recv_timeout(BOUND).expect("dropped, by the worker");
    let outcome = outcomes.recv_timeout(BOUND).unwrap();
    assert_eq!(outcome, (("run.timed_out", true), "cancelled.deadline"));
    assert!(worker.join_within(BOUND));
    assert_eq!(worker.activity(), Activity::Ended);
    assert_eq!(sandbox.abandoned_total().now, 0);
}

#[test]
fn code_that_heeds_its_deadline_is_no_fault() {
    // A grace that no scheduler uses up.
    let limits = SandboxLimits { grace: BOUND, ..SandboxLimits::default() };
    let sandbox = Sandbox::new(limits);
    let (outcome, outcomes) = mpsc::channel();
    let worker = sandbox
        .spawn_worker("heeds", scope("heeds"), nobody_abandons, move |seat| {
            for _ in 0..3 {
                let cancelled = seat.run(Phase::Run, SHORT, |call| {
                    while !call.is_cancelled() {
                        std::thread::yield_now();
                    }
                    "stopped in time"
                });
                let fresh = seat.run(Phase::Run, BOUND, |call| call.is_cancelled());
                outcome.send((cancelled.unwrap(), fresh.unwrap(), seat.stop_reason())).unwrap();
            }
        })
        .unwrap();
    for _ in 0..3 {
        let outcome = outcomes.recv_timeout(BOUND).unwrap();
        assert_eq!(outcome, ("stopped in time", false, None), "and the next call starts afresh");
    }
    assert!(worker.join_within(BOUND));
    assert_eq!(sandbox.abandoned_total().ever, 0);
}

#[test]
fn sixty_four_workers_that_hang_at_once_are_all_given_up() {
    let limits = SandboxLimits { abandoned_per_instance: 64, ..SandboxLimits::default() };
    let sandbox = Sandbox::new(limits);
    let (gate, keeper) = Gate::closed();
    let (fault, faults) = mpsc::channel();
    let workers: Vec<Worker> = (0..64)
        .map(|number| {
            let (gate, fault) = (gate.clone(), fault.clone());
            sandbox
                .spawn_worker(
                    &format!("hang-{number}"),
                    scope("many"),
                    move |reported| fault.send(reported.code()).unwrap(),
                    move |seat| drop(seat.run(Phase::Run, SHORT, |_| gate.wait())),
                )
                .unwrap()
        })
        .collect();
    for _ in 0..64 {
        assert_eq!(faults.recv_timeout(BOUND).unwrap(), "run.timed_out");
    }
    assert_eq!((sandbox.abandoned_total().now, sandbox.abandoned_of("many")), (64, 64));
    let refused = sandbox.run_once("65", scope("many"), Phase::Run, BOUND, |_| ()).unwrap_err();
    assert_eq!(refused.code(), "sandbox.instance_cap_reached");
    let other = sandbox.run_once("other", scope("other"), Phase::Run, BOUND, |_| "alive");
    assert_eq!(other.unwrap(), "alive");
    assert!(!sandbox.containment_lost());

    keeper.open();
    assert!(workers.iter().all(|worker| worker.join_within(BOUND)));
    assert_eq!(sandbox.abandoned_total().now, 0);
}

#[test]
fn at_the_process_cap_containment_is_lost_until_a_thread_returns() {
    let limits = SandboxLimits { abandoned_per_process: 2, ..SandboxLimits::default() };
    let sandbox = Sandbox::new(limits);
    let (gate, keeper) = Gate::closed();
    for instance in ["one", "two"] {
        let gate = gate.clone();
        let hangs = sandbox.run_once("hang", scope(instance), Phase::Probe, BEGUN, move |_| {
            gate.wait();
        });
        assert_eq!(hangs.unwrap_err().code(), "probe.timed_out");
    }
    assert!(sandbox.containment_lost());
    let refused = sandbox.run_once("third", scope("three"), Phase::Run, BOUND, |_| ());
    assert_eq!(refused.unwrap_err().code(), "sandbox.process_cap_reached");

    keeper.open();
    eventually("containment is back", || !sandbox.containment_lost());
}

#[test]
fn a_longer_deadline_before_it_does_not_hold_a_shorter_one_up() {
    let sandbox = sandbox();
    let (gate, keeper) = Gate::closed();
    let (started, starts) = mpsc::channel();
    let long = sandbox
        .spawn_worker("long", scope("long"), nobody_abandons, {
            let gate = gate.clone();
            move |seat| {
                let held = seat.run(Phase::Run, Duration::MAX, |_| {
                    started.send(()).unwrap();
                    gate.wait();
                });
                held.unwrap();
            }
        })
        .unwrap();
    starts.recv_timeout(BOUND).unwrap();
    let short = sandbox.run_once("short", scope("short"), Phase::Run, SHORT, move |_| gate.wait());
    assert_eq!(short.unwrap_err().code(), "run.timed_out");
    assert!(matches!(long.activity(), Activity::Running { phase: Phase::Run, .. }));
    keeper.open();
    assert!(long.join_within(BOUND));
}

#[test]
fn results_that_meet_their_deadline_are_either_answers_or_faults() {
    let grace = Duration::from_micros(200);
    // On a busy machine most of them wait long for their turn in the idle class.
    let limits = SandboxLimits {
        grace,
        abandoned_per_instance: 1000,
        abandoned_per_process: 1000,
        ..SandboxLimits::default()
    };
    let sandbox = Sandbox::new(limits);
    let limit = Duration::from_millis(1);
    let mut timeouts = 0;
    for round in 0..400_u32 {
        // Spread around the end of the grace, where result and abandonment race.
        let lateness = grace / 2 + Duration::from_micros(u64::from(round % 20) * 10);
        let outcome = sandbox.run_once("meet", scope("meet"), Phase::Run, limit, move |call| {
            while call.deadline().elapsed() < lateness {
                std::hint::spin_loop();
            }
            round
        });
        match outcome {
            Ok(answer) => assert_eq!(answer, round),
            Err(RunFault::TimedOut { phase: Phase::Run, limit: said }) => {
                assert_eq!(said, limit);
                timeouts += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    eventually("every thread is reclaimed", || sandbox.abandoned_total().now == 0);
    assert_eq!(sandbox.abandoned_total().ever, timeouts, "each fault is one abandoned thread");
}

#[cfg(target_os = "linux")]
#[test]
fn an_abandoned_thread_is_in_the_idle_class() {
    let sandbox = sandbox();
    let (gate, keeper) = Gate::closed();
    let (class, classes) = mpsc::channel();
    let hangs = sandbox.run_once("idle", scope("idle"), Phase::Run, SHORT, move |_| {
        gate.wait();
        // Field 41 of proc_pid_stat(5), "policy"; the name in field 2 has no blanks here.
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        class.send(stat.split_whitespace().nth(40).map(str::to_owned)).unwrap();
    });
    assert_eq!(hangs.unwrap_err().code(), "run.timed_out");
    keeper.open();
    const SCHED_IDLE: &str = "5";
    assert_eq!(classes.recv_timeout(BOUND).unwrap().as_deref(), Some(SCHED_IDLE));
}

fn thread_name() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}
