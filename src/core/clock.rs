//! The time, injected so that tests own it.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Instant;
}

/// The system's monotonic clock as of its last tick: up to 10 ms late, and several times cheaper to read.
#[derive(Clone, Copy, Debug)]
pub struct CoarseClock {
    start: Instant,
    start_coarse: Duration,
}

impl Default for CoarseClock {
    fn default() -> Self {
        Self { start: Instant::now(), start_coarse: coarse() }
    }
}

impl Clock for CoarseClock {
    #[inline]
    fn now(&self) -> Instant {
        self.start + coarse().saturating_sub(self.start_coarse)
    }
}

/// Time since the machine started.
#[inline]
fn coarse() -> Duration {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
