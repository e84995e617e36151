//! A binding of one key to the cache: the way in of every call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::lease::Lease;
use super::table::{Entry, State, Table};
use super::ticket::BuildTicket;
use super::{Digest, OnEvict, Shared, expiry};

/// What a lookup found.
#[derive(Debug)]
pub enum Lookup<V: Clone, W> {
    /// The instance, held for this call.
    Ready(Lease<V>),
    /// Nobody has it: this caller builds it.
    Build(BuildTicket<V, W>),
    /// Another caller builds it: [`Slot::park`].
    Building,
    /// It was evicted, and the policy is [`OnEvict::Error`].
    Evicted,
    /// The cache was drained.
    Closed,
}

/// What became of a call that was to wait.
#[derive(Debug, PartialEq, Eq)]
pub enum Park<W> {
    /// It waits; the end of the build hands it back.
    Parked,
    /// The build has ended meanwhile: look up again.
    Again(W),
    /// Too many wait already.
    Full(W),
}

/// One binding of a key. Remembers where its instance was last, so that finding it again costs no hash.
pub struct Slot<V: Clone, W> {
    shared: Arc<Shared<V, W>>,
    key: Digest,
    /// The number of evictions when it was made.
    bound_at: u64,
    /// Where the instance was, and its generation (0: not seen yet). A torn pair is harmless: a generation is
    /// in one place only.
    place: AtomicU32,
    generation: AtomicU64,
}

impl<V: Clone, W> Slot<V, W> {
    pub(super) fn new(shared: Arc<Shared<V, W>>, key: Digest, bound_at: u64) -> Self {
        Self { shared, key, bound_at, place: AtomicU32::new(u32::MAX), generation: AtomicU64::new(0) }
    }

    /// The key's digest, the same in every process.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.key
    }

    /// Finds the instance and makes it the most recently used.
    #[inline]
    pub fn lookup(&self) -> Lookup<V, W> {
        let now = self.shared.now();
        let mut table = self.shared.table.lock();
        let place = self.place.load(Ordering::Relaxed);
        if let Some(entry) = table.entry(place)
            && entry.generation == self.generation.load(Ordering::Relaxed)
            && let State::Ready(instance) = &entry.state
            && !self.expired(entry, now)
        {
            let lease = Lease::new(Arc::clone(instance));
            entry.found = now;
            table.order.touch(place);
            table.counts.hits += 1;
            return Lookup::Ready(lease);
        }
        let mut gone = None;
        let found = self.search(&mut table, now, &mut gone);
        drop(table);
        drop(gone);
        found
    }

    /// The rest of a lookup, by the key. What expired is left in `gone`, to be dropped without the lock.
    #[cold]
    fn search(&self, table: &mut Table<V, W>, now: u64, gone: &mut Option<Entry<V, W>>) -> Lookup<V, W> {
        if table.closed {
            return Lookup::Closed;
        }
        let mut place = table.find(&self.key);
        if let Some(current) = place
            && table.entry(current).is_some_and(|entry| self.expired(entry, now))
        {
            *gone = table.evict(current);
            table.counts.expired += 1;
            place = None;
        }
        if self.shared.options.on_evict == OnEvict::Error && self.was_evicted(table, place) {
            return Lookup::Evicted;
        }
        let Some((place, entry)) = place.and_then(|place| Some((place, table.entry(place)?))) else {
            table.counts.misses += 1;
            let (place, generation) = table.begin(self.key);
            return Lookup::Build(BuildTicket::new(Arc::clone(&self.shared), place, generation));
        };
        let State::Ready(instance) = &entry.state else { return Lookup::Building };
        let lease = Lease::new(Arc::clone(instance));
        entry.found = now;
        self.place.store(place, Ordering::Relaxed);
        self.generation.store(entry.generation, Ordering::Relaxed);
        table.order.touch(place);
        table.counts.hits += 1;
        Lookup::Ready(lease)
    }

    /// Leaves a call to wait for the instance that another caller builds.
    pub fn park(&self, waiter: W) -> Park<W> {
        let mut table = self.shared.table.lock();
        if table.counts.waiting >= self.shared.options.max_waiters {
            return Park::Full(waiter);
        }
        let Some(place) = table.find(&self.key) else { return Park::Again(waiter) };
        match table.entry(place).map(|entry| &mut entry.state) {
            Some(State::Building(waiters)) => waiters.push(waiter),
            Some(State::Ready(_)) | None => return Park::Again(waiter),
        }
        table.counts.waiting += 1;
        table.counts.waited += 1;
        Park::Parked
    }

    #[inline]
    fn expired(&self, entry: &Entry<V, W>, now: u64) -> bool {
        self.shared.time_to_live.is_some_and(|time_to_live| expiry(entry, time_to_live, now) <= now)
    }

    /// Whether the instance this slot was bound to has gone, whatever is in `place` now.
    fn was_evicted(&self, table: &mut Table<V, W>, place: Option<u32>) -> bool {
        let seen = self.generation.load(Ordering::Relaxed);
        let present = place.and_then(|place| table.entry(place)).map(|entry| entry.generation);
        (seen != 0 && present != Some(seen)) || table.evictions.contains_since(&self.key, self.bound_at)
    }
}
