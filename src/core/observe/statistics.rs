//! The first user of the observer seam: counts and latencies, per endpoint and for the whole service.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::histogram::{Histogram, Latency};
use super::{CallEvent, ConnectionEvent, DropReason, Observer};
use crate::core::error::Code;
use crate::core::instances::CacheCounts;

/// Counts of one service (or of one client's calls to it). Everything is a relaxed atomic: cheap, and exact
/// once the calls have ended.
#[derive(Debug)]
pub struct Statistics {
    since: Instant,
    endpoints: Box<[Endpoint]>,
    dropped: DropCounters,
    connections: ConnectionCounters,
}

#[derive(Debug)]
struct Endpoint {
    name: String,
    started: AtomicU64,
    errors: AtomicU64,
    /// Also counts the calls that have ended.
    latency: Histogram,
}

#[derive(Debug, Default)]
struct DropCounters {
    overloaded: AtomicU64,
    deadline: AtomicU64,
    cancelled: AtomicU64,
    departed: AtomicU64,
    draining: AtomicU64,
}

#[derive(Debug, Default)]
struct ConnectionCounters {
    accepted: AtomicU64,
    refused: AtomicU64,
    closed: AtomicU64,
    dropped: AtomicU64,
}

impl Statistics {
    /// Counts for these endpoints; events name them by their position.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let endpoints = endpoints.into_iter().map(|name| Endpoint {
            name: name.into(),
            started: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            latency: Histogram::default(),
        });
        Self {
            since: Instant::now(),
            endpoints: endpoints.collect(),
            dropped: DropCounters::default(),
            connections: ConnectionCounters::default(),
        }
    }

    /// The counts now. The cache's are the caller's to give.
    #[must_use]
    pub fn snapshot(&self, cache: CacheCounts) -> Snapshot {
        let endpoints: Vec<_> = self.endpoints.iter().map(Endpoint::snapshot).collect();
        let accepted = self.connections.accepted.load(Relaxed);
        let closed = self.connections.closed.load(Relaxed);
        Snapshot {
            uptime_s: self.since.elapsed().as_secs_f64(),
            calls: endpoints.iter().map(|endpoint| endpoint.calls).sum(),
            errors: endpoints.iter().map(|endpoint| endpoint.errors).sum(),
            in_flight: endpoints.iter().map(|endpoint| endpoint.in_flight).sum(),
            dropped: DropCounts {
                overloaded: self.dropped.overloaded.load(Relaxed),
                deadline: self.dropped.deadline.load(Relaxed),
                cancelled: self.dropped.cancelled.load(Relaxed),
                departed: self.dropped.departed.load(Relaxed),
                draining: self.dropped.draining.load(Relaxed),
            },
            connections: ConnectionCounts {
                open: accepted.saturating_sub(closed),
                accepted,
                refused: self.connections.refused.load(Relaxed),
                dropped: self.connections.dropped.load(Relaxed),
            },
            cache,
            endpoints,
        }
    }
}

impl Endpoint {
    fn snapshot(&self) -> EndpointSnapshot {
        // Ended before started: a call that starts in between does not make the difference negative.
        let latency = self.latency.latency();
        let calls = self.started.load(Relaxed);
        EndpointSnapshot {
            name: self.name.clone(),
            calls,
            errors: self.errors.load(Relaxed),
            in_flight: calls.saturating_sub(latency.count),
            latency,
        }
    }
}

impl Observer for Statistics {
    #[inline]
    fn started(&self, call: CallEvent) {
        if let Some(endpoint) = self.endpoints.get(call.endpoint) {
            endpoint.started.fetch_add(1, Relaxed);
        }
    }

    #[inline]
    fn ended(&self, call: CallEvent, code: Code, time: Duration) {
        if let Some(endpoint) = self.endpoints.get(call.endpoint) {
            endpoint.latency.record(time);
            if code != Code::Ok {
                endpoint.errors.fetch_add(1, Relaxed);
            }
        }
    }

    fn dropped(&self, _call: CallEvent, reason: DropReason) {
        let counter = match reason {
            DropReason::Overloaded => &self.dropped.overloaded,
            DropReason::Deadline => &self.dropped.deadline,
            DropReason::Cancelled => &self.dropped.cancelled,
            DropReason::Departed => &self.dropped.departed,
            DropReason::Draining => &self.dropped.draining,
        };
        counter.fetch_add(1, Relaxed);
    }

    fn connection(&self, _connection: u64, event: ConnectionEvent) {
        let counters = &self.connections;
        match event {
            ConnectionEvent::Opened => counters.accepted.fetch_add(1, Relaxed),
            ConnectionEvent::Refused => counters.refused.fetch_add(1, Relaxed),
            ConnectionEvent::Closed => counters.closed.fetch_add(1, Relaxed),
            ConnectionEvent::Dropped => {
                counters.closed.fetch_add(1, Relaxed);
                counters.dropped.fetch_add(1, Relaxed)
            }
        };
    }
}

/// Counts at one moment, ready to be serialised.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Since the service began, in seconds.
    pub uptime_s: f64,
    /// Calls begun.
    pub calls: u64,
    /// Calls that ended with an error.
    pub errors: u64,
    /// Calls running now.
    pub in_flight: u64,
    /// Calls that never began.
    pub dropped: DropCounts,
    /// Connections.
    pub connections: ConnectionCounts,
    /// The instance cache.
    pub cache: CacheCounts,
    /// Each endpoint, in the order of the schema.
    pub endpoints: Vec<EndpointSnapshot>,
}

/// Counts of one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EndpointSnapshot {
    /// Its name on the wire.
    pub name: String,
    /// Calls begun.
    pub calls: u64,
    /// Calls that ended with an error.
    pub errors: u64,
    /// Calls running now.
    pub in_flight: u64,
    /// How long the calls that ended took.
    pub latency: Latency,
}

/// Calls that were accepted or refused and never began, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DropCounts {
    /// A bound was reached.
    pub overloaded: u64,
    /// Their time ran out first.
    pub deadline: u64,
    /// Their caller cancelled them.
    pub cancelled: u64,
    /// Their caller had gone.
    pub departed: u64,
    /// The service was ending.
    pub draining: u64,
}

/// Counts of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConnectionCounts {
    /// Open now.
    pub open: u64,
    /// Opened so far.
    pub accepted: u64,
    /// Turned away: over the bound, a wrong token, another protocol.
    pub refused: u64,
    /// Ended by this side: the peer was silent or did not read.
    pub dropped: u64,
}
