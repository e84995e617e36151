//! What the cache's one lock protects: the entries, their order of use, and the counts.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::Digest;
use super::evictions::Evictions;
use super::lease::Instance;
use super::order::Order;

/// Counts since the cache was made, and its present size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CacheCounts {
    /// Lookups that found their instance.
    pub hits: u64,
    /// Lookups that began a build.
    pub misses: u64,
    /// Calls that waited for an instance being built.
    pub waited: u64,
    /// Instances built.
    pub built: u64,
    /// Of those, how many had been built and evicted before.
    pub rebuilt: u64,
    /// Builds that failed.
    pub failed: u64,
    /// Instances that went to make room.
    pub evicted: u64,
    /// Instances that went for having been idle too long.
    pub expired: u64,
    /// Instances now.
    pub size: usize,
    /// Instances being built now.
    pub building: usize,
    /// Calls waiting now.
    pub waiting: usize,
}

pub(super) enum State<V: Clone, W> {
    Building(Vec<W>),
    Ready(Arc<Instance<V>>),
}

pub(super) struct Entry<V: Clone, W> {
    pub(super) key: Digest,
    /// Unlike the place, never used again: tells this entry from a later one in its place.
    pub(super) generation: u64,
    /// When a lookup last found it, in nanoseconds of the cache's clock.
    pub(super) found: u64,
    pub(super) state: State<V, W>,
}

impl<V: Clone, W> Entry<V, W> {
    pub(super) fn into_waiters(self) -> Vec<W> {
        match self.state {
            State::Building(waiters) => waiters,
            State::Ready(_) => Vec::new(),
        }
    }
}

pub(super) struct Table<V: Clone, W> {
    pub(super) entries: Vec<Option<Entry<V, W>>>,
    free: Vec<u32>,
    places: HashMap<Digest, u32>,
    /// The entries that are ready.
    pub(super) order: Order,
    pub(super) evictions: Evictions,
    pub(super) counts: CacheCounts,
    pub(super) closed: bool,
    generations: u64,
}

impl<V: Clone, W> Table<V, W> {
    pub(super) fn new(remembered: usize) -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            places: HashMap::new(),
            order: Order::new(),
            evictions: Evictions::new(remembered),
            counts: CacheCounts::default(),
            closed: false,
            generations: 0,
        }
    }

    pub(super) fn find(&self, key: &Digest) -> Option<u32> {
        self.places.get(key).copied()
    }

    #[inline]
    pub(super) fn entry(&mut self, place: u32) -> Option<&mut Entry<V, W>> {
        self.entries.get_mut(place as usize)?.as_mut()
    }

    /// Whether the entry in this place is still the one with this generation.
    pub(super) fn is(&self, place: u32, generation: u64) -> bool {
        matches!(self.entries.get(place as usize), Some(Some(entry)) if entry.generation == generation)
    }

    /// Adds an entry being built, and says where it is and its generation.
    pub(super) fn begin(&mut self, key: Digest) -> (u32, u64) {
        self.generations += 1;
        let generation = self.generations;
        let entry = Some(Entry { key, generation, found: 0, state: State::Building(Vec::new()) });
        let place = match self.free.pop() {
            Some(place) => {
                if let Some(vacant) = self.entries.get_mut(place as usize) {
                    *vacant = entry;
                }
                place
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.places.insert(key, place);
        self.counts.building += 1;
        (place, generation)
    }

    /// Ends a build: its entry becomes ready and the most recently used. Returns the calls that waited.
    pub(super) fn complete(&mut self, place: u32, instance: Arc<Instance<V>>, now: u64) -> Vec<W> {
        let Some(entry) = self.entry(place) else { return Vec::new() };
        entry.found = now;
        let key = entry.key;
        let State::Building(waiting) = &mut entry.state else { return Vec::new() };
        let waiters = std::mem::take(waiting);
        entry.state = State::Ready(instance);
        self.order.push(place);
        self.counts.building -= 1;
        self.counts.waiting -= waiters.len();
        self.counts.built += 1;
        self.counts.rebuilt += u64::from(self.evictions.contains(&key));
        waiters
    }

    /// Takes an entry out. What it held must be dropped after the lock is let go.
    pub(super) fn remove(&mut self, place: u32) -> Option<Entry<V, W>> {
        let entry = self.entries.get_mut(place as usize)?.take()?;
        self.places.remove(&entry.key);
        self.free.push(place);
        match &entry.state {
            State::Ready(_) => self.order.remove(place),
            State::Building(waiters) => {
                self.counts.building -= 1;
                self.counts.waiting -= waiters.len();
            }
        }
        Some(entry)
    }

    /// Takes a ready entry out and remembers that it went.
    pub(super) fn evict(&mut self, place: u32) -> Option<Entry<V, W>> {
        let entry = self.remove(place)?;
        self.evictions.remember(entry.key);
        Some(entry)
    }
}
