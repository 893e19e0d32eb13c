use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// A number that only grows. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

/// A number that goes up and down. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicU64>);

/// How often values fell into each of a fixed set of buckets. Cloning shares it.
///
/// Buckets are half powers of two from 2⁻⁴ to 2²⁰, so one set serves milliseconds as well as
/// counts, with quantiles right within a fifth.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Cells>);

/// What a [`Histogram`] held at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSnapshot {
    /// Upper edge of each bucket and how many values fell into it; the last edge is infinite.
    pub buckets: Vec<(f64, u64)>,
    /// How many values were recorded.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The largest.
    pub max: f64,
}

#[derive(Debug)]
struct Cells {
    buckets: [AtomicU64; BUCKET_COUNT],
    sum_bits: AtomicU64,
    max_bits: AtomicU64,
}

const BUCKET_COUNT: usize = 50;
const LOWEST_EXPONENT: f64 = -4.0;

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// The number now.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Gauge {
    /// Sets the number.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    /// The number now.
    pub fn value(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}

impl Histogram {
    /// Counts `value`; what is not a number or negative is counted as 0.
    pub fn record(&self, value: f64) {
        let value = if value > 0.0 { value } else { 0.0 };
        let bucket = ((value.log2() - LOWEST_EXPONENT) * 2.0).ceil();
        let bucket = bucket.clamp(0.0, (BUCKET_COUNT - 1) as f64) as usize;
        self.0.buckets[bucket].fetch_add(1, Relaxed);
        let _ = self
            .0
            .sum_bits
            .fetch_update(Relaxed, Relaxed, |bits| Some((f64::from_bits(bits) + value).to_bits()));
        // For numbers of at least 0 the order of the bits is that of the numbers.
        self.0.max_bits.fetch_max(value.to_bits(), Relaxed);
    }

    /// What was recorded so far.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let buckets: Vec<_> = (0..BUCKET_COUNT)
            .map(|index| (upper_edge(index), self.0.buckets[index].load(Relaxed)))
            .collect();
        HistogramSnapshot {
            count: buckets.iter().map(|(_, count)| count).sum(),
            sum: f64::from_bits(self.0.sum_bits.load(Relaxed)),
            max: f64::from_bits(self.0.max_bits.load(Relaxed)),
            buckets,
        }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self(Arc::new(Cells {
            buckets: [const { AtomicU64::new(0) }; BUCKET_COUNT],
            sum_bits: AtomicU64::new(0),
            max_bits: AtomicU64::new(0),
        }))
    }
}

impl HistogramSnapshot {
    /// The upper edge of the bucket below which the share `quantile` (0..=1) of values lies,
    /// never more than the largest value; `None` before the first.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let rank = (quantile * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let edge = self.buckets.iter().find_map(|(edge, count)| {
            seen += count;
            (seen >= rank).then_some(*edge)
        });
        edge.map(|edge| edge.min(self.max))
    }
}

fn upper_edge(index: usize) -> f64 {
    if index == BUCKET_COUNT - 1 {
        f64::INFINITY
    } else {
        (index as f64 / 2.0 + LOWEST_EXPONENT).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lands_below_its_bucket_edge() {
        let histogram = Histogram::default();
        for value in 1..=1000 {
            histogram.record(f64::from(value) / 10.0);
        }
        let snapshot = histogram.snapshot();
        assert_eq!((snapshot.count, snapshot.max), (1000, 100.0));
        assert!((snapshot.sum - 50_050.0).abs() < 1e-6);
        for (quantile, exact) in [(0.5, 50.0), (0.95, 95.0), (0.99, 99.0)] {
            let found = snapshot.quantile(quantile).unwrap();
            assert!(found >= exact && found <= exact * 1.42, "{quantile}: {found}");
        }
    }

    #[test]
    fn hostile_values_are_counted_as_nothing() {
        let histogram = Histogram::default();
        for value in [f64::NAN, -1.0, 0.0, f64::INFINITY] {
            histogram.record(value);
        }
        assert_eq!(histogram.snapshot().count, 4);
        assert_eq!(Histogram::default().snapshot().quantile(0.5), None);
    }

    #[test]
    fn clones_share() {
        let (counter, gauge) = (Counter::default(), Gauge::default());
        counter.clone().add(2);
        gauge.clone().set(1.5);
        assert_eq!((counter.value(), gauge.value()), (2, 1.5));
    }
}
