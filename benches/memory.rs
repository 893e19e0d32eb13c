//! What counting memory costs, each figure measured in pairs against the system's allocator.
//!
//! - An allocation with its release, of the sizes that a plugin's small objects have. Stands for
//!   the cheapest thing that code does between two allocations: nothing. Budget: 2 ns more.
//! - A JSON value of 100 nodes, built and dropped. Stands for the answer of a plugin, and its
//!   release. Budget: 10 % more.
#![expect(unsafe_code, reason = "allocators are called by hand, and one is made that switches")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use keepsight::sandbox::{CountingAllocator, Sandbox, SandboxLimits, SandboxScope};
use serde_json::{Value, json};

criterion_group!(benches, memory, against_budgets);
criterion_main!(benches);

#[global_allocator]
static ALLOCATOR: Switched = Switched;

fn memory(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("memory");
    group.bench_function("pair, system", |bencher| {
        bencher.iter_custom(|rounds| pairs(&System, rounds));
    });
    group.bench_function("pair, counted", |bencher| {
        bencher.iter_custom(|rounds| inside(|| pairs(&CountingAllocator, rounds)));
    });
    group.bench_function("json, system", |bencher| bencher.iter_custom(json_values));
    group.bench_function("json, counted", |bencher| {
        bencher.iter_custom(|rounds| inside(|| counted(|| json_values(rounds))));
    });
    group.finish();
}

/// The figures that the budgets name.
fn against_budgets(_: &mut Criterion) {
    const PAIRS: usize = 101;
    let median = |mut figures: Vec<f64>| {
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let each = |time: Duration, rounds: u64| time.as_nanos() as f64 / rounds as f64;

    let rounds = 200_000;
    let more = (0..PAIRS).map(|_| {
        let counted = inside(|| pairs(&CountingAllocator, rounds));
        each(counted, rounds) - each(pairs(&System, rounds), rounds)
    });
    eprintln!("pair: {:.2} ns more than the system's, budget 2 ns", median(more.collect()));
    let rounds = 1_000;
    let ratios = (0..PAIRS).map(|_| {
        let time = inside(|| counted(|| json_values(rounds)));
        each(time, rounds) / each(json_values(rounds), rounds)
    });
    eprintln!("json: {:.3} x the system's, budget 1.1 x", median(ratios.collect()));
}

/// So many allocations, each released at once.
fn pairs(allocator: &impl GlobalAlloc, rounds: u64) -> Duration {
    let sizes = [16, 24, 40, 64, 100, 200, 400, 1000];
    let layouts = sizes.map(|size| Layout::from_size_align(size, 8).expect("a layout"));
    let start = Instant::now();
    for round in 0..rounds {
        let layout = black_box(layouts[round as usize % layouts.len()]);
        // SAFETY: the size is above 0, and the block is released once, with its layout.
        unsafe {
            let block = black_box(allocator.alloc(layout));
            allocator.dealloc(block, layout);
        }
    }
    start.elapsed()
}

/// So many values built and dropped.
fn json_values(rounds: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..rounds {
        drop(black_box(value()));
    }
    start.elapsed()
}

/// A list of 14 objects with 6 members each, and what is around them: 100 nodes.
fn value() -> Value {
    let track = |id: u64| {
        json!({
            "id": id,
            "class": "person",
            "state": "confirmed",
            "x": 12.5,
            "y": 7.25,
            "confidence": 0.875,
        })
    };
    json!({ "tracks": (0..14).map(track).collect::<Vec<_>>() })
}

/// Runs `f` inside a scope that has an account with a limit.
fn inside<R>(f: impl FnOnce() -> R) -> R {
    let sandbox = Sandbox::new(SandboxLimits::default());
    // Whether anything is counted is found out at the first, and remembered.
    counted(|| drop(sandbox.open_account(None)));
    let account = sandbox.open_account(Some(1 << 40));
    assert!(account.is_some(), "the allocator counts");
    let scope = SandboxScope::new("bench", None, 1).charging(account);
    let _entered = scope.enter();
    f()
}

/// Allocates by the counting allocator on a thread inside [`counted`], and else by the system's.
/// Both sides of a comparison pay for the question.
struct Switched;

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`, which must free whatever it allocates, and nothing else, by the counting allocator.
fn counted<R>(f: impl FnOnce() -> R) -> R {
    COUNTED.set(true);
    let result = f();
    COUNTED.set(false);
    result
}

// SAFETY: both are allocators; what is allocated inside `counted` is freed inside it, on the same
// thread, and what is allocated outside is freed outside.
unsafe impl GlobalAlloc for Switched {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            if COUNTED.get() { CountingAllocator.alloc(layout) } else { System.alloc(layout) }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            if COUNTED.get() {
                CountingAllocator.dealloc(block, layout);
            } else {
                System.dealloc(block, layout);
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            if COUNTED.get() {
                CountingAllocator.realloc(block, layout, new_size)
            } else {
                System.realloc(block, layout, new_size)
            }
        }
    }
}
