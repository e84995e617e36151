//! Where a worker sits: which call it runs, whether that was cancelled, and which replies it has not sent yet.
//! Others look: the keeper for calls that take long, whoever learns that a caller has gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::core::deadline::Deadline;

use super::connection::Connection;
use super::host::Host;

/// A worker's seat.
pub struct Seat<H: Host> {
    state: Mutex<State<H>>,
    cancelled: AtomicBool,
}

struct State<H: Host> {
    call: Option<Occupant>,
    calls: u64,
    /// Connections with replies that wait for company.
    unsent: Vec<Arc<Connection<H>>>,
}

/// The call that is being run.
#[derive(Clone, Copy, Debug)]
pub struct Occupant {
    /// Whose.
    pub connection: u64,
    /// Which.
    pub call: u64,
    /// Which endpoint.
    pub endpoint: u16,
    /// Until when.
    pub deadline: Option<Deadline>,
    /// Whether its caller has gone on.
    pub one_way: bool,
    /// Since when.
    pub started: Instant,
}

impl<H: Host> State<H> {
    fn remember(&mut self, connection: &Arc<Connection<H>>) {
        if !self.unsent.iter().any(|known| known.token == connection.token) {
            self.unsent.push(Arc::clone(connection));
        }
    }
}

impl<H: Host> Default for Seat<H> {
    fn default() -> Self {
        let state = State { call: None, calls: 0, unsent: Vec::new() };
        Self { state: Mutex::new(state), cancelled: AtomicBool::new(false) }
    }
}

impl<H: Host> Seat<H> {
    /// A call begins; returns its number on this seat.
    pub(super) fn sit(&self, call: Occupant) -> u64 {
        let mut state = self.state.lock();
        self.cancelled.store(false, Ordering::Relaxed);
        state.call = Some(call);
        state.calls += 1;
        state.calls
    }

    /// It ends. Its reply waits for company on `unsent`, if that is named.
    pub(super) fn rise(&self, unsent: Option<&Arc<Connection<H>>>) {
        let mut state = self.state.lock();
        state.call = None;
        if let Some(connection) = unsent {
            state.remember(connection);
        }
    }

    /// The call that runs now, and its number on this seat.
    #[must_use]
    pub fn call(&self) -> Option<(Occupant, u64)> {
        let state = self.state.lock();
        state.call.map(|call| (call, state.calls))
    }

    /// Whether the call of this number has been given up by its caller.
    #[must_use]
    pub fn is_cancelled(&self, number: u64) -> bool {
        let state = self.state.lock();
        state.calls != number
            || self.cancelled.load(Ordering::Relaxed)
            || state.call.is_some_and(|call| call.deadline.is_some_and(Deadline::passed))
    }

    /// Tells the running call that it was given up, if it is that one (`None`: any of the connection that its
    /// caller waits for).
    pub(super) fn cancel(&self, connection: u64, call: Option<u64>) {
        let state = self.state.lock();
        if state.call.is_some_and(|occupant| {
            occupant.connection == connection && call.map_or(!occupant.one_way, |call| occupant.call == call)
        }) {
            self.cancelled.store(true, Ordering::Relaxed);
        }
    }

    /// Tells the running call that its time is over, whatever it is.
    pub(super) fn cancel_any(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Remembers a connection whose reply waits for company.
    pub(super) fn remember_unsent(&self, connection: &Arc<Connection<H>>) {
        self.state.lock().remember(connection);
    }

    /// Takes the connections with unsent replies.
    pub(super) fn take_unsent(&self) -> Vec<Arc<Connection<H>>> {
        std::mem::take(&mut self.state.lock().unsent)
    }
}
