//! Everything goes wrong at random while clients ask: `make soak MINUTES=n`.
//!
//! A real runtime behind its real HTTP server. Callers ask fault injectors for every kind of
//! fault that a process survives, streams have sources that misbehave and plugins that fail on
//! them, plugins are reloaded, and pollers read health, metrics and events throughout. At the end:
//!
//! - every request had exactly one answer, and the events came without an unannounced gap;
//! - what health counts is what was called: for each plugin, runs that gave a result are answers
//!   200 and frames processed, errors are answers 400, 408 and 500 of the plugin and frames failed
//!   (503 and everything that never reached the plugin counts nowhere);
//! - memory, threads, descriptors and memory accounts are flat between the second and the last
//!   quarter of the run, and nothing is left of threads and descriptors at the end;
//! - every abandoned thread came back.
//!
//! The exit status says whether all of that is so. What goes wrong follows from a seed, which is
//! printed; when it does depends on the machine.

#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

mod callers;
mod client;
mod faults;
mod ledger;
mod pollers;
mod random;
mod resources;
mod site;
mod steady;
mod wild_source;

use std::{
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use ledger::Ledger;
use random::Random;
use resources::{Resources, Sampler};
use site::Site;

/// As the real binary does, so that memory is measured and limited.
#[global_allocator]
static ALLOCATOR: keepsight::sandbox::CountingAllocator = keepsight::sandbox::CountingAllocator;

fn main() -> ExitCode {
    let minutes = setting("MINUTES", 1.0_f64);
    let seed = setting("SEED", u64::from(std::process::id()));
    println!("soak: MINUTES={minutes} SEED={seed}");
    let length = Duration::from_secs_f64(minutes.max(0.1) * 60.0);
    let ledger = Ledger::default();
    // What the server's library keeps for the life of a process, a pair of sockets for signals, is
    // there before anything is counted.
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    drop(tokio.expect("the system has descriptors to give"));
    let before = Resources::now();
    let mut random = Random::new(seed);

    let site = Site::start(&mut random, &ledger);
    let start = Instant::now();
    let mut sampler = Sampler::new(length);
    thread::scope(|scope| {
        let end = start + length;
        callers::start(scope, &site, end, &mut random, &ledger);
        pollers::start(scope, &site, end, &ledger);
        while Instant::now() < end {
            sampler.take(&site.runtime);
            thread::sleep(SAMPLE_EVERY.min(end.saturating_duration_since(Instant::now())));
        }
    });
    let took = start.elapsed();
    site.end(&ledger);
    let after = Resources::settled(&before, Duration::from_secs(10));
    sampler.judge(&before, &after, &ledger);
    ledger.report(seed, took);
    if ledger.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A number of the environment.
fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name}={text} is no such number"))
}

const SAMPLE_EVERY: Duration = Duration::from_millis(250);
