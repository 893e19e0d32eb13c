use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use keepsight_contract::{Histogram, HistogramSnapshot};

/// How an instance's runs went: counts, and times over the last ten.
#[derive(Debug, Default)]
pub struct RunStatistics {
    counts: Mutex<Counts>,
    milliseconds: Histogram,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    success: u64,
    /// By code; codes are constants of this program, so they are few.
    errors: BTreeMap<&'static str, u64>,
    failed_in_a_row: u32,
    last_used: Option<Instant>,
    recent: VecDeque<Duration>,
}

/// What [`RunStatistics`] held at one moment.
#[derive(Clone, Debug)]
pub struct StatisticsSnapshot {
    /// Runs that gave a response.
    pub success_count: u64,
    /// Runs that gave an error, panicked or timed out.
    pub error_count: u64,
    /// The same by code, such as `run.timed_out`.
    pub errors: BTreeMap<&'static str, u64>,
    /// When the last run ended.
    pub last_used: Option<Instant>,
    /// How long it took.
    pub last: Option<Duration>,
    /// Mean of the last ten.
    pub average: Option<Duration>,
    /// All runs' times, in milliseconds.
    pub milliseconds: HistogramSnapshot,
}

impl RunStatistics {
    /// Counts a run that ended at `now`, by the code of its `error` where it gave none; says how
    /// many have failed in a row.
    pub fn record(&self, error: Option<&'static str>, took: Duration, now: Instant) -> u32 {
        self.milliseconds.record(took.as_secs_f64() * 1e3);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            None => {
                counts.success += 1;
                counts.failed_in_a_row = 0;
            }
            Some(code) => {
                *counts.errors.entry(code).or_default() += 1;
                counts.failed_in_a_row += 1;
            }
        }
        counts.last_used = Some(now);
        if counts.recent.len() == RECENT_RUNS {
            counts.recent.pop_front();
        }
        counts.recent.push_back(took);
        counts.failed_in_a_row
    }

    /// What was counted so far.
    pub fn snapshot(&self) -> StatisticsSnapshot {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sum: Duration = counts.recent.iter().sum();
        StatisticsSnapshot {
            success_count: counts.success,
            error_count: counts.errors.values().sum(),
            errors: counts.errors,
            last_used: counts.last_used,
            last: counts.recent.back().copied(),
            average: (!counts.recent.is_empty()).then(|| sum / counts.recent.len() as u32),
            milliseconds: self.milliseconds.snapshot(),
        }
    }
}

/// Over how many runs the average goes, as the wire contract has it.
const RECENT_RUNS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_goes_over_the_last_ten() {
        let statistics = RunStatistics::default();
        let now = Instant::now();
        assert_eq!(statistics.snapshot().average, None);
        for milliseconds in 1..=20 {
            statistics.record(None, Duration::from_millis(milliseconds), now);
        }
        let snapshot = statistics.snapshot();
        assert_eq!(snapshot.average, Some(Duration::from_micros(15_500)));
        assert_eq!(snapshot.last, Some(Duration::from_millis(20)));
        assert_eq!((snapshot.success_count, snapshot.error_count), (20, 0));
    }

    #[test]
    fn failures_in_a_row_end_with_a_success() {
        let statistics = RunStatistics::default();
        let run = |error| statistics.record(error, Duration::ZERO, Instant::now());
        let (failed, late) = (Some("run.failed"), Some("run.timed_out"));
        assert_eq!([run(failed), run(late), run(None), run(failed)], [1, 2, 0, 1]);
        let snapshot = statistics.snapshot();
        assert_eq!((snapshot.success_count, snapshot.error_count), (1, 3));
        assert_eq!(snapshot.errors, BTreeMap::from([("run.failed", 2), ("run.timed_out", 1)]));
    }
}
