//! What an engine thread tells Python: a [`Mailbox`] that an event loop watches, and a [`Slot`] for a caller who
//! blocks.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use pyo3::prelude::*;

use super::signals::Signals;
use crate::core::error::Error;
use crate::core::platform::fork::{ForkLocal, Private};
use crate::core::platform::readiness::Bell;

/// How often a wait looks for signals.
const LOOK: Duration = Duration::from_millis(100);

/// Items for one event loop, which is woken once for all that come before it looks. Bounded by its users.
///
/// A forked child's is closed.
pub(crate) struct Mailbox<T> {
    bell: Private<Bell>,
    held: ForkLocal<Mutex<Held<T>>>,
}

struct Held<T> {
    items: VecDeque<T>,
    /// When the first of them came.
    since: Option<Instant>,
    closed: bool,
}

impl<T> Held<T> {
    fn new(closed: bool) -> Self {
        Self { items: VecDeque::new(), since: None, closed }
    }
}

impl<T: Send> Mailbox<T> {
    /// An empty one.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub(crate) fn new() -> io::Result<Self> {
        let held = ForkLocal::new(Mutex::new(Held::new(false)));
        Ok(Self { bell: Private::new(Bell::new()?), held })
    }

    fn held(&self) -> &Mutex<Held<T>> {
        self.held.get(|| Mutex::new(Held::new(true)))
    }

    /// Leaves an item, from any thread.
    ///
    /// # Errors
    /// The item, when the box is closed.
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let first = {
            let mut held = self.held().lock();
            if held.closed {
                return Err(item);
            }
            held.items.push_back(item);
            let first = held.since.is_none();
            if first {
                held.since = Some(Instant::now());
            }
            first
        };
        if first {
            self.bell.ring();
        }
        Ok(())
    }

    /// Takes all that is there, on the loop's thread. What comes from now on rings again.
    pub(crate) fn drain(&self) -> VecDeque<T> {
        // First: what is pushed in between is taken, and its ring wakes the loop for nothing.
        self.bell.hush();
        let mut held = self.held().lock();
        held.since = None;
        std::mem::take(&mut held.items)
    }

    /// Takes out what the loop has not taken, of a kind. The loop is late until it drains the box, so that what comes
    /// meanwhile has waited as long as what came first.
    pub(crate) fn take_if(&self, is_wanted: impl Fn(&T) -> bool) -> VecDeque<T> {
        let mut held = self.held().lock();
        let (taken, left): (VecDeque<T>, VecDeque<T>) =
            std::mem::take(&mut held.items).into_iter().partition(is_wanted);
        held.items = left;
        taken
    }

    /// What the loop is to watch.
    pub(crate) fn fd(&self) -> RawFd {
        self.bell.as_fd().as_raw_fd()
    }

    /// Since when the loop has left something in the box.
    pub(crate) fn oldest_waiting(&self) -> Option<Instant> {
        self.held().lock().since
    }

    /// Takes nothing more; gives what nobody has taken.
    pub(crate) fn close(&self) -> VecDeque<T> {
        let mut held = self.held().lock();
        held.closed = true;
        held.since = None;
        std::mem::take(&mut held.items)
    }
}

/// Where a caller waits for one value.
pub(crate) struct Slot<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
}

enum State<T> {
    Empty,
    Filled(T),
    /// It was taken, or nobody waits for it any more.
    Over,
}

impl<T> State<T> {
    fn take(&mut self) -> Option<T> {
        match std::mem::replace(self, Self::Over) {
            Self::Filled(value) => Some(value),
            other => {
                *self = other;
                None
            }
        }
    }
}

impl<T: Send> Slot<T> {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::Empty), filled: Condvar::new() }
    }

    /// Gives the value, from any thread.
    ///
    /// # Errors
    /// The value, when there is one already or nobody waits any more.
    pub(crate) fn fill(&self, value: T) -> Result<(), T> {
        let mut state = self.state.lock();
        if !matches!(*state, State::Empty) {
            return Err(value);
        }
        *state = State::Filled(value);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for the value without the GIL; `None` when it has not come by then. `None` for `until` waits for ever.
    ///
    /// # Errors
    /// What a signal's handler has raised, or that the wait was given up.
    pub(crate) fn wait(
        &self,
        py: Python<'_>,
        until: Option<Instant>,
        signals: &Signals,
    ) -> PyResult<Option<T>> {
        let looks = signals.must_look();
        let waited = py.detach(|| {
            loop {
                let look = looks.then(|| Instant::now() + LOOK);
                if let Some(value) = self.wait_until(look.into_iter().chain(until).min()) {
                    return Ok(Some(value));
                }
                if until.is_some_and(|until| until <= Instant::now()) {
                    return Ok(self.give_up());
                }
                if looks && signals.look() {
                    drop(self.give_up());
                    return Err(Error::interrupted());
                }
            }
        });
        waited.map_err(|error| signals.raise(py, &error))
    }

    fn wait_until(&self, until: Option<Instant>) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(value) = state.take() {
                return Some(value);
            }
            match until {
                Some(until) if self.filled.wait_until(&mut state, until).timed_out() => return state.take(),
                Some(_) => {}
                None => self.filled.wait(&mut state),
            }
        }
    }

    /// Nobody waits any more; a value that has come at the last moment.
    fn give_up(&self) -> Option<T> {
        let last = std::mem::replace(&mut *self.state.lock(), State::Over);
        if let State::Filled(value) = last { Some(value) } else { None }
    }
}
