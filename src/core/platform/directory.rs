//! The user's runtime directory: where daemons of one user on one machine find each other.
//!
//! The environment of a cron job, a container or a service has no `XDG_RUNTIME_DIR`, and a login shell's
//! has: two such programs must meet. So it is looked for by its place, and asked whose it is.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::process::own_uid;
use crate::core::error::{Code, Error, Result};

/// The variable that names the directory, for tests and for machines where the usual places do not serve.
pub const VARIABLE: &str = "IRONBRIDGE_RUNTIME_DIR";
/// The system's bound on the path of a Unix socket, without its final zero.
pub const LONGEST_SOCKET_PATH: usize = 107;
/// Room that sockets need after the directory: a slash and a name.
const SOCKET_NAME_ROOM: usize = 24;

/// Where the directory may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Places {
    /// Here, and nowhere else.
    Only(PathBuf),
    /// In the session's own directory where there is one, else at the fallback.
    Usual {
        /// The directory that the system makes at login and removes at logout.
        session: PathBuf,
        /// Ours, made when there is no session.
        fallback: PathBuf,
    },
}

impl Places {
    /// What `IRONBRIDGE_RUNTIME_DIR` says, else `/run/user/<uid>/ironbridge`, else `/tmp/ironbridge-<uid>`.
    ///
    /// # Errors
    /// `Configuration` when the variable does not hold an absolute path.
    pub fn from_env() -> Result<Self> {
        let uid = own_uid();
        let Some(path) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else {
            return Ok(Self::Usual {
                session: PathBuf::from(format!("/run/user/{uid}")),
                fallback: PathBuf::from(format!("/tmp/ironbridge-{uid}")),
            });
        };
        let path = PathBuf::from(path);
        if !path.is_absolute() {
            return Err(configuration(format!(
                "{VARIABLE}={} is not an absolute path: programs started elsewhere would not find it",
                path.display()
            )));
        }
        Ok(Self::Only(path))
    }

    /// The directory for new leases, made if need be.
    ///
    /// # Errors
    /// `Configuration` when it cannot be made, is not ours alone, or is too long for sockets.
    pub fn choose(&self) -> Result<PathBuf> {
        let path = match self {
            Self::Only(path) => plain(path),
            Self::Usual { session, .. } if is_private(session) => session.join("ironbridge"),
            Self::Usual { fallback, .. } => fallback.clone(),
        };
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(configuration(format!(
                    "the runtime directory {} cannot be made: {error}; set {VARIABLE} to a directory of yours",
                    path.display()
                )));
            }
            _ => {}
        }
        check(&path)?;
        Ok(path)
    }

    /// The directories that leases may be in: all that exist and are ours alone. A daemon that was started
    /// before its user logged in is in the fallback, later ones are in the session's directory.
    ///
    /// # Errors
    /// `Configuration` when the one directory that the user named is there and is not ours alone.
    pub fn existing(&self) -> Result<Vec<PathBuf>> {
        match self {
            Self::Only(path) => {
                let path = plain(path);
                match fs::symlink_metadata(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
                    _ => check(&path).map(|()| vec![path]),
                }
            }
            Self::Usual { session, fallback } => {
                let mut found = Vec::with_capacity(2);
                if is_private(session) {
                    found.push(session.join("ironbridge"));
                }
                found.push(fallback.clone());
                found.retain(|path| is_private(path));
                Ok(found)
            }
        }
    }
}

/// The same path without a final slash, behind which the system would follow a symbolic link.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

fn is_private(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| fault(&found, path).is_none())
}

fn check(path: &Path) -> Result<()> {
    let found = fs::symlink_metadata(path).map_err(|error| {
        configuration(format!("the runtime directory {} cannot be examined: {error}", path.display()))
    })?;
    if let Some(fault) = fault(&found, path) {
        return Err(configuration(fault));
    }
    let longest = LONGEST_SOCKET_PATH - SOCKET_NAME_ROOM;
    let length = path.as_os_str().as_bytes().len();
    if length > longest {
        return Err(configuration(format!(
            "the runtime directory {} is too long for sockets in it ({length} bytes, at most {longest}); \
             set {VARIABLE} to a shorter one",
            path.display()
        )));
    }
    Ok(())
}

/// Why this must not be used, and what to do about it.
fn fault(found: &Metadata, path: &Path) -> Option<String> {
    let (uid, mode) = (own_uid(), found.mode() & 0o777);
    let path = path.display();
    let what = if found.is_symlink() {
        format!("is a symbolic link, which is not followed; remove it, or set {VARIABLE} to what it names")
    } else if !found.is_dir() {
        format!("is not a directory; remove it, or set {VARIABLE} to a directory")
    } else if found.uid() != uid {
        format!(
            "belongs to user {}, not to you (user {uid}); set {VARIABLE} to a directory of your own",
            found.uid()
        )
    } else if mode != 0o700 {
        format!(
            "has mode {mode:04o} and must have 0700; set {VARIABLE} to another directory, or, if nothing else uses \
             this one, run: chmod 700 {path}"
        )
    } else {
        return None;
    };
    Some(format!("the runtime directory {path} {what}"))
}

fn configuration(message: String) -> Error {
    Error::new(Code::Configuration, message)
}
