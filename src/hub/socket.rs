//! One connection of a hub or a member, whatever carries it. Reads and writes never wait.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::net::{Shutdown, shutdown};

use crate::core::platform::fork::Private;
use crate::core::platform::socket::{prepare_tcp, prepare_unix, recv_now, send_now};

/// A connected socket. A forked child lets go of it.
#[derive(Debug)]
pub struct Socket(Private<OwnedFd>);

impl Socket {
    /// Takes a connected Unix socket and asks for large buffers.
    #[must_use]
    pub fn unix(socket: OwnedFd) -> Self {
        prepare_unix(&socket);
        Self(Private::new(socket))
    }

    /// Takes a connected TCP socket and sets its options: no delay, keep-alive, user timeout.
    ///
    /// # Errors
    /// When the system refuses an option: the connection is already gone.
    pub fn tcp(socket: OwnedFd) -> io::Result<Self> {
        prepare_tcp(&socket)?;
        Ok(Self(Private::new(socket)))
    }

    /// Reads what is there; 0 means that the peer has closed.
    ///
    /// # Errors
    /// `WouldBlock`, `Interrupted`, or what broke the connection.
    #[inline]
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        recv_now(&self.0, buffer)
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// `WouldBlock`, `Interrupted`, or what broke the connection.
    #[inline]
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        send_now(&self.0, bytes)
    }

    /// Another descriptor of the same connection.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn duplicate(&self) -> io::Result<Self> {
        Ok(Self(Private::new(self.0.as_fd().try_clone_to_owned()?)))
    }

    /// Ends the connection for both sides, and for every process that shares the descriptor.
    pub fn close(&self) {
        // An error here means that it has already ended.
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}
