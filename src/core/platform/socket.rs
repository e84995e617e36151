//! Waiting for one descriptor, and plain reads and writes of a socket.
//!
//! Nothing here retries when a signal arrives: the caller decides, so that Ctrl+C is noticed at once.

use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect,
    listen, recv, send, sendmsg, socket_with,
};

pub use rustix::net::RecvFlags;

/// Listens on a TCP address; accepting never waits. With `shared`, other processes of this user that listen on it
/// the same way get their part of the callers.
///
/// # Errors
/// When the address is taken, or not one of this machine's.
pub fn listen_tcp(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if shared {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Connects to a socket of this machine. That, and each read and write, waits for so long at most.
///
/// # Errors
/// When nobody listens there; `WouldBlock` when the time ran out.
pub fn connect_unix(path: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    for kind in [Timeout::Send, Timeout::Recv] {
        sockopt::set_socket_timeout(&socket, kind, Some(timeout.clamp(SHORTEST_RECEIVE, LONGEST_RECEIVE)))?;
    }
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(UnixStream::from(socket))
}

/// Callers that the kernel lets in before they are accepted.
const BACKLOG: i32 = 1024;

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// There is something to read, or the other side is gone.
    Readable,
    /// There is room to write, or the other side is gone.
    Writable,
}

/// Waits until the descriptor is ready; `false` when the time ran out first.
///
/// An error or a hang-up of the descriptor counts as ready: the read or write that follows reports it.
///
/// # Errors
/// `Interrupted` when a signal arrived: it is never retried here.
pub fn wait(fd: impl AsFd, interest: Interest, timeout: Duration) -> io::Result<bool> {
    let flags = match interest {
        Interest::Readable => PollFlags::IN | PollFlags::RDHUP,
        Interest::Writable => PollFlags::OUT,
    };
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    let mut watched = [PollFd::new(&fd, flags)];
    Ok(poll(&mut watched, Some(&timeout))? > 0)
}

/// One `recv(2)`. On a blocking descriptor it waits, at most for the time that [`set_receive_timeout`] set.
///
/// # Errors
/// `Interrupted` on a signal; `WouldBlock` when the receive timeout passed or the descriptor does not block.
#[inline]
pub fn recv_blocking(fd: impl AsFd, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    Ok(recv(fd, buffer, flags)?.0)
}

/// One `recv(2)` that never waits, whatever the descriptor's mode.
///
/// # Errors
/// `WouldBlock` when there is nothing yet.
#[inline]
pub fn recv_now(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(recv(fd, buffer, RecvFlags::DONTWAIT)?.0)
}

/// One `send(2)` that never waits, whatever the descriptor's mode, and never raises `SIGPIPE`.
///
/// # Errors
/// `WouldBlock` when there is no room; `BrokenPipe` when the other side is gone.
#[inline]
pub fn send_now(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(send(fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
}

/// [`send_now`] for several pieces at once; only the first 1,024 are looked at, as the system allows.
///
/// # Errors
/// As [`send_now`].
#[inline]
pub fn send_vectored_now(fd: impl AsFd, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    const MOST_PIECES: usize = 1024;
    let pieces = pieces.get(..MOST_PIECES).unwrap_or(pieces);
    let mut control = SendAncillaryBuffer::default();
    Ok(sendmsg(fd, pieces, &mut control, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
}

/// How long a blocking read waits (`SO_RCVTIMEO`). Zero waits as briefly as possible; `Duration::MAX` for ever.
/// The system rounds it up to its tick (1 to 10 ms).
///
/// # Errors
/// When the descriptor is no socket.
pub fn set_receive_timeout(fd: impl AsFd, timeout: Duration) -> io::Result<()> {
    let timeout = (timeout < Duration::MAX).then(|| timeout.clamp(SHORTEST_RECEIVE, LONGEST_RECEIVE));
    Ok(sockopt::set_socket_timeout(fd, Timeout::Recv, timeout)?)
}

/// A zero would mean "for ever" to the system.
const SHORTEST_RECEIVE: Duration = Duration::from_micros(1);
/// Ten years: any `time_t` holds it.
const LONGEST_RECEIVE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Prepares a TCP connection: small frames leave at once, and a peer that vanished is noticed, idle or not,
/// within 30 seconds (idle 15 s + 3 probes 5 s apart; unacknowledged data 30 s).
///
/// # Errors
/// When the system refuses an option.
pub fn prepare_tcp(fd: impl AsFd) -> io::Result<()> {
    let fd = fd.as_fd();
    sockopt::set_tcp_nodelay(fd, true)?;
    sockopt::set_socket_keepalive(fd, true)?;
    sockopt::set_tcp_keepidle(fd, Duration::from_secs(15))?;
    sockopt::set_tcp_keepintvl(fd, Duration::from_secs(5))?;
    sockopt::set_tcp_keepcnt(fd, 3)?;
    sockopt::set_tcp_user_timeout(fd, 30_000)?;
    Ok(())
}

/// Asks for room for large frames on a Unix connection. The system may grant less: that only costs speed.
pub fn prepare_unix(fd: impl AsFd) {
    const ROOM: usize = 1 << 20;
    let fd = fd.as_fd();
    let _ = sockopt::set_socket_send_buffer_size(fd, ROOM);
    let _ = sockopt::set_socket_recv_buffer_size(fd, ROOM);
}
