//! What a lease says: its bytes, and the names of its files. Nothing here touches the disk.
//!
//! ```text
//! <service>.<nonce>.lease   magic, state byte, msgpack map; locked while its daemon lives
//! <service>.<nonce>.new     the same before it is put in place
//! <service>.lock            held while somebody claims the name
//! <start of nonce>.sock     the daemon's socket
//! ```

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::core::error::{Code, Error, Result};

/// The largest lease file that is written or read.
pub const MAX_FILE: usize = 64 << 10;
/// The longest name of a service, in bytes.
pub const MAX_SERVICE_NAME: usize = 1024;
/// How every lease file begins; a change of its meaning changes this.
const MAGIC: &[u8; 4] = b"IBL1";
/// Where the state is, so that one write of one byte changes it.
pub(crate) const STATE_OFFSET: u64 = MAGIC.len() as u64;
/// A longer service name is cut, and a hash stands for the rest.
const MAX_ESCAPED: usize = 180;

/// A random number that no other daemon has.
pub type Nonce = [u8; 16];

/// What a daemon does with calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It takes them.
    #[default]
    Serving,
    /// It finishes those it has, and ends.
    Draining,
}

impl State {
    /// Its name, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }

    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Serving => b'S',
            Self::Draining => b'D',
        }
    }

    fn from_byte(byte: u8) -> Self {
        if byte == b'D' { Self::Draining } else { Self::Serving }
    }
}

/// One daemon, as its lease describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// The service's name.
    pub service: String,
    /// Names this daemon, in the handshake too.
    #[serde(with = "serde_bytes")]
    pub nonce: Nonce,
    /// The same for all workers of one service.
    #[serde(with = "serde_bytes")]
    pub group: Nonce,
    /// The daemon's process, for people: it is never trusted.
    pub pid: u32,
    /// Which class is served, as `module:qualname`.
    pub identity: String,
    /// Which code that class has, as whoever serves it says.
    #[serde(default)]
    pub version: String,
    /// The hash of the schema document.
    pub schema: String,
    /// Where the daemon listens; follows from where the lease was found.
    #[serde(skip)]
    pub socket: PathBuf,
    /// This worker's number, from 0.
    pub worker: u16,
    /// How many workers the service has.
    pub workers: u16,
    /// When it was claimed, in milliseconds of Unix time.
    pub started_unix_ms: u64,
    /// `host:port`, when it also listens there.
    #[serde(default)]
    pub tcp: Option<String>,
    /// Whether it outlives the process that started it.
    #[serde(default)]
    pub detached: bool,
    /// The process that starts its workers again, when there is one; like `pid`, for people.
    #[serde(default)]
    pub supervisor: Option<u32>,
    /// What it does with calls.
    #[serde(skip)]
    pub state: State,
}

impl LeaseRecord {
    /// The lease file's bytes.
    ///
    /// # Errors
    /// `Configuration` when it is larger than [`MAX_FILE`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(self.state.byte());
        rmp_serde::encode::write_named(&mut bytes, self).map_err(|error| {
            Error::new(Code::Configuration, format!("a lease cannot be written: {error}"))
        })?;
        if bytes.len() > MAX_FILE {
            return Err(Error::new(
                Code::Configuration,
                format!("the service's lease takes {} bytes, more than {MAX_FILE}", bytes.len()),
            ));
        }
        Ok(bytes)
    }

    /// What these bytes say, read from a file in this directory; `None` when they are no lease of ours.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], directory: &Path) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (state, body) = rest.split_first()?;
        let mut record: Self = rmp_serde::from_slice(body).ok()?;
        record.state = State::from_byte(*state);
        record.socket = socket_path(directory, &record.nonce);
        Some(record)
    }

    /// Its lease file in this directory.
    #[must_use]
    pub fn lease_path(&self, directory: &Path) -> PathBuf {
        directory.join(FileName { service: &escape(&self.service), nonce: self.nonce, placed: true }.text())
    }

    /// The same before it is put in place.
    #[must_use]
    pub fn new_path(&self, directory: &Path) -> PathBuf {
        directory.join(FileName { service: &escape(&self.service), nonce: self.nonce, placed: false }.text())
    }
}

/// The file that is locked while somebody claims the name.
#[must_use]
pub fn lock_path(directory: &Path, service: &str) -> PathBuf {
    directory.join(format!("{}.lock", escape(service)))
}

/// A daemon's socket: short, since its path must fit 107 bytes.
#[must_use]
pub fn socket_path(directory: &Path, nonce: &Nonce) -> PathBuf {
    directory.join(format!("{}.sock", hex(&nonce[..8])))
}

/// The name of a lease file, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileName<'a> {
    /// The service's name, escaped.
    pub service: &'a str,
    /// The daemon's nonce.
    pub nonce: Nonce,
    /// Whether it is in place, or still being made.
    pub placed: bool,
}

impl<'a> FileName<'a> {
    /// Takes a file's name apart; `None` when it is something else.
    #[must_use]
    pub fn parse(name: &'a OsStr) -> Option<Self> {
        let (rest, ending) = name.to_str()?.rsplit_once('.')?;
        let placed = match ending {
            "lease" => true,
            "new" => false,
            _ => return None,
        };
        let (service, nonce) = rest.rsplit_once('.')?;
        Some(Self { service, nonce: unhex(nonce)?, placed })
    }

    fn text(&self) -> String {
        format!("{}.{}.{}", self.service, hex(&self.nonce), if self.placed { "lease" } else { "new" })
    }
}

/// The service's name as part of a file's: letters, digits, `_` and `-` stay, every other byte becomes `%XX`.
#[must_use]
pub fn escape(service: &str) -> String {
    let mut escaped = String::with_capacity(service.len());
    for byte in service.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    if escaped.len() > MAX_ESCAPED {
        escaped.truncate(MAX_ESCAPED - 33);
        // No escape has a tilde, so no short name can look like a cut one.
        let _ = write!(escaped, "~{}", hex(&Sha256::digest(service)[..16]));
    }
    escaped
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Nonce> {
    let digits = text.as_bytes();
    if digits.len() != 32 || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}
