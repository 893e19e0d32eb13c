//! What was asked, what was answered, what was counted, and what is wrong.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Everything that the run's threads write down.
#[derive(Default)]
pub(crate) struct Ledger {
    parts: Mutex<Parts>,
    /// Requests sent, of every kind, and answers to them.
    asked: AtomicU64,
    answered: AtomicU64,
    /// Of health, by path.
    latencies: Mutex<BTreeMap<&'static str, Latencies>>,
}

#[derive(Default)]
struct Parts {
    calls: BTreeMap<String, Calls>,
    reloads: BTreeMap<u16, u64>,
    events: u64,
    gaps: u64,
    resumes: u64,
    wrong: Vec<String>,
    wrong_count: u64,
}

/// Calls of one plugin's tools that reached it or should have.
#[derive(Clone, Debug, Default)]
struct Calls {
    by_status: BTreeMap<u16, u64>,
    /// Answered 400 or 422 before the plugin saw them.
    turned_away: u64,
}

/// What health counts of one plugin, and its streams of it.
pub(crate) struct Counted {
    pub(crate) success: u64,
    pub(crate) errors: BTreeMap<&'static str, u64>,
    pub(crate) processed: u64,
    pub(crate) failed: u64,
    pub(crate) restarts: u64,
    pub(crate) generation: u64,
    pub(crate) quarantined: bool,
}

/// Times in classes that are 3 % wide, so that a long run takes no more memory than a short one.
pub(crate) struct Latencies {
    classes: Vec<u64>,
    max: Duration,
}

impl Ledger {
    pub(crate) fn asked(&self) {
        self.asked.fetch_add(1, Relaxed);
    }

    pub(crate) fn answered(&self) {
        self.answered.fetch_add(1, Relaxed);
    }

    pub(crate) fn called(&self, plugin: &str, status: u16) {
        let mut parts = self.parts();
        let calls = parts.calls.entry(plugin.to_owned()).or_default();
        *calls.by_status.entry(status).or_default() += 1;
    }

    pub(crate) fn turned_away(&self, plugin: &str) {
        self.parts().calls.entry(plugin.to_owned()).or_default().turned_away += 1;
    }

    pub(crate) fn reloaded(&self, status: u16) {
        *self.parts().reloads.entry(status).or_default() += 1;
    }

    pub(crate) fn events(&self, events: u64, gaps: u64) {
        let mut parts = self.parts();
        parts.events += events;
        parts.gaps += gaps;
        parts.resumes += 1;
    }

    pub(crate) fn took(&self, path: &'static str, time: Duration) {
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        latencies.entry(path).or_default().add(time);
    }

    /// Notes something that must not be.
    pub(crate) fn wrong(&self, what: String) {
        let mut parts = self.parts();
        parts.wrong_count += 1;
        if parts.wrong.len() < WRONG_SHOWN {
            println!("WRONG: {what}");
            parts.wrong.push(what);
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.parts().wrong_count == 0
    }

    /// Holds what health counts against what was called.
    pub(crate) fn compare(&self, plugin: &str, counted: &Counted) {
        let calls = self.parts().calls.get(plugin).cloned().unwrap_or_default();
        let of = |status: u16| calls.by_status.get(&status).copied().unwrap_or(0);
        let errors: u64 = counted.errors.values().sum();
        println!(
            "plugin {plugin:9} calls: {:>6} ok {:>5} refused {:>5} late {:>6} faults {:>6} not \
             served; frames: {:>7} ok {:>6} failed; health: {:>7} ok {errors:>6} errors; \
             {} restarts, generation {}{}",
            of(200),
            of(400),
            of(408),
            of(500),
            of(503),
            counted.processed,
            counted.failed,
            counted.success,
            counted.restarts,
            counted.generation,
            if counted.quarantined { ", quarantined" } else { "" },
        );
        let expected = of(200) + counted.processed;
        if counted.success != expected {
            self.wrong(format!("{plugin}: success_count {}, expected {expected}", counted.success));
        }
        let expected = of(400) + of(408) + of(500) + counted.failed;
        if errors != expected {
            let by_code = &counted.errors;
            self.wrong(format!("{plugin}: error_count {errors} {by_code:?}, expected {expected}"));
        }
    }

    /// Says everything that is known; [`is_clean`](Self::is_clean) judges it.
    pub(crate) fn report(&self, seed: u64, took: Duration) {
        let (asked, answered) = (self.asked.load(Relaxed), self.answered.load(Relaxed));
        if asked != answered {
            self.wrong(format!("{asked} requests had {answered} answers"));
        }
        let parts = self.parts();
        println!("reloads by answer: {:?}", parts.reloads);
        println!(
            "events: {} received, {} announced gaps, {} connections",
            parts.events, parts.gaps, parts.resumes
        );
        println!("requests: {asked}, each answered once: {answered}");
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, latencies) in &*latencies {
            println!("GET {path:26} {}", latencies.summary());
        }
        let verdict = if parts.wrong_count == 0 { "clean" } else { "WRONG" };
        let count = parts.wrong_count;
        println!("soak: {verdict}, {count} things wrong, {:.1} min, SEED={seed}", {
            took.as_secs_f64() / 60.0
        });
        for wrong in &parts.wrong {
            println!("  {wrong}");
        }
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Latencies {
    fn add(&mut self, time: Duration) {
        let micros = time.as_micros().max(1) as f64;
        let class = (micros.ln() / CLASS_LN) as usize;
        let last = self.classes.len() - 1;
        self.classes[class.min(last)] += 1;
        self.max = self.max.max(time);
    }

    /// The time that a part of all is at most as long as.
    fn quantile(&self, part: f64) -> Duration {
        let wanted = (self.count() as f64 * part).ceil() as u64;
        let mut sum = 0;
        for (class, count) in self.classes.iter().enumerate() {
            sum += count;
            if sum >= wanted {
                let micros = ((class + 1) as f64 * CLASS_LN).exp();
                return Duration::from_secs_f64(micros / 1e6).min(self.max);
            }
        }
        self.max
    }

    fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    fn summary(&self) -> String {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        format!(
            "{:>8} requests, p50 {:>6.2} ms, p99 {:>7.2} ms, max {:>7.1} ms",
            self.count(),
            milliseconds(self.quantile(0.5)),
            milliseconds(self.quantile(0.99)),
            milliseconds(self.max)
        )
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self { classes: vec![0; 640], max: Duration::ZERO }
    }
}

/// Logarithm of a class's width.
const CLASS_LN: f64 = 0.03;
const WRONG_SHOWN: usize = 40;
