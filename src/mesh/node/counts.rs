//! What a node has counted, and what it has told already.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counters, from the node's beginning.
#[derive(Debug, Default)]
pub struct Counts {
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    received: AtomicU64,
    received_bytes: AtomicU64,
    unread: AtomicU64,
    orphans: AtomicU64,
    conflicts: AtomicU64,
    connections: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Packets sent.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Packets received.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Packets that could not be read.
    pub unread: u64,
    /// Answers that nobody waited for any more.
    pub orphans: u64,
    /// Packets of another node with this one's id.
    pub conflicts: u64,
    /// Connections made.
    pub connections: u64,
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl Counts {
    /// All of them.
    #[must_use]
    pub fn now(&self) -> Counted {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counted {
            sent: read(&self.sent),
            sent_bytes: read(&self.sent_bytes),
            received: read(&self.received),
            received_bytes: read(&self.received_bytes),
            unread: read(&self.unread),
            orphans: read(&self.orphans),
            conflicts: read(&self.conflicts),
            connections: read(&self.connections),
        }
    }

    pub(super) fn sent(&self, bytes: usize) {
        add(&self.sent, 1);
        add(&self.sent_bytes, bytes as u64);
    }

    pub(super) fn received(&self, bytes: usize) {
        add(&self.received, 1);
        add(&self.received_bytes, bytes as u64);
    }

    pub(super) fn unread(&self) {
        add(&self.unread, 1);
    }

    pub(super) fn orphan(&self) {
        add(&self.orphans, 1);
    }

    pub(super) fn conflict(&self) {
        add(&self.conflicts, 1);
    }

    pub(super) fn connected(&self) {
        add(&self.connections, 1);
    }
}

/// What is told again only after this.
const AGAIN: Duration = Duration::from_secs(60);
/// So many different texts are told in that time.
const MOST: usize = 256;

/// What has been told lately: a bad peer must not fill the logs.
#[derive(Debug, Default)]
pub(super) struct Told(HashMap<String, Instant>);

impl Told {
    /// Whether this is to be told now.
    pub(super) fn is_new(&mut self, text: &str, now: Instant) -> bool {
        if self.0.get(text).is_some_and(|told| now.saturating_duration_since(*told) < AGAIN) {
            return false;
        }
        if self.0.len() >= MOST {
            self.0.retain(|_, told| now.saturating_duration_since(*told) < AGAIN);
            if self.0.len() >= MOST {
                return false;
            }
        }
        self.0.insert(text.to_owned(), now);
        true
    }
}
