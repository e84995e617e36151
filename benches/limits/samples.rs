//! Round trips, timed one by one after a short warm-up.

use std::time::{Duration, Instant};

pub(crate) struct Samples {
    sorted: Vec<u64>,
    elapsed: Duration,
}

/// Repeats `round_trip` for a fifth of `time` unmeasured, then for `time` measured.
pub(crate) fn collect<E>(
    time: Duration,
    mut round_trip: impl FnMut() -> Result<(), E>,
) -> Result<Samples, E> {
    let warm = Instant::now();
    while warm.elapsed() < time / 5 {
        round_trip()?;
    }
    let mut sorted = Vec::with_capacity(1 << 20);
    let start = Instant::now();
    let mut last = start;
    while last - start < time {
        round_trip()?;
        let now = Instant::now();
        sorted.push(u64::try_from((now - last).as_nanos()).unwrap_or(u64::MAX));
        last = now;
    }
    sorted.sort_unstable();
    Ok(Samples { sorted, elapsed: last - start })
}

impl Samples {
    /// One line; times are in microseconds, the rate in round trips a second.
    pub(crate) fn json(&self, lane: &str, size: usize) -> String {
        let count = self.sorted.len();
        let at = |percent: usize| {
            let index = (count * percent / 100).min(count.saturating_sub(1));
            self.sorted.get(index).map_or(0.0, |nanoseconds| Duration::from_nanos(*nanoseconds).as_secs_f64())
                * 1e6
        };
        let [p50, p90, p99] = [50, 90, 99].map(at);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let rate = f64::from(count) / self.elapsed.as_secs_f64();
        format!(
            r#"{{"lane": "{lane}", "size": {size}, "samples": {count}, "p50": {p50:.3}, "p90": {p90:.3}, "p99": {p99:.3}, "rate": {rate:.1}}}"#
        )
    }
}
