//! A descriptor that a tokio runtime watches.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What owns a descriptor, told as a number.
#[derive(Debug)]
pub struct Owner<T>(pub T);

impl<T: AsFd> AsRawFd for Owner<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// A watched descriptor.
pub type Watched<T> = AsyncFd<Owner<T>>;

/// Has the runtime of this thread watch what owns a descriptor, and is the same one all its life.
///
/// # Errors
/// When the descriptor cannot be watched.
pub fn watch<T: AsFd>(owner: T, interest: Interest) -> io::Result<Watched<T>> {
    // SAFETY: the descriptor is open as long as its owner lives, and `AsyncFd` keeps the owner until it has
    // stopped watching.
    Ok(unsafe { AsyncFd::register_with_interest(Owner(owner), interest) }?)
}
