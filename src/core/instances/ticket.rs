//! The duty to build an instance, and to hand back those who wait for it.

use std::sync::Arc;

use super::Shared;
use super::lease::{Instance, Lease};

/// Held by the one caller that builds an instance. Dropped without an end it counts as a failure, and the
/// calls that wait go to the cache's `abandoned` sink.
#[must_use = "the calls that wait for this instance get their end from the ticket"]
pub struct BuildTicket<V: Clone, W> {
    shared: Arc<Shared<V, W>>,
    place: u32,
    generation: u64,
    ended: bool,
}

impl<V: Clone, W> BuildTicket<V, W> {
    pub(super) fn new(shared: Arc<Shared<V, W>>, place: u32, generation: u64) -> Self {
        Self { shared, place, generation, ended: false }
    }

    /// Puts the instance in the cache, making room for it. Returns a hold on it for the builder's own call,
    /// and the calls that waited: give each a clone of the lease, or let it look up again.
    #[must_use = "the calls that wait must go on"]
    pub fn finish(mut self, value: V) -> (Lease<V>, Vec<W>) {
        self.ended = true;
        let instance = Arc::new(Instance::new(value, Arc::clone(&self.shared.ending)));
        let lease = Lease::new(Arc::clone(&instance));
        let now = self.shared.now();
        let mut gone = Vec::new();
        let mut waiters = Vec::new();
        {
            let mut table = self.shared.table.lock();
            // After a drain the entry is no longer there: the instance lives as long as its lease.
            if table.is(self.place, self.generation) {
                waiters = table.complete(self.place, instance, now);
                while table.order.len() > self.shared.options.capacity
                    && let Some(oldest) = table.order.oldest()
                {
                    gone.extend(table.evict(oldest));
                    table.counts.evicted += 1;
                }
            }
        }
        drop(gone);
        (lease, waiters)
    }

    /// Gives up. Returns the calls that waited, to be told why; the next lookup builds again.
    #[must_use = "the calls that wait must be answered"]
    pub fn fail(mut self) -> Vec<W> {
        self.give_up()
    }

    fn give_up(&mut self) -> Vec<W> {
        self.ended = true;
        let mut table = self.shared.table.lock();
        if !table.is(self.place, self.generation) {
            return Vec::new();
        }
        table.counts.failed += 1;
        table.remove(self.place).map(|entry| entry.into_waiters()).unwrap_or_default()
    }
}

impl<V: Clone, W> Drop for BuildTicket<V, W> {
    fn drop(&mut self) {
        if !self.ended {
            let waiters = self.give_up();
            if !waiters.is_empty() {
                (self.shared.abandoned)(waiters);
            }
        }
    }
}

impl<V: Clone, W> std::fmt::Debug for BuildTicket<V, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BuildTicket").field("generation", &self.generation).finish_non_exhaustive()
    }
}
