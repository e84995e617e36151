//! Polling before sleep: when the answer is a few µs away, looking for it is cheaper than being woken.
//!
//! The rule: look for at most the budget, one poller per process; a hit on the first look counts for
//! nothing, a miss closes polling on this connection for a while that doubles with each miss, a hit
//! reopens it. So a busy single core pays one budget now and then, not one per call.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// One thread at a time polls in a process: two would take each other's core.
static POLLING: AtomicBool = AtomicBool::new(false);

const FIRST_CLOSING: Duration = Duration::from_micros(200);
const LONGEST_CLOSING: Duration = Duration::from_micros(12_800);

/// One connection's polling state.
#[derive(Debug)]
pub struct Gate {
    closed_until: Option<Instant>,
    closing: Duration,
}

impl Default for Gate {
    fn default() -> Self {
        Self { closed_until: None, closing: FIRST_CLOSING }
    }
}

impl Gate {
    /// Whether it has been worthwhile lately.
    #[must_use]
    pub fn is_open(&self, now: Instant) -> bool {
        self.closed_until.is_none_or(|until| now >= until)
    }

    /// It was worthwhile, as whoever looked in another way has found.
    pub fn hit(&mut self) {
        (self.closed_until, self.closing) = (None, FIRST_CLOSING);
    }

    /// It was not.
    pub fn miss(&mut self, now: Instant) {
        self.closed_until = Some(now + self.closing);
        self.closing = (self.closing * 2).min(LONGEST_CLOSING);
    }

    /// Looks until something is there or the budget is spent; `None` says to sleep instead.
    ///
    /// `look` must not block: `WouldBlock` means nothing yet.
    ///
    /// # Errors
    /// What `look` returned, other than `WouldBlock`.
    pub fn poll<T>(
        &mut self,
        budget: Duration,
        mut look: impl FnMut() -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        if budget.is_zero() {
            return Ok(None);
        }
        let start = Instant::now();
        if !self.is_open(start) || POLLING.swap(true, Ordering::Acquire) {
            return Ok(None);
        }
        let _turn = Turn;
        let mut looks = 0_u32;
        loop {
            match look() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                found => {
                    if looks > 0 {
                        self.hit();
                    }
                    return found.map(Some);
                }
            }
            looks += 1;
            std::hint::spin_loop();
            let now = Instant::now();
            if now - start >= budget {
                self.miss(now);
                return Ok(None);
            }
        }
    }
}

/// To be called in a forked child: the thread that was polling has not come along.
pub fn after_fork_in_child() {
    POLLING.store(false, Ordering::Release);
}

/// Gives the process's turn to poll back, however polling ends.
struct Turn;

impl Drop for Turn {
    fn drop(&mut self) {
        POLLING.store(false, Ordering::Release);
    }
}
