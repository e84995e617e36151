//! When something was done, again and again: the first fifth of the time is not counted.

use std::time::{Duration, Instant};

pub(crate) struct Clock {
    time: Duration,
    start: Instant,
    last: Instant,
    warm: bool,
    nanoseconds: Vec<u64>,
}

impl Clock {
    pub(crate) fn start(time: Duration) -> Self {
        let now = Instant::now();
        Self { time, start: now, last: now, warm: false, nanoseconds: Vec::with_capacity(1 << 18) }
    }

    /// One more is done. False once the time is up.
    pub(crate) fn tick(&mut self) -> bool {
        let now = Instant::now();
        if self.warm {
            self.nanoseconds.push(u64::try_from((now - self.last).as_nanos()).unwrap_or(u64::MAX));
        } else if now - self.start >= self.time / 5 {
            (self.warm, self.start) = (true, now);
        }
        self.last = now;
        !self.warm || now - self.start < self.time
    }

    /// How often it was done, and how many times a second.
    pub(crate) fn rate(&self) -> String {
        let count = u32::try_from(self.nanoseconds.len()).unwrap_or(u32::MAX);
        let rate = f64::from(count) / (self.last - self.start).as_secs_f64();
        format!(r#"{{"samples": {count}, "rate": {rate:.1}}}"#)
    }

    /// The same, and how long one took, in microseconds: for what is done one after the other.
    pub(crate) fn times(&mut self) -> String {
        self.nanoseconds.sort_unstable();
        let at = |percent: usize| {
            let index = self.nanoseconds.len() * percent / 100;
            self.nanoseconds.get(index).map_or(0.0, |taken| Duration::from_nanos(*taken).as_secs_f64() * 1e6)
        };
        let [p50, p90, p99] = [50, 90, 99].map(at);
        let rate = self.rate();
        format!(r#"{}, "p50": {p50:.3}, "p90": {p90:.3}, "p99": {p99:.3}}}"#, rate.trim_end_matches('}'))
    }
}
