//! The local registry: leases on files. There is no registry process, and no pid is trusted.
//!
//! A lease whose lock is free is dead, and is removed by whoever meets it. A held lock says only *perhaps*, since
//! a process forked from the daemon keeps lock and socket after the daemon's death; a handshake says *alive*.

mod claim;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::lease::LeaseRecord;
use super::record::{FileName, MAX_FILE, escape, socket_path};
use crate::core::error::{Code, Error, Result};
use crate::core::platform::directory::Places;
use crate::core::platform::lock::{is_locked, same_file};

pub use claim::{Claim, ClaimRequest};

/// This user's services on this machine. Holds nothing open: it can be made for one look-up.
#[derive(Clone, Debug)]
pub struct Registry {
    places: Places,
}

impl Registry {
    /// The registry where the environment says, or at the usual places. Makes nothing yet.
    ///
    /// # Errors
    /// `Configuration` when `IRONBRIDGE_RUNTIME_DIR` is no absolute path.
    pub fn open() -> Result<Self> {
        Ok(Self { places: Places::from_env()? })
    }

    /// The registry at these places.
    #[must_use]
    pub fn at(places: Places) -> Self {
        Self { places }
    }

    /// The directory for new leases, made if need be.
    ///
    /// # Errors
    /// `Configuration` when it is not ours alone, or too long for sockets.
    pub fn directory(&self) -> Result<PathBuf> {
        self.places.choose()
    }

    /// The leases of this name whose lock is held: serving ones first, then by worker, then by age.
    /// Files of dead daemons that it meets are removed.
    ///
    /// # Errors
    /// `Configuration` when a directory may not be used or read.
    pub fn find(&self, service: &str) -> Result<Vec<LeaseRecord>> {
        self.look_up(Some(service))
    }

    /// All leases whose lock is held, sorted by name, then as [`Registry::find`] does.
    ///
    /// # Errors
    /// As [`Registry::find`].
    pub fn list(&self) -> Result<Vec<LeaseRecord>> {
        self.look_up(None)
    }

    fn look_up(&self, service: Option<&str>) -> Result<Vec<LeaseRecord>> {
        let mut records = Vec::new();
        for directory in self.places.existing()? {
            for entry in entries(&directory, service)? {
                if let Some(record) = examine(&directory, &entry)
                    && service.is_none_or(|service| service == record.service)
                {
                    records.push(record);
                }
            }
        }
        records.sort_by(|a, b| {
            let key = |r: &LeaseRecord| (r.state.byte() != b'S', r.worker, r.started_unix_ms, r.nonce);
            a.service.cmp(&b.service).then_with(|| key(a).cmp(&key(b)))
        });
        Ok(records)
    }
}

/// The lease files in a directory, those that are still being made too; only those of one service if it is named.
fn entries(directory: &Path, service: Option<&str>) -> Result<Vec<PathBuf>> {
    let wanted = service.map(escape);
    let listing = match fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let doing = format!("reading the runtime directory {}", directory.display());
            return Err(Error::io(Code::Configuration, &doing, &error));
        }
    };
    let mut found = Vec::new();
    for entry in listing.flatten() {
        let name = entry.file_name();
        if let Some(parsed) = FileName::parse(&name)
            && wanted.as_deref().is_none_or(|wanted| wanted == parsed.service)
        {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Reads a lease that is in place and whose lock is held; removes it when its daemon is dead. Anything that is
/// not a lease is passed over: the directory is ours, but its files may be another release's.
fn examine(directory: &Path, path: &Path) -> Option<LeaseRecord> {
    let name = FileName::parse(path.file_name()?)?;
    if !name.placed {
        return None;
    }
    let file = open(path)?;
    let bytes = read(&file)?;
    let record = LeaseRecord::from_bytes(&bytes, directory)?;
    if record.nonce != name.nonce || escape(&record.service) != name.service {
        return None;
    }
    if is_locked(&file).ok()? {
        return Some(record);
    }
    // Its path may by now name the same daemon's next lease, written after the directory was emptied.
    if same_file(&file, path) {
        remove(directory, path, &record.nonce);
    }
    None
}

/// Removes a daemon's socket, then its lease.
fn remove(directory: &Path, path: &Path, nonce: &[u8; 16]) {
    let _ = fs::remove_file(socket_path(directory, nonce));
    let _ = fs::remove_file(path);
}

fn open(path: &Path) -> Option<File> {
    // Without O_NONBLOCK, a pipe put there would hold us up.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}

fn read(file: &File) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= MAX_FILE).then_some(bytes)
}
