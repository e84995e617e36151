//! The handshake's messages: msgpack maps, so that either side may add fields.
//!
//! ```text
//! client: magic, Hello            → server: Welcome | Refuse           same machine
//! client: magic, Hello            → server: Challenge
//! client: Proof                   → server: Welcome | Refuse           TCP, with a token
//! ```

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::frame::{self, Frame, Kind};
use crate::core::error::{Code, Error, Fate, Result};

/// The protocol's version.
pub const VERSION: u16 = 1;
/// The largest frame accepted before the handshake is done.
pub const MAX_FRAME: usize = 16 << 10;

/// How a connection is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One call at a time; closing it gives the call up.
    OneCall,
    /// Many calls at once; replies come in any order.
    Multiplexed,
}

/// Which endpoints a connection is mostly for: who reads it in the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Plain functions: worker threads read.
    Plain,
    /// Coroutines: the event loop reads.
    Coroutine,
}

/// The caller's first message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The least and the greatest version spoken.
    pub versions: (u16, u16),
    /// Optional features, a bit each; none yet.
    #[serde(default)]
    pub capabilities: u64,
    /// The service that is wanted.
    pub service: String,
    /// The lease's nonce, when a lease was read: says which daemon is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<ByteBuf>,
    /// The number of the worker that is wanted, where many answer at one address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<u16>,
    /// How the connection will be used.
    pub mode: Mode,
    /// What for.
    pub lane: Lane,
    /// The largest frame that the caller accepts.
    pub max_frame: u64,
    /// 32 random bytes for the proof of a token; empty without one.
    #[serde(default)]
    pub client_nonce: ByteBuf,
    /// The daemon's nonce and moment in the welcome by which this caller first met it: what it binds on this
    /// connection counts as bound then. Another daemon passes it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<(ByteBuf, u64)>,
}

/// Asks the caller to prove that it knows the token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Challenge {
    /// 32 random bytes.
    pub server_nonce: ByteBuf,
}

/// The caller's answer to a challenge.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Proof {
    /// HMAC-SHA256, see `bridge::auth`.
    pub proof: ByteBuf,
}

/// The service is ready for calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// The version to speak.
    pub version: u16,
    /// Optional features that both have.
    #[serde(default)]
    pub capabilities: u64,
    /// The service's name.
    pub service: String,
    /// The daemon's nonce.
    pub nonce: ByteBuf,
    /// The hash of the schema document.
    pub schema: String,
    /// The largest frame that the service accepts.
    pub max_frame: u64,
    /// Processes behind the name.
    pub workers: u16,
    /// The number of this one among them, from 0.
    #[serde(default)]
    pub worker: u16,
    /// Now, as the daemon counts: instances evicted so far.
    #[serde(default)]
    pub moment: u64,
    /// The service's own proof of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ByteBuf>,
}

/// The service does not want this connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refuse {
    /// See `core::error::Code`.
    pub code: u16,
    /// For the user.
    pub message: String,
}

/// Appends a handshake message as a frame.
///
/// # Errors
/// `Protocol` when it cannot be encoded, which no message of ours is.
pub fn write<T: Serialize>(out: &mut Vec<u8>, kind: Kind, message: &T) -> Result<()> {
    let open = frame::begin(out, kind, 0, &[]);
    rmp_serde::encode::write_named(out, message)
        .map_err(|error| Error::protocol(format!("a handshake message: {error}")))?;
    open.finish(out, std::iter::empty(), MAX_FRAME)
}

/// Reads a handshake message of the given kind; a `Refuse` in its place becomes the error it tells.
///
/// # Errors
/// What the peer refused with, or `Protocol`.
pub fn read<T: DeserializeOwned, B>(frame: &Frame<B>, kind: Kind) -> Result<T> {
    if frame.kind == Kind::Refuse && kind != Kind::Refuse {
        let refuse: Refuse = read(frame, Kind::Refuse)?;
        let error = Error::new(Code::from_wire(refuse.code), refuse.message);
        return Err(error.with_fate(Fate::Rejected));
    }
    if frame.kind != kind {
        return Err(Error::protocol(format!("{:?} came where {kind:?} was due", frame.kind)));
    }
    rmp_serde::from_slice(frame.payload())
        .map_err(|error| Error::protocol(format!("a {kind:?} that cannot be read: {error}")))
}

/// The version to speak with a peer that speaks these.
///
/// # Errors
/// `Protocol` when there is none in common.
pub fn agree(versions: (u16, u16)) -> Result<u16> {
    if (versions.0..=versions.1).contains(&VERSION) {
        return Ok(VERSION);
    }
    Err(Error::protocol(format!(
        "the caller speaks versions {} to {} of the protocol, this service speaks {VERSION}; \
         install the same release of ironbridge on both sides",
        versions.0, versions.1
    )))
}
