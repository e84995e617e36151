//! The two doors of a hub: sockets that listen, put in place so that nobody else's is taken away.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, socket_with,
};

use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Result};
use crate::core::platform::fork::{Private, generation};
use crate::core::platform::lock::PathLock;
use crate::core::platform::process::{own_uid, peer_credentials};
use crate::core::platform::socket::listen_tcp;
use crate::hub::dial::owner;
use crate::hub::endpoint::Endpoint;
use crate::hub::place::lock_path;
use crate::hub::socket::Socket;

const BACKLOG: i32 = 1024;

/// A socket that listens. Dropping it takes its file away.
#[derive(Debug)]
pub(super) struct Door {
    /// Goes first: who finds no file finds no listener that is about to go.
    file: Option<File>,
    listener: Private<OwnedFd>,
    /// Where it listens; with the port that the system chose.
    pub(super) endpoint: Endpoint,
}

/// A socket's file, and which one it is.
#[derive(Debug)]
struct File {
    path: PathBuf,
    identity: (u64, u64),
    made_in: u64,
}

impl Door {
    /// Listens at an endpoint, waiting at most this long for others who are about to.
    ///
    /// # Errors
    /// `ServiceAlreadyExists` when somebody listens there; `Configuration` when one cannot, or when a file is in the
    /// way that is another user's or no socket.
    pub(super) fn open(endpoint: &Endpoint, patience: Duration) -> Result<Self> {
        let failed = |error: io::Error| match error.raw_os_error() {
            Some(libc::EADDRINUSE) => taken(endpoint),
            _ => Error::io(Code::Configuration, &format!("listening at {endpoint}"), &error),
        };
        let door = |listener: OwnedFd, endpoint: &Endpoint, file| Self {
            file,
            listener: Private::new(listener),
            endpoint: endpoint.clone(),
        };
        match endpoint {
            Endpoint::Ipc(path) => {
                let _alone = alone(endpoint, patience)?;
                clear(path, endpoint)?;
                let listener = SocketAddrUnix::new(path)
                    .and_then(|address| listen_unix(&address))
                    .map_err(|error| failed(error.into()))?;
                let file = File::at(path).map_err(failed)?;
                Ok(door(listener, endpoint, Some(file)))
            }
            Endpoint::Abstract(name) => {
                let listener = SocketAddrUnix::new_abstract_name(name)
                    .and_then(|address| listen_unix(&address))
                    .map_err(|error| failed(error.into()))?;
                Ok(door(listener, endpoint, None))
            }
            Endpoint::Tcp { host, port } => {
                let address = resolve(host, *port).map_err(failed)?;
                let listener = listen_tcp(address, false).map_err(failed)?;
                let port = listener.local_addr().map_err(failed)?.port();
                let endpoint = Endpoint::Tcp { host: host.clone(), port };
                Ok(door(listener.into(), &endpoint, None))
            }
        }
    }

    /// Lets the next caller in; `WouldBlock` when none waits.
    pub(super) fn accept(&self) -> io::Result<Accepted> {
        let socket = accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
        if matches!(self.endpoint, Endpoint::Tcp { .. }) {
            let address = std::net::TcpStream::from(socket.try_clone()?).peer_addr();
            let peer = address.map_or_else(|_| "tcp".to_owned(), |address| format!("tcp:{address}"));
            return Ok(Accepted { socket: Socket::tcp(socket)?, peer, stranger: false });
        }
        let credentials = peer_credentials(&socket)?;
        // A name of the abstract space has no permissions that would keep other users out.
        let stranger = credentials.uid != own_uid() && credentials.uid != 0;
        Ok(Accepted { socket: Socket::unix(socket), peer: format!("unix:{}", credentials.pid), stranger })
    }

    /// Whether callers still find it.
    pub(super) fn is_in_place(&self) -> bool {
        self.file.as_ref().is_none_or(File::is_in_place)
    }

    pub(super) fn is_tcp(&self) -> bool {
        matches!(self.endpoint, Endpoint::Tcp { .. })
    }
}

/// A caller who was let in.
pub(super) struct Accepted {
    pub(super) socket: Socket,
    /// Who it is, for people: `unix:PID` or `tcp:HOST:PORT`.
    pub(super) peer: String,
    /// Another user of this machine.
    pub(super) stranger: bool,
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl File {
    fn at(path: &Path) -> io::Result<Self> {
        let found = std::fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_path_buf(), identity: (found.dev(), found.ino()), made_in: generation() })
    }

    fn is_in_place(&self) -> bool {
        let found = std::fs::symlink_metadata(&self.path).map(|found| (found.dev(), found.ino()));
        found.is_ok_and(|identity| identity == self.identity)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if self.made_in == generation() && self.is_in_place() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Keeps others from putting a socket in the same place meanwhile.
fn alone(endpoint: &Endpoint, patience: Duration) -> Result<PathLock> {
    let path = lock_path("door", &[endpoint])?;
    match PathLock::acquire(&path, Deadline::after(patience), &|| false) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(Error::new(
            Code::ServiceUnavailable,
            format!("another process keeps {} locked; try again", path.display()),
        )),
        Err(error) => Err(Error::io(Code::Configuration, &format!("locking {}", path.display()), &error)),
    }
}

/// Removes a socket's file at which nobody listens any more.
fn clear(path: &Path, endpoint: &Endpoint) -> Result<()> {
    let Ok(found) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(Error::new(
            Code::Configuration,
            format!(
                "{} is there already and is no socket: remove it, or choose another path",
                path.display()
            ),
        ));
    }
    endpoint.check_owner(owner(path))?;
    let refused = || -> rustix::io::Result<bool> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match connect(&socket, &SocketAddrUnix::new(path)?) {
            Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(true),
            // One whose callers queue up listens too.
            Ok(()) | Err(Errno::AGAIN) => Ok(false),
            Err(error) => Err(error),
        }
    };
    match refused() {
        Ok(true) => {}
        Ok(false) => return Err(taken(endpoint)),
        Err(error) => {
            let doing = format!("asking whether anyone listens at {endpoint}");
            return Err(Error::io(Code::Configuration, &doing, &error.into()));
        }
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(
            Code::Configuration,
            &format!("removing the stale socket {}", path.display()),
            &error,
        )),
        _ => Ok(()),
    }
}

fn taken(endpoint: &Endpoint) -> Error {
    Error::new(
        Code::ServiceAlreadyExists,
        format!(
            "a hub, or something else, listens at {endpoint} already: use it, or choose another endpoint"
        ),
    )
}

fn listen_unix(address: &SocketAddrUnix) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The file that binding makes has the socket's own mode: it is never anyone else's, not for a moment.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let host = if host == "*" { "0.0.0.0" } else { host };
    let found: Vec<_> = (host, port).to_socket_addrs()?.collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}
