//! Connecting to an endpoint, within a deadline. For threads that may wait.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, getpeername, getsockname, socket_with,
    sockopt,
};

use super::endpoint::Endpoint;
use super::socket::Socket;
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Result};
use crate::core::platform::process::{own_uid, peer_credentials};
use crate::core::platform::socket::{Interest, wait};

/// Between two attempts where the system tells no event to wait for.
const MOMENT: Duration = Duration::from_millis(1);

impl Endpoint {
    /// Connects. The socket does not block, and its options are set.
    ///
    /// # Errors
    /// `ServiceUnavailable` when nobody listens there or the deadline passes; `Configuration` when a Unix socket is
    /// neither this user's nor root's: whoever has put it there could read everything.
    pub fn dial(&self, deadline: Deadline) -> Result<Socket> {
        let failed =
            |error: io::Error| Error::io(Code::ServiceUnavailable, &format!("connecting to {self}"), &error);
        match self.to_dial() {
            Self::Ipc(path) => {
                self.check_owner(owner(&path))?;
                let address = SocketAddrUnix::new(&path).map_err(|error| failed(error.into()))?;
                self.unix(&address, deadline)
            }
            Self::Abstract(name) => {
                let address =
                    SocketAddrUnix::new_abstract_name(&name).map_err(|error| failed(error.into()))?;
                self.unix(&address, deadline)
            }
            Self::Tcp { host, port } => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                for address in (host.as_str(), port).to_socket_addrs().map_err(failed)? {
                    match tcp(&address, deadline).and_then(Socket::tcp) {
                        Ok(socket) => return Ok(socket),
                        Err(error) => last = error,
                    }
                }
                Err(failed(last))
            }
        }
    }

    fn unix(&self, address: &SocketAddrUnix, deadline: Deadline) -> Result<Socket> {
        let connected =
            unix(address, deadline).and_then(|socket| Ok((peer_credentials(&socket)?.uid, socket)));
        let (uid, socket) = connected
            .map_err(|error| Error::io(Code::ServiceUnavailable, &format!("connecting to {self}"), &error))?;
        self.check_owner(Some(uid))?;
        Ok(Socket::unix(socket))
    }

    /// Refuses what another user has put there.
    pub(super) fn check_owner(&self, uid: Option<u32>) -> Result<()> {
        match uid {
            Some(uid) if uid != own_uid() && uid != 0 => Err(Error::new(
                Code::Configuration,
                format!(
                    "{self} belongs to user {uid}, not to you (user {}): choose a path in a directory of your own",
                    own_uid()
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// Whose file it is; `None` when there is none.
pub(super) fn owner(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|found| found.uid())
}

fn unix(address: &SocketAddrUnix, deadline: Deadline) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    loop {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match connect(&socket, address) {
            Ok(()) => return Ok(socket),
            // Too many others are knocking.
            Err(Errno::AGAIN) if !deadline.passed() => std::thread::sleep(MOMENT.min(deadline.remaining())),
            Err(Errno::INTR) if !deadline.passed() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn tcp(address: &SocketAddr, deadline: Deadline) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    match connect(&socket, address) {
        Ok(()) => return Ok(socket),
        Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    loop {
        match wait(&socket, Interest::Writable, deadline.remaining()) {
            Ok(true) => break,
            Ok(false) => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    match sockopt::socket_error(&socket) {
        // A port of those that the system hands out, on which nobody listens, can be given to the very caller.
        Ok(Ok(())) if Some(getsockname(&socket)?) == getpeername(&socket)? => {
            Err(io::ErrorKind::ConnectionRefused.into())
        }
        Ok(Ok(())) => Ok(socket),
        Ok(Err(error)) | Err(error) => Err(error.into()),
    }
}
