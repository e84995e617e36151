//! ZMTP 3, the protocol beneath ZeroMQ, for the four kinds of socket that a hub has to do with: bytes in, events
//! out, no input or output of its own. Peers of 3.0 and 3.1 are understood.
//!
//! What a peer sends is bounded before it is believed: no buffer grows by what a header claims, only by what has
//! arrived, and a frame over the bound is an error as soon as its header is there.

mod command;
mod encode;
mod frames;
mod greeting;
mod handshake;
mod proof;

pub use encode::{HEADER, cancel, error, header, message, ping, pong, subscribe};
pub use frames::{Event, Frames};
pub use handshake::{Handshake, Peer};

/// A kind of socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sends each message to one of its peers.
    Push,
    /// Receives from all its peers.
    Pull,
    /// Sends each message to every peer that subscribed to it.
    Pub,
    /// Receives what it subscribed to.
    Sub,
}

impl Role {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Push => "PUSH",
            Self::Pull => "PULL",
            Self::Pub => "PUB",
            Self::Sub => "SUB",
        }
    }

    /// The kind it talks to.
    #[must_use]
    pub fn counterpart(self) -> Self {
        match self {
            Self::Push => Self::Pull,
            Self::Pull => Self::Push,
            Self::Pub => Self::Sub,
            Self::Sub => Self::Pub,
        }
    }

    /// The kind of this name; the extended ones count as what they extend.
    fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"PUSH" => Some(Self::Push),
            b"PULL" => Some(Self::Pull),
            b"PUB" | b"XPUB" => Some(Self::Pub),
            b"SUB" | b"XSUB" => Some(Self::Sub),
            _ => None,
        }
    }
}

/// The bits of a frame's first byte. All others are zero.
mod flag {
    pub(super) const MORE: u8 = 1;
    pub(super) const LONG: u8 = 2;
    pub(super) const COMMAND: u8 = 4;
}
