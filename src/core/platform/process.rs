//! Other processes: whether one is there, waiting for its end, and who is at the other end of a socket.
//!
//! A number alone says little, since numbers are used again; a pidfd names one process for as long as it is open.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Resource, getpid, getppid, getrlimit, pidfd_open, setrlimit};

use super::socket::{Interest, wait};

/// This process's number.
#[must_use]
pub fn own_pid() -> u32 {
    number(getpid())
}

/// The process that this one is a child of; 0 when it is outside this container.
#[must_use]
pub fn parent_pid() -> u32 {
    getppid().map_or(0, number)
}

/// The user on whose behalf this process acts.
#[must_use]
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Raises the soft limit of open files to the hard one: thousands of callers need thousands of descriptors, and the
/// usual soft limit is 1,024.
pub fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Whether a process of this number runs now. One that has ended and was not waited for does not count.
///
/// # Errors
/// When the system has no pidfds (Linux before 5.3), or forbids them.
pub fn is_running(pid: u32) -> io::Result<bool> {
    match ParentWatch::open(pid)? {
        Some(watch) => Ok(!watch.has_ended()?),
        None => Ok(false),
    }
}

/// A process whose end can be waited for, alone or in an epoll set, where it becomes readable.
#[derive(Debug)]
pub struct ParentWatch {
    fd: OwnedFd,
    pid: u32,
}

impl ParentWatch {
    /// Watches the process that has this number now; `None` when none has.
    ///
    /// # Errors
    /// When the system has no pidfds (Linux before 5.3), or forbids them.
    pub fn open(pid: u32) -> io::Result<Option<Self>> {
        let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        match pidfd_open(process, PidfdFlags::empty()) {
            Ok(fd) => Ok(Some(Self { fd, pid })),
            // EINVAL: the number is a thread's, not a process's.
            Err(Errno::SRCH | Errno::INVAL) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Watches this process's own parent, which gave its number to us; `None` when it has already ended,
    /// even if a stranger has that number by now.
    ///
    /// # Errors
    /// As [`ParentWatch::open`].
    pub fn of_parent(pid: u32) -> io::Result<Option<Self>> {
        let watch = Self::open(pid)?;
        // Asked after opening: as long as our parent is this one, the number was still its own.
        Ok(watch.filter(|_| parent_pid() == pid))
    }

    /// The number it was opened with.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// `Interrupted` when a signal arrived.
    pub fn has_ended(&self) -> io::Result<bool> {
        self.wait(Duration::ZERO)
    }

    /// Waits for its end; `false` when the time ran out first.
    ///
    /// # Errors
    /// `Interrupted` when a signal arrived.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        wait(&self.fd, Interest::Readable, timeout)
    }
}

impl AsFd for ParentWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for ParentWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Who is at the other end of a Unix connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// The process that connected, or that made the socket listen.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Asks the system who is at the other end, as it was when the connection was made. A process outside this one's
/// container has the number 0.
///
/// # Errors
/// When the descriptor is no connected Unix socket.
pub fn peer_credentials(socket: impl AsFd) -> io::Result<PeerCredentials> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length =
        libc::socklen_t::try_from(size_of_val(&peer)).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open while it is borrowed, and the system writes at most `length` bytes of plain
    // integers into `peer`.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    if outcome == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(PeerCredentials { pid: peer.pid.unsigned_abs(), uid: peer.uid, gid: peer.gid })
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}
