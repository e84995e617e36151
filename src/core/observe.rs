//! One call, seen everywhere: the seam through which statistics, logs, traces and live views look on.

mod histogram;
mod statistics;

use std::sync::Arc;
use std::time::Duration;

use super::error::Code;

pub use histogram::{Histogram, Latency};
pub use statistics::{ConnectionCounts, DropCounts, EndpointSnapshot, Snapshot, Statistics};

/// Which call an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallEvent {
    /// The connection it came on, as numbered by its server.
    pub connection: u64,
    /// Its id on that connection.
    pub id: u64,
    /// The endpoint's position in the schema.
    pub endpoint: usize,
}

/// Why a call never began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// A bound was reached.
    Overloaded,
    /// Its time ran out first.
    Deadline,
    /// Its caller cancelled it.
    Cancelled,
    /// Its caller had gone.
    Departed,
    /// The service is ending.
    Draining,
}

/// What happened to a connection. Each that was `Opened` ends `Closed` or `Dropped`; one `Refused` was neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// It was accepted, hello included.
    Opened,
    /// It was turned away: over the bound, a wrong token, another protocol.
    Refused,
    /// It ended.
    Closed,
    /// This side ended it: the peer was silent or did not read.
    Dropped,
}

/// Looks on. Called on the threads that carry the calls: must be quick, must not block.
///
/// A call is `accepted`, then either `started` and `ended`, or `dropped`.
pub trait Observer: Send + Sync {
    /// A request was read.
    fn accepted(&self, _call: CallEvent) {}
    /// The user's code begins.
    fn started(&self, _call: CallEvent) {}
    /// The user's code has ended, after this time; `Code::Ok` when it returned.
    fn ended(&self, _call: CallEvent, _code: Code, _time: Duration) {}
    /// It will not begin.
    fn dropped(&self, _call: CallEvent, _reason: DropReason) {}
    /// A connection changed state.
    fn connection(&self, _connection: u64, _event: ConnectionEvent) {}
}

/// The statistics, always, and whoever else looks on.
pub struct Observers {
    /// Asked for by `stats()`.
    pub statistics: Statistics,
    others: Vec<Arc<dyn Observer>>,
}

impl Observers {
    /// The statistics and these others.
    #[must_use]
    pub fn new(statistics: Statistics, others: Vec<Arc<dyn Observer>>) -> Self {
        Self { statistics, others }
    }

    #[inline]
    fn each(&self, tell: impl Fn(&dyn Observer)) {
        for observer in &self.others {
            tell(observer.as_ref());
        }
    }
}

impl Observer for Observers {
    #[inline]
    fn accepted(&self, call: CallEvent) {
        self.each(|observer| observer.accepted(call));
    }

    #[inline]
    fn started(&self, call: CallEvent) {
        self.statistics.started(call);
        self.each(|observer| observer.started(call));
    }

    #[inline]
    fn ended(&self, call: CallEvent, code: Code, time: Duration) {
        self.statistics.ended(call, code, time);
        self.each(|observer| observer.ended(call, code, time));
    }

    fn dropped(&self, call: CallEvent, reason: DropReason) {
        self.statistics.dropped(call, reason);
        self.each(|observer| observer.dropped(call, reason));
    }

    fn connection(&self, connection: u64, event: ConnectionEvent) {
        self.statistics.connection(connection, event);
        self.each(|observer| observer.connection(connection, event));
    }
}
