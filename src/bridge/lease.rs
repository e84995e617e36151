//! A lease: the locked file and the listening socket by which a daemon has its name.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::record::STATE_OFFSET;
use super::registry::Registry;
use crate::core::error::{Code, Error, Result};
use crate::core::platform::fork::Private;
use crate::core::platform::lock::{same_file, try_lock, unlock};
use crate::core::platform::process::own_pid;

pub use super::record::{LeaseRecord, Nonce, State};

/// What a handshake with a lease's daemon found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It answered with the lease's nonce.
    Alive,
    /// Nobody listens, or somebody else does.
    Dead,
    /// Somebody listens and did not answer within the deadline: it is stopped, or has left a child that holds
    /// its descriptors.
    Unresponsive,
}

/// Asks a lease's daemon whether it lives. Must end by a deadline of its own.
pub type Probe<'a> = &'a dyn Fn(&LeaseRecord) -> Liveness;

/// What [`Lease::refresh`] did.
#[derive(Debug)]
pub enum Renewal {
    /// All was in place.
    Intact,
    /// The lease file had vanished, and was written again. The socket is the same.
    Written,
    /// The socket had vanished as well, or the directory: there is a new one. What waits at the previous one
    /// can still be accepted.
    Bound {
        /// The listener until now.
        previous: Private<UnixListener>,
    },
}

/// A name that this process holds. Dropping it gives the name back, except in a forked child.
#[derive(Debug)]
pub struct Lease {
    registry: Registry,
    record: LeaseRecord,
    files: Files,
    owner: u32,
}

impl Lease {
    pub(super) fn new(registry: Registry, record: LeaseRecord, files: Files) -> Self {
        Self { registry, record, files, owner: own_pid() }
    }

    /// What the lease says.
    #[must_use]
    pub fn record(&self) -> &LeaseRecord {
        &self.record
    }

    /// The socket, listening, non-blocking.
    #[must_use]
    pub fn listener(&self) -> &UnixListener {
        &self.files.listener
    }

    /// Whether the lease file and the socket are where they were put. Two `stat` calls.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.files.lease_is_in_place() && self.files.socket_is_in_place(&self.record)
    }

    /// Writes the lease and binds the socket again if they have vanished (the directory was emptied, the user
    /// logged out), in the directory that is right now. A daemon that drains need not be found any more.
    ///
    /// # Errors
    /// `ServiceAlreadyExists` when another daemon has the name by now; `Configuration` when there is no
    /// directory. The lease stays as it was: a later call may succeed.
    pub fn refresh(&mut self, probe: Probe<'_>) -> Result<Renewal> {
        if self.record.state == State::Draining || self.is_intact() {
            return Ok(Renewal::Intact);
        }
        let (record, renewed) = self.registry.renew(&self.record, &self.files, probe)?;
        self.record = record;
        Ok(match renewed {
            Renewed::File(file) => {
                self.files.file = Private::new(file);
                Renewal::Written
            }
            Renewed::All(files) => {
                let previous = std::mem::replace(&mut self.files, files);
                if previous.path != self.files.path {
                    previous.remove_lease();
                }
                Renewal::Bound { previous: previous.listener }
            }
        })
    }

    /// Says that this daemon takes no more calls: its name is free for the next one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_draining(&mut self) -> Result<()> {
        self.record.state = State::Draining;
        self.files.file.write_all_at(&[State::Draining.byte()], STATE_OFFSET).map_err(|error| {
            Error::io(Code::Configuration, &format!("writing to {}", self.files.path.display()), &error)
        })
    }

    /// Gives the name back: removes the files and closes the socket.
    pub fn release(self) {}

    /// For a forked child: closes its copies of the descriptors and leaves everything else to the parent,
    /// whose lock is shared and would be lost by unlocking.
    pub fn abandon_in_child(mut self) {
        self.owner = 0;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A copy that was forked must leave the parent's files alone, told or not.
        if self.owner == own_pid() {
            self.files.remove(&self.record);
        }
    }
}

/// A lease's file and socket, in place.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    path: PathBuf,
    file: Private<File>,
    listener: Private<UnixListener>,
    socket: (u64, u64),
}

/// What [`Registry::renew`] made.
pub(super) enum Renewed {
    /// The lease file alone, in the same place.
    File(File),
    /// Both, perhaps in another directory.
    All(Files),
}

impl Files {
    /// Makes the lease file, locked, then the socket, listening, then puts the file in place under its name.
    /// Until then it is `.new`, which whoever claims the name next removes if we die here.
    pub(super) fn publish(directory: &Path, record: &LeaseRecord) -> Result<Self> {
        let made = record.new_path(directory);
        let put = || -> Result<Self> {
            let file = Private::new(write_locked(&made, record)?);
            let doing = || format!("listening at {}", record.socket.display());
            let listener = listen(&record.socket)
                .map(Private::new)
                .map_err(|error| Error::io(Code::Configuration, &doing(), &error))?;
            let socket = identity(&record.socket)
                .ok_or_else(|| Error::new(Code::Configuration, format!("{}: it is gone", doing())))?;
            let path = put_in_place(&made, directory, record)?;
            Ok(Self { directory: directory.to_path_buf(), path, file, listener, socket })
        };
        put().inspect_err(|_| {
            let _ = std::fs::remove_file(&record.socket);
            let _ = std::fs::remove_file(&made);
        })
    }

    /// Writes the lease file alone: the socket is still in place.
    pub(super) fn publish_file(&self, record: &LeaseRecord) -> Result<File> {
        let made = record.new_path(&self.directory);
        let put = || -> Result<File> {
            let file = write_locked(&made, record)?;
            put_in_place(&made, &self.directory, record)?;
            Ok(file)
        };
        put().inspect_err(|_| {
            let _ = std::fs::remove_file(&made);
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn lease_is_in_place(&self) -> bool {
        same_file(&self.file, &self.path)
    }

    pub(super) fn socket_is_in_place(&self, record: &LeaseRecord) -> bool {
        identity(&record.socket) == Some(self.socket)
    }

    /// Removes what is ours, the lease last: as long as there is a socket, a lease leads to it.
    pub(super) fn remove(&self, record: &LeaseRecord) {
        if self.socket_is_in_place(record) {
            let _ = std::fs::remove_file(&record.socket);
        }
        self.remove_lease();
    }

    fn remove_lease(&self) {
        if self.lease_is_in_place() {
            let _ = std::fs::remove_file(&self.path);
        }
        // Processes forked from this one hold copies of the descriptor, and with them the lock.
        let _ = unlock(self.file.as_fd());
    }
}

fn write_locked(path: &Path, record: &LeaseRecord) -> Result<File> {
    let bytes = record.to_bytes()?;
    let write = || -> io::Result<File> {
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        if !try_lock(&file)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        file.write_all(&bytes)?;
        Ok(file)
    };
    write().map_err(|error| Error::io(Code::Configuration, &format!("writing {}", path.display()), &error))
}

fn put_in_place(made: &Path, directory: &Path, record: &LeaseRecord) -> Result<PathBuf> {
    let path = record.lease_path(directory);
    std::fs::rename(made, &path)
        .map_err(|error| Error::io(Code::Configuration, &format!("writing {}", path.display()), &error))?;
    Ok(path)
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // Only a socket of this very daemon can have its nonce's name.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Which socket a path names.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}
