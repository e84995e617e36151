//! A running call's hold on its instance.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::core::clock::Clock;

/// Receives a value when nothing holds it any more.
pub(super) type Closed<V> = Box<dyn Fn(V) + Send + Sync>;

/// What every instance of a cache needs at its end.
pub(super) struct Ending<V> {
    pub(super) closed: Closed<V>,
    pub(super) clock: Arc<dyn Clock>,
    /// Times inside the cache are nanoseconds from here.
    pub(super) epoch: Instant,
    /// Whether anybody asks how long an instance has been idle.
    pub(super) expires: bool,
}

impl<V> Ending<V> {
    pub(super) fn now(&self) -> u64 {
        let since = self.clock.now().saturating_duration_since(self.epoch);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A value, shared by the cache and the leases: the last of them to let go hands it to the sink.
pub(super) struct Instance<V: Clone> {
    value: V,
    /// When the last lease so far ended; kept only where instances expire.
    last_used: AtomicU64,
    ending: Arc<Ending<V>>,
}

impl<V: Clone> Instance<V> {
    pub(super) fn new(value: V, ending: Arc<Ending<V>>) -> Self {
        Self { value, last_used: AtomicU64::new(0), ending }
    }

    pub(super) fn last_used(&self) -> u64 {
        self.last_used.load(Ordering::Acquire)
    }
}

impl<V: Clone> Drop for Instance<V> {
    fn drop(&mut self) {
        (self.ending.closed)(self.value.clone());
    }
}

/// Keeps an instance open. Dereferences to the value; a clone counts as another running call.
pub struct Lease<V: Clone> {
    instance: Arc<Instance<V>>,
}

impl<V: Clone> Lease<V> {
    pub(super) fn new(instance: Arc<Instance<V>>) -> Self {
        Self { instance }
    }
}

impl<V: Clone> Clone for Lease<V> {
    fn clone(&self) -> Self {
        Self { instance: Arc::clone(&self.instance) }
    }
}

impl<V: Clone> Deref for Lease<V> {
    type Target = V;

    #[inline]
    fn deref(&self) -> &V {
        &self.instance.value
    }
}

impl<V: Clone> Drop for Lease<V> {
    #[inline]
    fn drop(&mut self) {
        let ending = &self.instance.ending;
        if ending.expires {
            self.instance.last_used.fetch_max(ending.now(), Ordering::Release);
        }
    }
}

impl<V: Clone + std::fmt::Debug> std::fmt::Debug for Lease<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lease").field(&self.instance.value).finish()
    }
}
