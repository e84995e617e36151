//! Connections to servers that others run: where they are, a socket to them, and the buffers on both ways.

pub mod address;
pub(crate) mod arrived;
pub(crate) mod outgoing;
pub(crate) mod socket;

use std::path::PathBuf;

/// Files for encrypted connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates that are trusted; none: those of the system.
    pub trusted: Option<PathBuf>,
    /// This side's own certificate and key.
    pub identity: Option<(PathBuf, PathBuf)>,
}
