//! The instance cache: one instance for equal constructor arguments, built once, bounded, closed last.
//!
//! Knows nothing of what an instance is. The steps of a call:
//! ```text
//! slot.lookup() ─ Ready(lease)   run the call; the instance stays open while the lease lives
//!               ─ Build(ticket)  build it (no lock is held), then ticket.finish(value) or ticket.fail()
//!               ─ Building       another call builds it: slot.park(call); finish() hands it back
//! ```

mod evictions;
mod lease;
mod order;
mod slot;
mod table;
mod ticket;

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::clock::{Clock, CoarseClock};
use lease::Ending;
use table::{Entry, State, Table};

pub use lease::Lease;
pub use slot::{Lookup, Park, Slot};
pub use table::CacheCounts;
pub use ticket::BuildTicket;

/// Stands for a key: equal arguments, equal digest. Memory does not grow with the size of the arguments.
pub type Digest = [u8; 32];

/// What happens to a call whose instance was evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnEvict {
    /// It is built again.
    #[default]
    Rebuild,
    /// A slot that was bound before the eviction is refused from then on; a new slot builds it again.
    Error,
}

/// The cache's bounds and policy.
#[derive(Clone, Copy, Debug)]
pub struct CacheOptions {
    /// Most instances kept; 0 keeps none beyond the calls that use it.
    pub capacity: usize,
    /// How long an instance may be idle, from the end of its last call.
    pub time_to_live: Option<Duration>,
    /// What happens to a call whose instance was evicted.
    pub on_evict: OnEvict,
    /// Most calls that wait for instances being built, all together.
    pub max_waiters: usize,
    /// How many evicted keys are remembered.
    pub remembered: usize,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            capacity: 128,
            time_to_live: None,
            on_evict: OnEvict::Rebuild,
            max_waiters: 4_096,
            remembered: 4_096,
        }
    }
}

struct Shared<V: Clone, W> {
    table: Mutex<Table<V, W>>,
    options: CacheOptions,
    /// The time to live in nanoseconds.
    time_to_live: Option<u64>,
    ending: Arc<Ending<V>>,
    abandoned: Box<dyn Fn(Vec<W>) + Send + Sync>,
}

/// The cache. `V` is an instance (an `Arc` of one, say), `W` a call that waits for one.
pub struct InstanceCache<V: Clone, W> {
    shared: Arc<Shared<V, W>>,
}

impl<V: Clone, W> Clone for InstanceCache<V, W> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<V: Clone, W> InstanceCache<V, W> {
    /// A cache on the system's coarse clock. See [`InstanceCache::with_clock`].
    pub fn new(
        options: CacheOptions,
        closed: impl Fn(V) + Send + Sync + 'static,
        abandoned: impl Fn(Vec<W>) + Send + Sync + 'static,
    ) -> Self {
        Self::with_clock(options, Arc::new(CoarseClock::default()), closed, abandoned)
    }

    /// A cache that reads time from `clock`.
    ///
    /// `closed` receives each evicted, expired or drained value when its last lease has ended, on the thread
    /// where that happens. `abandoned` receives the calls that waited for a build whose ticket was dropped.
    /// Neither is called with a lock held.
    pub fn with_clock(
        options: CacheOptions,
        clock: Arc<dyn Clock>,
        closed: impl Fn(V) + Send + Sync + 'static,
        abandoned: impl Fn(Vec<W>) + Send + Sync + 'static,
    ) -> Self {
        let epoch = clock.now();
        let expires = options.time_to_live.is_some();
        let shared = Shared {
            table: Mutex::new(Table::new(options.remembered)),
            options,
            time_to_live: options.time_to_live.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
            ending: Arc::new(Ending { closed: Box::new(closed), clock, epoch, expires }),
            abandoned: Box::new(abandoned),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Binds a key (the canonical encoding of the constructor's arguments). Keep the slot: a lookup through it
    /// needs neither the key nor its hash.
    #[must_use]
    pub fn slot(&self, key: &[u8]) -> Slot<V, W> {
        self.slot_since(key, self.moment())
    }

    /// The same for a key that was bound at this earlier [`InstanceCache::moment`].
    #[must_use]
    pub fn slot_since(&self, key: &[u8], moment: u64) -> Slot<V, W> {
        Slot::new(Arc::clone(&self.shared), Sha256::digest(key).into(), moment)
    }

    /// Now, as bindings count: the number of evictions there have been.
    #[must_use]
    pub fn moment(&self) -> u64 {
        self.shared.table.lock().evictions.count()
    }

    /// The counts.
    #[must_use]
    pub fn counts(&self) -> CacheCounts {
        let table = self.shared.table.lock();
        CacheCounts { size: table.order.len(), ..table.counts }
    }

    /// Lets go of what has been idle too long. Returns when the next may be, `None` while nothing can expire.
    pub fn sweep(&self) -> Option<Instant> {
        let time_to_live = self.shared.time_to_live?;
        let now = self.shared.now();
        let mut gone = Vec::new();
        let mut next = None::<u64>;
        {
            let mut table = self.shared.table.lock();
            let mut place = table.order.oldest();
            while let Some(current) = place {
                place = table.order.newer(current);
                let Some(entry) = table.entry(current) else { break };
                let end = expiry(entry, time_to_live, now);
                let found = entry.found;
                if end <= now {
                    gone.extend(table.evict(current));
                    table.counts.expired += 1;
                    continue;
                }
                next = Some(next.map_or(end, |next| next.min(end)));
                // Those after it were found later, so they cannot expire before its own earliest time.
                if found.saturating_add(time_to_live) > now {
                    break;
                }
            }
        }
        drop(gone);
        next.map(|next| self.shared.ending.epoch + Duration::from_nanos(next))
    }

    /// Closes the cache: lets go of every instance, refuses lookups from now on, and hands back the calls that
    /// wait. Instances still in use are closed when their last lease ends.
    #[must_use = "the calls that wait must be answered"]
    pub fn drain(&self) -> Vec<W> {
        let mut gone = Vec::new();
        let mut waiters = Vec::new();
        {
            let mut table = self.shared.table.lock();
            table.closed = true;
            for place in 0..u32::try_from(table.entries.len()).unwrap_or(u32::MAX) {
                match table.remove(place).map(|entry| entry.state) {
                    Some(State::Ready(instance)) => gone.push(instance),
                    Some(State::Building(waiting)) => waiters.extend(waiting),
                    None => {}
                }
            }
        }
        drop(gone);
        waiters
    }
}

impl<V: Clone, W> Shared<V, W> {
    /// Now, or 0 where nothing asks for the time.
    #[inline]
    fn now(&self) -> u64 {
        if self.time_to_live.is_some() { self.ending.now() } else { 0 }
    }
}

/// When the entry expires if it is not used again. While a call uses it, it is not idle at all.
fn expiry<V: Clone, W>(entry: &Entry<V, W>, time_to_live: u64, now: u64) -> u64 {
    let idle_since = match &entry.state {
        State::Ready(instance) if Arc::strong_count(instance) == 1 => {
            // The end of the last lease wrote its time before it let go.
            fence(Ordering::Acquire);
            instance.last_used().max(entry.found)
        }
        State::Ready(_) | State::Building(_) => now,
    };
    idle_since.saturating_add(time_to_live)
}
