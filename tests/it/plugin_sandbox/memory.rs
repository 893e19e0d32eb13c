//! Memory: whose it is, and what happens to who takes too much. The tests' binary installs the
//! counting allocator.

use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use keepsight::sandbox::{
    AbandonReason, MemoryAccount, Phase, RunFault, Sandbox, SandboxLimits, SandboxScope,
};
use keepsight_contract::{CallContext, Response};
use serde_json::json;

use super::support::{BOUND, Gate, eventually, nobody_abandons, sandbox, scope};
use crate::support::{Script, Site};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// How far sums may be off for each thread at work.
const UNSETTLED: u64 = 32 * KIB;

/// A scope whose account, with those of its sessions, may have `limit` bytes.
fn limited(sandbox: &Sandbox, instance: &str, limit: Option<u64>) -> (SandboxScope, MemoryAccount) {
    let account = sandbox.open_account(limit).expect("this binary measures");
    (scope(instance).charging(Some(account.clone())), account)
}

/// A sandbox whose grace no scheduler uses up.
fn patient() -> Arc<Sandbox> {
    Sandbox::new(SandboxLimits { memory_grace: BOUND, ..SandboxLimits::default() })
}

/// Takes pieces of `piece` bytes for as long as the call is wanted; gives up at a gigabyte.
fn grow(call: &CallContext, piece: usize) -> Vec<Vec<u8>> {
    let mut hoard = Vec::new();
    while call.checkpoint().is_ok() {
        assert!(hoard.len() * piece < 1 << 30, "nobody stops it");
        hoard.push(black_box(vec![1; piece]));
    }
    hoard
}

#[track_caller]
fn check_exceeded(outcome: Result<(), RunFault>, limit: u64, used: std::ops::Range<u64>) {
    match outcome.unwrap_err() {
        fault @ RunFault::MemoryExceeded { limit: said, used: found, .. } => {
            assert_eq!(said, limit);
            assert!(used.contains(&found), "{fault}");
            assert_eq!(fault.code(), "run.memory_exceeded");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn memory_taken_slowly_is_noticed_at_the_limit() {
    let sandbox = patient();
    let (scope, account) = limited(&sandbox, "slowly", Some(4 * MIB));
    let outcome = sandbox.run_once("slowly", scope.clone(), Phase::Run, BOUND, |call| {
        drop(grow(call, 1000));
    });
    // It may have taken more than that until the watchdog looked.
    check_exceeded(outcome, 4 * MIB, 4 * MIB..1 << 30);
    assert_eq!(sandbox.abandoned_total().ever, 0, "it heeded it");
    assert_eq!(account.own_bytes(), 0);
    assert!(account.instance_use().peak > 4 * MIB);

    let next = sandbox.run_once("next", scope, Phase::Run, BOUND, |call| call.memory_left());
    let left = next.unwrap().expect("measured and limited");
    assert!((4 * MIB - UNSETTLED..=4 * MIB).contains(&left), "{left}");
}

#[test]
fn one_allocation_that_the_system_grants_is_noticed_and_its_pages_stay_untouched() {
    let sandbox = sandbox();
    let (scope, account) = limited(&sandbox, "at-once", Some(4 * MIB));
    let outcome = sandbox.run_once("at-once", scope, Phase::Run, BOUND, |_| {
        let before = resident_bytes();
        let zeroes = black_box(vec![0_u8; 2 << 30]);
        assert!(resident_bytes() < before + (1 << 30), "zeroed pages are lazy");
        drop(zeroes);
    });
    check_exceeded(outcome, 4 * MIB, 2 << 30..(2 << 30) + UNSETTLED);
    eventually("it was freed", || account.own_bytes() == 0);
}

#[test]
fn who_goes_on_without_a_checkpoint_is_given_up_and_charged_to_the_end() {
    let sandbox = sandbox();
    let (scope, account) = limited(&sandbox, "goes-on", Some(MIB));
    let (gate, keeper) = Gate::closed();
    let (fault, faults) = mpsc::channel();
    let (outcome, outcomes) = mpsc::channel();
    let worker = sandbox
        .spawn_worker(
            "goes-on",
            scope,
            move |reported| fault.send(reported).unwrap(),
            move |seat| {
                let result = seat.run(Phase::Run, BOUND, |call| {
                    let hoard = black_box(vec![1_u8; 2 << 20]);
                    gate.wait();
                    assert!(call.is_cancelled(), "it could have known");
                    let more = black_box(vec![1_u8; 3 << 20]);
                    (hoard, more)
                });
                let abandoned = seat.is_abandoned();
                let next = seat.run(Phase::Run, BOUND, |_| ()).unwrap_err();
                outcome.send((result.map(drop), abandoned, next)).unwrap();
            },
        )
        .unwrap();
    check_exceeded(Err(faults.recv_timeout(BOUND).unwrap()), MIB, 2 * MIB..2 * MIB + UNSETTLED);
    assert_eq!(sandbox.abandoned_of("goes-on"), 1);
    assert_eq!(account.own_bytes() / MIB, 2, "and it still has it");

    keeper.open();
    let (result, abandoned, next) = outcomes.recv_timeout(BOUND).unwrap();
    assert!(matches!(result, Err(RunFault::MemoryExceeded { .. })) && abandoned);
    assert!(matches!(next, RunFault::Cancelled { reason: AbandonReason::Memory }), "{next}");
    assert!(worker.join_within(BOUND));
    assert_eq!(sandbox.abandoned_total().now, 0);
    eventually("the late result is freed", || account.own_bytes() == 0);
    assert!(account.instance_use().peak >= 5 * MIB, "what it took late was charged too");
}

#[test]
fn a_pools_thread_charges_to_the_scope_that_it_entered() {
    let sandbox = patient();
    let (scope, account) = limited(&sandbox, "pool", Some(MIB));
    let (done, drained) = mpsc::channel::<()>();
    let pool = {
        let scope = scope.clone();
        let (ask, asked) = mpsc::channel::<mpsc::Sender<()>>();
        let thread = thread::spawn(move || {
            let answer = asked.recv().unwrap();
            let before = black_box(vec![1_u8; 2 << 20]);
            let hoard = {
                let _entered = scope.enter();
                black_box(vec![1_u8; 3 << 20])
            };
            answer.send(()).unwrap();
            drained.recv().unwrap_err();
            drop((before, hoard));
        });
        (ask, thread)
    };
    let (ask, thread) = pool;
    let outcome = sandbox.run_once("pool", scope.session(None), Phase::Run, BOUND, move |call| {
        let (answer, answers) = mpsc::channel();
        ask.send(answer).unwrap();
        answers.recv().unwrap();
        while call.checkpoint().is_ok() {
            thread::yield_now();
        }
    });
    check_exceeded(outcome, MIB, 3 * MIB..3 * MIB + 2 * UNSETTLED);

    let next = sandbox.run_once("next", scope.session(None), Phase::Open, BOUND, |_| "begun");
    let fault = next.unwrap_err();
    assert_eq!(fault.code(), "open.memory_exceeded", "no session can help it");
    drop(done);
    thread.join().unwrap();
    assert_eq!(account.own_bytes(), 0, "freed outside the scope");
    let next = sandbox.run_once("next", scope.session(None), Phase::Open, BOUND, |_| "begun");
    assert_eq!(next.unwrap(), "begun");
}

#[test]
fn memory_belongs_to_its_owner_until_it_is_freed_wherever_that_is() {
    let sandbox = sandbox();
    let (scope, account) = limited(&sandbox, "owner", None);
    let (other, other_account) = limited(&sandbox, "other", None);
    let session = scope.session(None);
    let own = session.account().expect("measured").clone();
    let made = sandbox.run_once("owner", session, Phase::Run, BOUND, |call| {
        assert_eq!(call.memory_left(), None, "no limit");
        (vec![1_u8; 1 << 20], vec![1_u8; 2 << 20], vec![1_u8; 4 << 20])
    });
    let (here, elsewhere, resized) = made.unwrap();
    assert_eq!(own.own_bytes(), 7 * MIB);
    assert_eq!((account.own_bytes(), account.instance_use().bytes), (0, 7 * MIB));

    drop(here);
    assert_eq!(own.own_bytes(), 6 * MIB);
    let grown = sandbox.run_once("other", other, Phase::Run, BOUND, move |_| {
        drop(elsewhere);
        let mut resized = resized;
        resized.reserve_exact(4 << 20);
        resized
    });
    assert_eq!(own.own_bytes(), 0, "whoever resizes it has it from then on");
    assert_eq!(other_account.own_bytes(), 8 * MIB);
    thread::spawn(move || drop(grown.unwrap())).join().unwrap();
    assert_eq!(other_account.instance_use().bytes, 0);
    assert_eq!(account.instance_use().bytes, 0);
}

#[test]
fn accounts_stay_exact_while_many_threads_make_resize_and_free_each_others_memory() {
    const THREADS: usize = 4;
    let sandbox = sandbox();
    let scopes: Vec<_> = (0..THREADS).map(|_| limited(&sandbox, "exchange", None)).collect();
    let (mut senders, receivers): (Vec<_>, Vec<_>) =
        (0..THREADS).map(|_| mpsc::sync_channel::<Vec<u8>>(64)).unzip();
    senders.rotate_left(1);
    thread::scope(|threads| {
        for (number, (next, previous)) in senders.into_iter().zip(receivers).enumerate() {
            let scope = &scopes[number].0;
            threads.spawn(move || {
                let kept = {
                    let _entered = scope.enter();
                    black_box(vec![0_u8; 100_000])
                };
                let mut random = 0x9e37_79b9_7f4a_7c15_u64 + number as u64;
                for _ in 0..5_000 {
                    // Marsaglia, Xorshift RNGs (2003), the triple 13, 7, 17.
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let size = (random >> 40) as usize % 3000;
                    // In and out of the scope, so that some is made by nobody.
                    let entered = (!random.is_multiple_of(8)).then(|| scope.enter());
                    let mut block = black_box(vec![0_u8; size]);
                    if random.is_multiple_of(3) {
                        block.resize(size * 2, 1);
                    }
                    // Each sends before it receives, so nobody waits for ever.
                    next.send(block).unwrap();
                    let mut block = previous.recv_timeout(BOUND).unwrap();
                    if random.is_multiple_of(2) {
                        block.reserve_exact(size);
                    }
                    drop(block);
                    drop(entered);
                }
                drop(kept);
            });
        }
    });
    for (_, account) in &scopes {
        // The last is the channels' own thread-local, freed when the thread is all but gone.
        eventually("all is freed", || account.own_bytes() == 0);
        assert_eq!(account.instance_use().bytes, 0);
        assert!(account.instance_use().peak >= 100_000);
    }
}

#[test]
fn the_session_that_crosses_the_limit_is_cancelled_and_the_others_go_on() {
    let sandbox = patient();
    let (scope, account) = limited(&sandbox, "sessions", Some(8 * MIB));
    let (gate, keeper) = Gate::closed();
    let (started, starts) = mpsc::channel();
    let first = {
        let (sandbox, scope) = (sandbox.clone(), scope.session(None));
        thread::spawn(move || {
            sandbox.run_once("first", scope, Phase::Run, BOUND, move |call| {
                let hoard = black_box(vec![1_u8; 5 << 20]);
                started.send(()).unwrap();
                gate.wait();
                (hoard.len(), call.is_cancelled())
            })
        })
    };
    starts.recv_timeout(BOUND).unwrap();
    let second = scope.session(None);
    let outcome =
        sandbox.run_once("second", second, Phase::Run, BOUND, |call| drop(grow(call, 4096)));
    check_exceeded(outcome, 8 * MIB, 8 * MIB..1 << 30);
    keeper.open();
    assert_eq!(first.join().unwrap().unwrap(), (5 << 20, false));
    // The channel that the first wrote to is still there.
    eventually("both are freed", || account.instance_use().bytes < MIB);
}

#[test]
fn closing_is_never_cancelled_for_memory() {
    let sandbox = patient();
    let (scope, account) = limited(&sandbox, "closing", Some(MIB));
    let (outcome, outcomes) = mpsc::channel();
    let worker = sandbox
        .spawn_worker("closing", scope, nobody_abandons, move |seat| {
            let closed = seat.run(Phase::Close, BOUND, |call| {
                let writes = black_box(vec![1_u8; 2 << 20]);
                (writes.len(), call.is_cancelled())
            });
            outcome.send(closed.unwrap()).unwrap();
        })
        .unwrap();
    assert_eq!(outcomes.recv_timeout(BOUND).unwrap(), (2 << 20, false));
    assert!(worker.join_within(BOUND));
    assert_eq!(account.own_bytes(), 0);
}

#[test]
fn a_worker_charges_to_the_session_that_it_works_for() {
    let sandbox = sandbox();
    let (scope, account) = limited(&sandbox, "engaged", None);
    let (outcome, outcomes) = mpsc::channel();
    let base = scope.clone();
    let worker = sandbox
        .spawn_worker("engaged", base, nobody_abandons, move |seat| {
            let session = scope.session(Some("door".into()));
            let own = session.account().expect("measured").clone();
            let engaged = seat.work_for(session);
            let inside = seat.run(Phase::Run, BOUND, |_| {
                let stream = SandboxScope::current().and_then(|scope| scope.stream().cloned());
                (vec![1_u8; 1 << 20], stream)
            });
            drop(engaged);
            let (inside, stream) = inside.unwrap();
            let outside = seat.run(Phase::Run, BOUND, |_| vec![1_u8; 2 << 20]).unwrap();
            // What the worker itself does between calls is nobody's.
            let between = black_box(vec![1_u8; 4 << 20]);
            let bytes = (own.own_bytes(), account.own_bytes());
            drop((inside, outside, between));
            outcome.send((stream, bytes, own.own_bytes(), account.own_bytes())).unwrap();
        })
        .unwrap();
    let outcome = outcomes.recv_timeout(BOUND).unwrap();
    assert_eq!(outcome, (Some("door".into()), (MIB, 2 * MIB), 0, 0));
    assert!(worker.join_within(BOUND));
}

#[test]
fn ten_thousand_panics_leave_no_accounts_and_nothing_on_them() {
    let sandbox = sandbox();
    let (scope, account) = limited(&sandbox, "panics", Some(64 * MIB));
    let worker = sandbox
        .spawn_worker("panics", scope.clone(), nobody_abandons, move |seat| {
            for number in 0..10_000 {
                let _engaged = seat.work_for(scope.session(None));
                let result: Result<(), _> = seat.run(Phase::Run, BOUND, |_| {
                    let _held = black_box(vec![1_u8; 5000]);
                    panic!("{number}")
                });
                assert_eq!(result.unwrap_err().code(), "run.panicked");
            }
        })
        .unwrap();
    assert!(worker.join_within(BOUND));
    eventually("nothing is left", || account.instance_use().bytes == 0);
    let (held, left) = MemoryAccount::count();
    // Other tests hold some at the same time; ten thousand would not fit.
    assert!(held + left < 500, "{held} held, {left} left");
}

#[test]
fn more_sessions_than_accounts_may_leave_something_behind() {
    if !is_alone() {
        return;
    }
    let sandbox = sandbox();
    let (scope, account) = limited(&sandbox, "left-behind", None);
    let mut kept = Vec::new();
    // More sessions than there are accounts, each of which leaves something behind.
    for _ in 0..1500 {
        let session = scope.session(None);
        let _entered = session.enter();
        kept.push(Box::new(7_u64));
    }
    let bytes = account.instance_use().bytes;
    assert!(bytes >= 1500 * 8, "what sessions left is the instance's: {bytes}");
    let session = scope.session(None);
    assert_eq!(session.account().unwrap().own_bytes(), 0, "a place anew is empty");
    drop(kept);
    assert_eq!(session.account().unwrap().own_bytes(), 0, "old marks are not its own");
}

#[test]
fn an_instance_over_its_limit_says_so_and_serves_the_next_call() {
    Script::default()
        .run(|request, call| {
            if request.args()["greedy"] == true {
                drop(grow(call, 100_000));
            }
            Ok(Response::new())
        })
        .named("greedy");
    let site = Site::start(
        "[plugins.p]
         use = \"scripted\"
         memory = \"16MiB\"
         config = { script = \"greedy\" }",
    );
    site.await_state("p", "INITIALIZED");
    let (status, answer) = site.run_tool("p", "do", &json!({ "greedy": true }));
    assert_eq!(status, 500, "{answer}");
    let said = answer.to_string();
    assert!(said.contains("beyond the limit of 16.0 MiB"), "{said}");

    let (status, answer) = site.run_tool("p", "do", &json!({ "greedy": false }));
    assert_eq!(status, 200, "{answer}");
    let report = site.runtime.registry().find("p").unwrap().report();
    let faults: Vec<_> = report.faults.iter().map(|(_, fault)| &*fault.code).collect();
    assert_eq!(faults, ["run.memory_exceeded"]);
    let memory = report.memory.expect("measured");
    assert!(memory.limit == Some(16 * MIB) && memory.peak > 16 * MIB, "{memory:?}");
    let bytes = || site.runtime.registry().find("p").unwrap().report().memory.unwrap().bytes;
    eventually("a busy machine lets it free what it took", || bytes() < MIB);
}

#[test]
fn a_plugins_own_threads_and_pools_are_charged_to_its_instance() {
    let (gate, keeper) = Gate::closed();
    Script::default()
        .init(move |host| {
            let held = gate.clone();
            let (ready, readied) = mpsc::channel();
            let pooled = ready.clone();
            host.spawn("own", move |_| {
                let hoard = black_box(vec![1_u8; 2 << 20]);
                ready.send(()).unwrap();
                held.wait();
                drop(hoard);
            })?;
            let (scope, held) = (host.scope(), gate.clone());
            thread::spawn(move || {
                let _entered = scope.enter();
                let hoard = black_box(vec![1_u8; 4 << 20]);
                pooled.send(()).unwrap();
                held.wait();
                drop(hoard);
            });
            readied.recv().and_then(|()| readied.recv()).map_err(Into::into)
        })
        .named("own-threads");
    let site =
        Site::start("[plugins.p]\nuse = \"scripted\"\nconfig = { script = \"own-threads\" }");
    site.await_state("p", "INITIALIZED");
    let used = || site.runtime.registry().find("p").unwrap().report().memory.unwrap();
    assert!((6 * MIB..7 * MIB).contains(&used().bytes), "{:?}", used());
    assert_eq!(used().limit, None);
    keeper.open();
    eventually("both have freed theirs", || used().bytes < MIB);
}

#[test]
fn an_instance_that_leaks_is_built_anew_and_its_successor_begins_at_nothing() {
    let hoard = Arc::new(Mutex::new(Vec::new()));
    let kept = hoard.clone();
    let greedy = Arc::new(AtomicBool::new(true));
    let leaks = greedy.clone();
    Script::default()
        .run(move |_, _| {
            if leaks.load(Ordering::Relaxed) {
                kept.lock().unwrap().push(vec![1_u8; 300_000]);
            }
            Ok(Response::new())
        })
        .named("leaks");
    let site = Site::start(
        "[plugins.p]
         use = \"scripted\"
         memory = \"4MiB\"
         restart = { budget = 5, window = \"10min\", backoff = [\"10ms\", \"50ms\"] }
         config = { script = \"leaks\" }
         [streams.s]
         source = \"test:leaks\"
         plugins = [\"p\"]",
    );
    let instance = site.runtime.registry().find("p").unwrap().clone();
    eventually("its first generation is over", || instance.generation() > 1);
    greedy.store(false, Ordering::Relaxed);
    site.await_state("p", "RUNNING");
    let report = instance.report();
    assert!(report.faults.iter().any(|(_, fault)| fault.code == "run.memory_exceeded"));
    assert!(hoard.lock().unwrap().len() * 300_000 > 4 << 20, "what it leaked is still there");
    assert!(report.memory.expect("measured").bytes < 4 * MIB, "{:?}", report.memory);
    assert!(report.statistics.error_count > 0);
}

/// Whether this test has a process to itself, as one needs that uses up what all share. If not,
/// it is run in one first.
fn is_alone() -> bool {
    const ALONE: &str = "KEEPSIGHT_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let test = thread::current().name().expect("a test's thread has its name").to_owned();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && stdout.contains("1 passed"), "{stdout}");
    false
}

/// Resident memory of this process, in bytes (proc_pid_statm(5)); pages have 4 KiB at least.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4 * KIB
}

#[test]
fn what_is_kept_of_a_panic_is_no_memory_of_the_plugin() {
    let sandbox = sandbox();
    let (scope, account) = limited(&sandbox, "wordy", None);
    let outcome = sandbox.run_once("wordy", scope, Phase::Run, BOUND, |_| {
        panic!("{}", "x".repeat(2000));
    });
    let fault: RunFault = outcome.map(|()| "no panic").unwrap_err();
    assert!(fault.to_string().len() > 2000, "{fault}");
    eventually("everything is settled", || account.own_bytes() == 0);
}
