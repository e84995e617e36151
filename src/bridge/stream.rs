//! One connection, whatever carries it. Reads and writes never wait.

use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::tls::TlsStream;
use crate::core::platform::fork::Private;
use crate::core::platform::socket::{
    Interest, RecvFlags, prepare_tcp, prepare_unix, recv_blocking, recv_now, send_now, send_vectored_now,
    set_receive_timeout, wait,
};

/// The longest single wait of a blocking read: between two of them a thread looks for signals.
pub const RECEIVE_TIMEOUT: Duration = Duration::from_millis(100);

/// A connection to a peer. No method waits; `WouldBlock` says that it would have to.
///
/// Unix and TCP descriptors may be in blocking mode or not: reads and writes ask for each call not to wait.
/// Dropping only closes this process's descriptor, so that a forked child can drop what it inherited
/// without ending its parent's connection; [`Stream::close`] ends the connection for both sides.
#[derive(Debug)]
pub enum Stream {
    /// The same machine.
    Unix(Private<UnixStream>),
    /// Over the network, in the clear.
    Tcp(Private<TcpStream>),
    /// Over the network, encrypted. Made by `bridge::tls`.
    Tls(Box<TlsStream>),
}

impl Stream {
    /// Takes a connected Unix socket and asks for large buffers.
    #[must_use]
    pub fn unix(socket: UnixStream) -> Self {
        prepare_unix(&socket);
        Self::Unix(Private::new(socket))
    }

    /// Takes a connected TCP socket and sets its options: no delay, keep-alive, user timeout.
    ///
    /// # Errors
    /// When the system refuses an option (the connection is already gone).
    pub fn tcp(socket: TcpStream) -> io::Result<Self> {
        prepare_tcp(&socket)?;
        Ok(Self::Tcp(Private::new(socket)))
    }

    /// The descriptor, to wait on.
    #[must_use]
    #[inline]
    pub fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(socket) => socket.as_fd(),
            Self::Tcp(socket) => socket.as_fd(),
            Self::Tls(session) => session.socket().as_fd(),
        }
    }

    /// Reads what is there; 0 means that the peer has closed (or that `buffer` is empty).
    ///
    /// A short read does not mean that nothing is left: only `WouldBlock` does.
    ///
    /// # Errors
    /// `WouldBlock`, `Interrupted`, or what broke the connection.
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(socket) => recv_now(socket, buffer),
            Self::Tcp(socket) => recv_now(socket, buffer),
            Self::Tls(session) => session.read(buffer),
        }
    }

    /// Reads, waiting at most this long for something to come. One system call when the descriptor blocks and
    /// `timeout` is what [`set_receive_timeout`] set on it.
    ///
    /// # Errors
    /// `WouldBlock` when nothing came, `Interrupted` on a signal, or what broke the connection.
    #[inline]
    pub fn read_waiting(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        if timeout == RECEIVE_TIMEOUT {
            match self {
                Self::Unix(socket) => return recv_blocking(socket, buffer, RecvFlags::empty()),
                Self::Tcp(socket) => return recv_blocking(socket, buffer, RecvFlags::empty()),
                Self::Tls(_) => {}
            }
        }
        if !self.has_buffered() && !wait(self.fd(), Interest::Readable, timeout)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.read(buffer)
    }

    /// Makes the descriptor block, for [`RECEIVE_TIMEOUT`] at most: how a thread waits on it in one call.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_blocking(&self) -> io::Result<()> {
        rustix::io::ioctl_fionbio(self.fd(), false)?;
        set_receive_timeout(self.fd(), RECEIVE_TIMEOUT)
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// `WouldBlock`, `Interrupted`, or what broke the connection.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(socket) => send_now(socket, bytes),
            Self::Tcp(socket) => send_now(socket, bytes),
            Self::Tls(session) => session.write(bytes),
        }
    }

    /// Writes as much of the pieces as there is room for, in order.
    ///
    /// # Errors
    /// As [`Stream::write`].
    #[inline]
    pub fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Unix(socket) => send_vectored_now(socket, pieces),
            Self::Tcp(socket) => send_vectored_now(socket, pieces),
            Self::Tls(session) => session.write_vectored(pieces),
        }
    }

    /// Sends on what an earlier write took but could not send yet ([`Stream::wants_write`]).
    ///
    /// # Errors
    /// `WouldBlock` when some is still left, or what broke the connection.
    #[inline]
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(_) | Self::Tcp(_) => Ok(()),
            Self::Tls(session) => session.flush(),
        }
    }

    /// Takes a TLS handshake as far as it goes; the others have none. Call it again after waiting, for room if
    /// [`Stream::wants_write`], for bytes otherwise.
    ///
    /// # Errors
    /// `WouldBlock` while it is not done, or what broke it (see `tls::explain`).
    pub fn handshake(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(_) | Self::Tcp(_) => Ok(()),
            Self::Tls(session) => session.handshake(),
        }
    }

    /// Whether a read would return bytes that have already left the descriptor: waiting on it would miss them.
    #[must_use]
    #[inline]
    pub fn has_buffered(&self) -> bool {
        match self {
            Self::Unix(_) | Self::Tcp(_) => false,
            Self::Tls(session) => session.has_buffered(),
        }
    }

    /// Whether bytes that a write took are still here: wait for room, then [`Stream::flush`].
    #[must_use]
    #[inline]
    pub fn wants_write(&self) -> bool {
        match self {
            Self::Unix(_) | Self::Tcp(_) => false,
            Self::Tls(session) => session.wants_write(),
        }
    }

    /// Ends the connection for both sides, and for every process that shares the descriptor.
    pub fn close(&mut self) {
        // An error here means that it has already ended.
        let _ = match self {
            Self::Unix(socket) => socket.shutdown(Shutdown::Both),
            Self::Tcp(socket) => socket.shutdown(Shutdown::Both),
            Self::Tls(session) => {
                session.close();
                Ok(())
            }
        };
    }

    /// Where the peer is, for people: `unix`, `tcp:203.0.113.7:4000` or `tls:203.0.113.7:4000`.
    #[must_use]
    pub fn peer(&self) -> String {
        match self {
            Self::Unix(_) => "unix".to_owned(),
            Self::Tcp(socket) => tcp_peer("tcp", socket),
            Self::Tls(session) => tcp_peer("tls", session.socket()),
        }
    }
}

fn tcp_peer(scheme: &str, socket: &TcpStream) -> String {
    socket.peer_addr().map_or_else(|_| format!("{scheme}:(gone)"), |address| format!("{scheme}:{address}"))
}
