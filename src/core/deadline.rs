//! What ends a wait: a call's deadline (an instant here, remaining microseconds on the wire), or a signal.

use std::time::{Duration, Instant};

/// When a call must have ended. Crosses every hop as remaining time, so clocks need not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// Asked during every wait, at least each 100 ms; `true` gives the wait up (a signal's handler raised), and all that
/// follow in the same operation.
pub type Interrupt<'a> = &'a dyn Fn() -> bool;

/// Longer times than this (30 days) are cut to it, so that instants cannot overflow.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

impl Deadline {
    /// The deadline this far from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self::after_at(Instant::now(), time)
    }

    /// The deadline this far from `now`.
    #[must_use]
    pub fn after_at(now: Instant, time: Duration) -> Self {
        Self(now + time.min(LONGEST))
    }

    /// The deadline a peer sent as remaining microseconds in a message that arrived at `now`; 0 means that it
    /// named none.
    #[must_use]
    pub fn from_wire(micros: u64, now: Instant) -> Option<Self> {
        (micros > 0).then(|| Self(now + Duration::from_micros(micros).min(LONGEST)))
    }

    /// What is left, zero when it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// What is left, for the wire: at least 1, since 0 means none.
    #[must_use]
    pub fn to_wire(self) -> u64 {
        self.to_wire_at(Instant::now())
    }

    /// The same at `now`.
    #[must_use]
    pub fn to_wire_at(self, now: Instant) -> u64 {
        let remaining = self.0.saturating_duration_since(now);
        u64::try_from(remaining.as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// Whether it has passed.
    #[must_use]
    pub fn passed(self) -> bool {
        Instant::now() >= self.0
    }

    /// Whether it has passed at `now`.
    #[must_use]
    pub fn passed_at(self, now: Instant) -> bool {
        now >= self.0
    }

    /// The instant itself.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The earlier of two.
    #[must_use]
    pub fn min_with(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| self.min(other))
    }
}
