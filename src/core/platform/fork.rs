//! What a forked child must not share with its parent.
//!
//! A fork copies locks as they are at that moment, held ones too, and their holders do not come along.
//! So a child must not even look at such a lock: it starts with a new value, and the old one is leaked.

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// How many forks lie between this process and the first that used the engine.
#[must_use]
#[inline]
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// To be called in a child, right after the fork, before any other thread exists.
pub fn after_fork_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// A value that each process has for itself.
#[derive(Debug)]
pub struct ForkLocal<T> {
    current: AtomicPtr<(u64, T)>,
}

impl<T: Send + Sync> ForkLocal<T> {
    /// Begins with this value.
    pub fn new(value: T) -> Self {
        Self { current: AtomicPtr::new(Box::into_raw(Box::new((generation(), value)))) }
    }

    /// This process's value; in a new child, what `fresh` makes.
    #[inline]
    pub fn get(&self, fresh: impl FnOnce() -> T) -> &T {
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: the pointer comes from `Box::into_raw`, and what it points to is freed only by `drop`,
        // which has the last reference; a replaced value is leaked, never freed.
        let (made, value) = unsafe { &*current };
        if *made == generation() {
            return value;
        }
        self.replace(current, fresh())
    }

    #[cold]
    fn replace(&self, old: *mut (u64, T), value: T) -> &T {
        let new = Box::into_raw(Box::new((generation(), value)));
        let exchanged = self.current.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire);
        let kept = match exchanged {
            Ok(_) => new,
            Err(winner) => {
                // SAFETY: `new` was never shared.
                drop(unsafe { Box::from_raw(new) });
                winner
            }
        };
        // SAFETY: as in `get`.
        unsafe { &(*kept).1 }
    }
}

impl<T> Drop for ForkLocal<T> {
    fn drop(&mut self) {
        let current = *self.current.get_mut();
        // SAFETY: `&mut self` is the last reference.
        let value = unsafe { Box::from_raw(current) };
        if value.0 != generation() {
            // The parent's, with its locks as they were at the fork.
            std::mem::forget(value);
        }
    }
}
