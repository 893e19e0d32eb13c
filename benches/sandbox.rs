//! What the sandbox costs, memory's accounting included.
//!
//! - `own thread`: a call that does nothing, direct and through the seat. Stands for a stream's
//!   worker, which runs one call per frame. Budget: 150 ns more.
//! - `round trip`: a question and an answer between two threads, over bare channels and with the
//!   seat in between. Stands for a tool call by HTTP. Budget: 1.5 times the bare one.
//! - `answer after deadline`: how long after a call's deadline its caller has the answer, with 1
//!   and with 64 workers blocked, and with 64 spinning. Budget: 5 ms while they block.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use keepsight::sandbox::{
    CountingAllocator, Phase, Sandbox, SandboxLimits, SandboxScope, Worker, WorkerSeat,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

criterion_group!(benches, own_thread, round_trip, answer_after_deadline, against_budgets);
criterion_main!(benches);

const LIMIT: Duration = Duration::from_secs(5);
const FOREVER: Duration = Duration::from_secs(3600);

fn own_thread(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("own thread");
    group.bench_function("direct", |bencher| bencher.iter_custom(direct_calls));
    group.bench_function("sandboxed", |bencher| bencher.iter_custom(sandboxed_calls));
    group.finish();
}

fn round_trip(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("round trip");
    group.bench_function("bare channel", |bencher| bencher.iter_custom(bare_round_trips));
    group.bench_function("sandboxed", |bencher| bencher.iter_custom(sandboxed_round_trips));
    group.finish();
}

fn answer_after_deadline(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("answer after deadline");
    // Sixty-four spinning threads take seconds to get started on a small machine: a sample is one
    // round then, and ten are enough.
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5))
        .sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(500));
    for (name, workers, spin) in
        [("1 blocked", 1, false), ("64 blocked", 64, false), ("64 spinning", 64, true)]
    {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                (0..rounds).map(|_| latest_answer(workers, spin)).sum::<Duration>()
            });
        });
    }
    group.finish();
}

/// The figures that the budgets name, each pair measured in turn so that both meet the same
/// machine: where the scheduler puts two threads matters more to a round trip than the sandbox.
fn against_budgets(_: &mut Criterion) {
    const PAIRS: usize = 41;
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let measure = |f: fn(u64) -> Duration, rounds| f(rounds).as_nanos() as f64 / rounds as f64;

    let more =
        (0..PAIRS).map(|_| measure(sandboxed_calls, 100_000) - measure(direct_calls, 100_000));
    eprintln!("own thread: {:.0} ns more than direct, budget 150 ns", median(more.collect()));
    let ratios = (0..PAIRS)
        .map(|_| measure(sandboxed_round_trips, 5_000) / measure(bare_round_trips, 5_000));
    eprintln!("round trip: {:.2} x a bare channel's, budget 1.5 x", median(ratios.collect()));
}

fn direct_calls(rounds: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(black_box(work)(black_box(1)));
    }
    start.elapsed()
}

fn sandboxed_calls(rounds: u64) -> Duration {
    on_worker(move |seat| {
        let start = Instant::now();
        for _ in 0..rounds {
            let sum = seat.run(Phase::Run, LIMIT, |_| black_box(work)(black_box(1)));
            black_box(sum).expect("nothing panics");
        }
        start.elapsed()
    })
}

fn bare_round_trips(rounds: u64) -> Duration {
    ping_pong(rounds, |asked, answer| {
        std::thread::spawn(move || {
            for number in asked {
                answer.send(work(number)).expect("it listens");
            }
        });
        None
    })
}

fn sandboxed_round_trips(rounds: u64) -> Duration {
    ping_pong(rounds, |asked, answer| {
        let sandbox = Sandbox::new(SandboxLimits::default());
        let body = move |seat: &WorkerSeat| {
            for number in asked {
                let sum = seat.run(Phase::Run, LIMIT, |_| work(number));
                answer.send(sum.expect("nothing panics")).expect("it listens");
            }
        };
        Some(sandbox.spawn_worker("bench", scope(&sandbox), |_| {}, body).expect("a thread"))
    })
}

/// How long after the deadline the last of so many callers had its answer.
fn latest_answer(workers: usize, spin: bool) -> Duration {
    let limit = Duration::from_millis(50);
    let limits = SandboxLimits { abandoned_per_instance: 1000, ..SandboxLimits::default() };
    let sandbox = Sandbox::new(limits);
    let release = Arc::new((AtomicBool::new(false), Mutex::new(()), Condvar::new()));
    let (answer, answers) = mpsc::channel();
    let held: Vec<Worker> = (0..workers)
        .map(|_| {
            let (answer, release) = (answer.clone(), release.clone());
            let started = Arc::new(Mutex::new(None));
            let on_abandon = {
                let started = started.clone();
                move |_| {
                    let began: Instant =
                        started.lock().expect("no panic").expect("begun before it is abandoned");
                    answer.send(began.elapsed().saturating_sub(limit)).expect("it listens");
                }
            };
            sandbox
                .spawn_worker("held", scope(&sandbox), on_abandon, move |seat| {
                    let held = seat.run(Phase::Run, limit, |_| {
                        *started.lock().expect("no panic") = Some(Instant::now());
                        let (open, lock, opened) = &*release;
                        if spin {
                            while !open.load(Ordering::Relaxed) {
                                std::hint::spin_loop();
                            }
                        } else {
                            let guard = lock.lock().expect("no panic");
                            let closed = |_: &mut ()| !open.load(Ordering::Relaxed);
                            drop(opened.wait_while(guard, closed).expect("no panic"));
                        }
                    });
                    drop(held);
                })
                .expect("a thread")
        })
        .collect();
    let latest = (0..workers).map(|_| answers.recv().expect("every caller is answered")).max();
    let (open, lock, opened) = &*release;
    {
        let _guard = lock.lock().expect("no panic");
        open.store(true, Ordering::Relaxed);
    }
    opened.notify_all();
    assert!(held.iter().all(|worker| worker.join_within(FOREVER)), "every worker ends");
    latest.expect("at least one worker")
}

/// The duration of so many questions and answers with whoever `start` starts.
fn ping_pong(
    rounds: u64,
    start: impl FnOnce(mpsc::Receiver<u64>, mpsc::SyncSender<u64>) -> Option<Worker>,
) -> Duration {
    let (ask, asked) = mpsc::sync_channel(1);
    let (answer, answers) = mpsc::sync_channel(1);
    let worker = start(asked, answer);
    let start = Instant::now();
    for round in 0..rounds {
        ask.send(round).expect("it listens");
        black_box(answers.recv().expect("it answers"));
    }
    let elapsed = start.elapsed();
    drop(ask);
    if let Some(worker) = worker {
        assert!(worker.join_within(FOREVER), "the worker ends with its questions");
    }
    elapsed
}

/// Runs `f` in a worker's body, and gives what it gave.
fn on_worker(f: impl FnOnce(&WorkerSeat) -> Duration + Send + 'static) -> Duration {
    let sandbox = Sandbox::new(SandboxLimits::default());
    let (answer, answers) = mpsc::channel();
    let worker = sandbox
        .spawn_worker(
            "bench",
            scope(&sandbox),
            |_| {},
            move |seat| {
                answer.send(f(seat)).expect("it listens");
            },
        )
        .expect("a thread");
    let elapsed = answers.recv().expect("the body ends");
    assert!(worker.join_within(FOREVER), "the body has ended");
    elapsed
}

fn scope(sandbox: &Sandbox) -> SandboxScope {
    let account = sandbox.open_account(Some(1 << 30));
    assert!(account.is_some(), "the allocator counts");
    SandboxScope::new("bench", None, 1).charging(account)
}

#[inline(never)]
fn work(number: u64) -> u64 {
    number.wrapping_mul(3)
}
