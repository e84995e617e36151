//! Durations counted in buckets whose width grows with them: fixed memory, two significant digits.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;

/// Each doubling is cut into 2^6 = 64 buckets: a reported value is within 0.8 % of the recorded one.
const BITS: u32 = 6;
const PER_DOUBLING: usize = 1 << BITS;
/// Longer durations (73 minutes) are counted in the last bucket; the maximum and the mean stay exact.
const LONGEST: u64 = (1 << 42) - 1;
const BUCKETS: usize = bucket_of(LONGEST) + 1;

/// Durations, in nanoseconds. Recording takes no lock and, after the first time, no memory.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Made at the first recording, so that an endpoint nobody calls costs nothing.
    buckets: OnceLock<Box<[AtomicU64]>>,
    sum: AtomicU64,
    max: AtomicU64,
}

/// What a histogram holds, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// How many durations were recorded.
    pub count: u64,
    /// Their mean, exact.
    pub mean_us: f64,
    /// Half of them are at most this long.
    pub p50_us: f64,
    /// 90 % of them.
    pub p90_us: f64,
    /// 99 % of them.
    pub p99_us: f64,
    /// The longest, exact.
    pub max_us: f64,
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub fn record(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let buckets = self.buckets.get_or_init(empty);
        if let Some(bucket) = buckets.get(bucket_of(nanos.min(LONGEST))) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(nanos, Relaxed);
        // Nearly always false, and a read is much cheaper than a write.
        if nanos > self.max.load(Relaxed) {
            self.max.fetch_max(nanos, Relaxed);
        }
    }

    /// How many durations were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.get().map_or(0, |buckets| buckets.iter().map(|bucket| bucket.load(Relaxed)).sum())
    }

    /// The percentiles of what was recorded so far.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let Some(buckets) = self.buckets.get() else { return Latency::default() };
        let counts: Vec<u64> = buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        if count == 0 {
            return Latency::default();
        }
        let max = self.max.load(Relaxed);
        let percentile = |percent: u64| {
            let rank = (u128::from(count) * u128::from(percent)).div_ceil(100).max(1);
            let mut seen = 0;
            let bucket = counts.iter().position(|count| {
                seen += u128::from(*count);
                seen >= rank
            });
            micros(bucket.map_or(max, middle_of).min(max))
        };
        Latency {
            count,
            mean_us: micros(self.sum.load(Relaxed)) / to_f64(count),
            p50_us: percentile(50),
            p90_us: percentile(90),
            p99_us: percentile(99),
            max_us: micros(max),
        }
    }
}

#[cold]
fn empty() -> Box<[AtomicU64]> {
    (0..BUCKETS).map(|_| AtomicU64::new(0)).collect()
}

/// Below 128 a bucket for each value; then 64 for each doubling.
const fn bucket_of(nanos: u64) -> usize {
    let doublings = (63 - BITS).saturating_sub(nanos.leading_zeros());
    doublings as usize * PER_DOUBLING + (nanos >> doublings) as usize
}

/// The value that stands for a bucket.
fn middle_of(bucket: usize) -> u64 {
    let doublings = (bucket / PER_DOUBLING).saturating_sub(1);
    let lowest = ((bucket - doublings * PER_DOUBLING) as u64) << doublings;
    lowest + ((1_u64 << doublings) - 1) / 2
}

fn micros(nanos: u64) -> f64 {
    to_f64(nanos) / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "2^53 is enough for a statistic")]
fn to_f64(number: u64) -> f64 {
    number as f64
}
