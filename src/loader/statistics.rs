use std::{
    collections::VecDeque,
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
    error: u64,
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
    /// Counts a run that ended at `now`; says how many have failed in a row.
    pub fn record(&self, succeeded: bool, took: Duration, now: Instant) -> u32 {
        self.milliseconds.record(took.as_secs_f64() * 1e3);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if succeeded {
            counts.success += 1;
            counts.failed_in_a_row = 0;
        } else {
            counts.error += 1;
            counts.failed_in_a_row += 1;
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
            error_count: counts.error,
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
            statistics.record(true, Duration::from_millis(milliseconds), now);
        }
        let snapshot = statistics.snapshot();
        assert_eq!(snapshot.average, Some(Duration::from_micros(15_500)));
        assert_eq!(snapshot.last, Some(Duration::from_millis(20)));
        assert_eq!((snapshot.success_count, snapshot.error_count), (20, 0));
    }

    #[test]
    fn failures_in_a_row_end_with_a_success() {
        let statistics = RunStatistics::default();
        let run = |succeeded| statistics.record(succeeded, Duration::ZERO, Instant::now());
        assert_eq!([run(false), run(false), run(true), run(false)], [1, 2, 0, 1]);
    }
}
