//! Where a hub listens: `ipc:///path`, `ipc://@abstract-name`, `tcp://host:port`.

use std::ffi::OsStr;
use std::fmt;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::core::error::{Code, Error, Result};
use crate::core::platform::directory::LONGEST_SOCKET_PATH;

/// One address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A Unix socket's file.
    Ipc(PathBuf),
    /// A Unix socket's name in the system's own space, which has no files.
    Abstract(Vec<u8>),
    /// An address of this machine (to listen) or of any (to connect).
    Tcp {
        /// A name, an address, or `*` for every address of this machine.
        host: String,
        /// 0 for whichever is free, where one listens.
        port: u16,
    },
}

impl Endpoint {
    /// Reads one.
    ///
    /// # Errors
    /// `Configuration`, saying what is wrong with it.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::new(
                Code::Configuration,
                format!("{text:?} is no endpoint: {why}; give ipc:///path, ipc://@name or tcp://host:port"),
            )
        };
        match text.split_once("://") {
            Some(("ipc", place)) => ipc(place).map_err(|why| bad(&why)),
            Some(("tcp", place)) => tcp(place).map_err(bad),
            Some(("inproc", _)) => {
                Err(bad("inproc:// works within one process only, and a hub joins several"))
            }
            Some((scheme, _)) => Err(bad(&format!("{scheme}:// is no transport of a hub"))),
            None => Err(bad("it names no transport")),
        }
    }

    /// Whether who listens there must be on this machine: a Unix socket, a loopback address, or the `*` and
    /// `0.0.0.0` that a listener says, and that lead a caller to this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Ipc(_) | Self::Abstract(_) => true,
            Self::Tcp { host, .. } => is_any(host) || is_loopback(host),
        }
    }

    /// Whether listening there lets callers of other machines in.
    #[must_use]
    pub fn is_open_to_others(&self) -> bool {
        matches!(self, Self::Tcp { host, .. } if !is_loopback(host))
    }

    /// Where to connect to for what listens here: for every address of this machine, its loopback one.
    #[must_use]
    pub fn to_dial(&self) -> Self {
        match self {
            Self::Tcp { host, port } if is_any(host) => {
                let loopback = if host.contains(':') { "::1" } else { "127.0.0.1" };
                Self::Tcp { host: loopback.to_owned(), port: *port }
            }
            other => other.clone(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipc(path) => write!(f, "ipc://{}", path.display()),
            Self::Abstract(name) => write!(f, "ipc://@{}", String::from_utf8_lossy(name)),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

fn ipc(place: &str) -> Result<Endpoint, String> {
    if place.contains('\0') {
        return Err("it holds a zero byte".into());
    }
    let (name, endpoint) = match place.strip_prefix('@') {
        Some(name) => (name, Endpoint::Abstract(name.as_bytes().to_vec())),
        None => (place, Endpoint::Ipc(PathBuf::from(OsStr::from_bytes(place.as_bytes())))),
    };
    if name.is_empty() || name == "*" {
        return Err("it names no file".into());
    }
    if place.len() > LONGEST_SOCKET_PATH {
        return Err(format!(
            "it has {} bytes, and a socket's path at most {LONGEST_SOCKET_PATH}",
            place.len()
        ));
    }
    Ok(endpoint)
}

fn tcp(place: &str) -> Result<Endpoint, &'static str> {
    if place.contains([';', '/', ' ']) {
        return Err("only a host and a port may follow tcp://");
    }
    let (host, port) = place.rsplit_once(':').ok_or("the port is missing")?;
    let port = match port {
        "*" => 0,
        port => port.parse().map_err(|_| "its port is no number from 0 to 65535")?,
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.is_none() && host.contains(':') {
        return Err("an IPv6 address stands in brackets: tcp://[::1]:3000");
    }
    let host = bare.unwrap_or(host);
    if host.is_empty() {
        return Err("the host is missing");
    }
    Ok(Endpoint::Tcp { host: host.to_owned(), port })
}

fn is_any(host: &str) -> bool {
    host == "*" || host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
