//! What a forked child must not share with its parent.
//!
//! A fork copies locks as they are at that moment, held ones too, and their holders do not come along.
//! So a child must not even look at such a lock: it starts with a new value, and the old one is leaked.

use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
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
    let_go_of_descriptors();
}

/// The open [`Private`] descriptors: a bit for each. A descriptor above the last is not let go of.
static PRIVATE: [AtomicU64; 2048] = [const { AtomicU64::new(0) }; 2048];

/// A socket or a locked file that a forked child must not keep: as long as it did, a peer would not learn of
/// this process's death, and the lock would be held.
///
/// In the child the descriptor stays open, on nothing: whatever still has its number does no harm with it.
#[derive(Debug)]
pub struct Private<T: AsFd>(T);

impl<T: AsFd> Private<T> {
    /// From now on a forked child lets go of it.
    pub fn new(inner: T) -> Self {
        if let Some((word, bit)) = place(&inner) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Self(inner)
    }
}

impl<T: AsFd> Drop for Private<T> {
    fn drop(&mut self) {
        // Before it is closed: its number may be somebody else's the moment after.
        if let Some((word, bit)) = place(&self.0) {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }
}

impl<T: AsFd> Deref for Private<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: AsFd> AsFd for Private<T> {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn place(of: &impl AsFd) -> Option<(&'static AtomicU64, u64)> {
    let fd = usize::try_from(of.as_fd().as_raw_fd()).ok()?;
    Some((PRIVATE.get(fd / 64)?, 1 << (fd % 64)))
}

fn let_go_of_descriptors() {
    if PRIVATE.iter().all(|word| word.load(Ordering::Relaxed) == 0) {
        return;
    }
    // SAFETY: a constant, terminated path.
    let nothing = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
    for (index, word) in PRIVATE.iter().enumerate() {
        let mut bits = word.swap(0, Ordering::Relaxed);
        while bits != 0 {
            let fd = i32::try_from(index * 64).unwrap_or(i32::MAX) + bits.trailing_zeros().cast_signed();
            bits &= bits - 1;
            // SAFETY: the descriptor is one of ours, and who owns it here expects it to have ended.
            unsafe {
                if nothing < 0 || libc::dup3(nothing, fd, libc::O_CLOEXEC) < 0 {
                    libc::close(fd);
                }
            }
        }
    }
    if nothing >= 0 {
        // SAFETY: opened above.
        unsafe { libc::close(nothing) };
    }
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
