//! How long to wait before trying again: longer each time, and never as long as the others that wait for the same.

use std::time::Duration;

/// Waits that grow. Each is drawn between nothing and a bound that doubles up to the most ("full jitter"), so that
/// clients that lost one server together do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    bound: Duration,
}

impl Backoff {
    /// Waits of up to `first`, then up to twice as long each time, up to `most`.
    #[must_use]
    pub fn new(first: Duration, most: Duration) -> Self {
        let bound = first.min(most);
        Self { first: bound, most, bound }
    }

    /// The next wait, at random.
    pub fn next_wait(&mut self) -> Duration {
        self.next_from(random)
    }

    /// The next wait; `random` gives a number from 0 up to 1.
    pub fn next_from(&mut self, random: impl FnOnce() -> f64) -> Duration {
        let bound = self.bound;
        self.bound = bound.saturating_mul(2).min(self.most);
        bound.mul_f64(random().clamp(0.0, 1.0))
    }

    /// It worked: the next wait is a first one.
    pub fn reset(&mut self) {
        self.bound = self.first;
    }
}

/// From 0 up to 1. Without the system's randomness, in the middle: waiting goes on, in step with others at worst.
fn random() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / (f64::from(u32::MAX) + 1.0))
}
