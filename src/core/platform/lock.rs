//! Locks on open file descriptions (`F_OFD_SETLK`), which the system drops when their holder dies.
//!
//! A POSIX lock is lost when its process opens and closes the file once more, and `flock` cannot be asked
//! about without being taken. These have neither fault. All copies of a descriptor share its lock, a forked
//! child's too: closing one copy changes nothing for the others, unlocking one unlocks all.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::core::deadline::{Deadline, Interrupt};

/// Takes the lock on the whole file, opened for writing; `false` when somebody else has it.
///
/// # Errors
/// When the file's system has no such locks.
pub fn try_lock(file: impl AsFd) -> io::Result<bool> {
    match control(file, libc::F_OFD_SETLK, libc::F_WRLCK) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Lets the lock go for every copy of this descriptor, those of forked children included.
///
/// # Errors
/// When the file's system has no such locks.
pub fn unlock(file: impl AsFd) -> io::Result<()> {
    control(file, libc::F_OFD_SETLK, libc::F_UNLCK).map(drop)
}

/// Whether some other open file description holds the lock. Takes nothing, and needs no right to write.
///
/// # Errors
/// When the file's system has no such locks.
pub fn is_locked(file: impl AsFd) -> io::Result<bool> {
    let found = control(file, libc::F_OFD_GETLK, libc::F_WRLCK)?;
    Ok(i32::from(found.l_type) != libc::F_UNLCK)
}

fn control(file: impl AsFd, command: i32, kind: i32) -> io::Result<libc::flock> {
    // SAFETY: `flock` is plain integers, for which zero is a value: the whole file, no process.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = i16::try_from(kind).map_err(|_| io::ErrorKind::InvalidInput)?;
    lock.l_whence = i16::try_from(libc::SEEK_SET).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open while it is borrowed, and `lock` outlives the call, which does not wait.
    if unsafe { libc::fcntl(file.as_fd().as_raw_fd(), command, &raw mut lock) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(lock)
}

/// A path that one process (and one thread) holds at a time. Dropping it frees the path and removes the file.
#[derive(Debug)]
pub struct PathLock {
    file: File,
    path: PathBuf,
}

/// The first and the longest pause between two attempts at a lock that is held.
const PAUSES: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(4));

impl PathLock {
    /// Takes it; `None` when the deadline passed first, or a signal came.
    ///
    /// # Errors
    /// When the file cannot be made, as `NotFound` when its directory is gone.
    pub fn acquire(path: &Path, deadline: Deadline, interrupt: Interrupt<'_>) -> io::Result<Option<Self>> {
        let mut pause = PAUSES.0;
        let mut file = Self::open(path)?;
        loop {
            if try_lock(&file)? {
                let lock = Self { file, path: path.to_path_buf() };
                if lock.is_in_place() {
                    return Ok(Some(lock));
                }
                // Its last holder removed the file after we had opened it: that lock protects nothing.
                file = Self::open(path)?;
                continue;
            }
            if deadline.passed() || interrupt() {
                return Ok(None);
            }
            thread::sleep(pause.min(deadline.remaining()));
            pause = (pause * 2).min(PAUSES.1);
            if !same_file(&file, path) {
                file = Self::open(path)?;
            }
        }
    }

    /// Whether the path still names what is locked: not when somebody has emptied the directory meanwhile.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        same_file(&self.file, &self.path)
    }

    fn open(path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
    }
}

impl Drop for PathLock {
    fn drop(&mut self) {
        if self.is_in_place() {
            let _ = std::fs::remove_file(&self.path);
        }
        // A child forked meanwhile has a copy of the descriptor.
        let _ = unlock(&self.file);
    }
}

/// Whether the path names this very file, and not a later one of the same name.
#[must_use]
pub fn same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(ours), Ok(theirs)) => (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()),
        _ => false,
    }
}
