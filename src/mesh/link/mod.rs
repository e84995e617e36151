//! Connections to a transporter: one that stands is a [`Wire`]. It never blocks, and knows topics and messages, but
//! no packets.

mod memory;
mod nats;
mod redis;

use std::os::fd::BorrowedFd;

use super::address::{Nats, Redis};
use crate::core::deadline::Deadline;
use crate::core::error::Result;
pub use crate::core::net::TlsFiles;

/// Where messages go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transporter {
    /// A Redis.
    Redis(Redis),
    /// A NATS cluster.
    Nats(Nats),
    /// This process: nodes that give the same name hear each other.
    Memory(String),
}

/// What a connection needs to be made.
pub(crate) struct Dial<'a> {
    pub(crate) tls: &'a TlsFiles,
    /// What it is called at the server.
    pub(crate) name: &'a str,
    /// Messages over it are passed over.
    pub(crate) max_message: usize,
    /// What to subscribe to.
    pub(crate) topics: &'a [String],
    /// Published once all is subscribed to: a topic and a message. Those who get it are counted, where the transporter
    /// can.
    pub(crate) hello: (&'a str, &'a [u8]),
    pub(crate) deadline: Deadline,
}

/// What has come.
pub(crate) enum Arrival<'a> {
    /// A message.
    Message { topic: &'a str, payload: &'a [u8] },
    /// A message over the bound has gone by.
    Oversized { topic: &'a str, length: u64 },
    /// The server refuses something, and says why.
    Refused(&'a str),
}

/// A connection that stands.
pub(crate) trait Wire: Send {
    /// Appends a message.
    ///
    /// # Errors
    /// `Configuration` when the topic cannot be one, `Payload` when the server does not take so much.
    fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<()>;

    /// Sends what has been appended, as far as there is room; tells whether all of it went.
    ///
    /// # Errors
    /// When the connection has ended.
    fn flush(&mut self) -> Result<bool>;

    /// Reads once, and hands out what is whole; tells whether there may be more.
    ///
    /// # Errors
    /// When the connection has ended, or the server talks nonsense.
    fn read(&mut self, take: &mut dyn FnMut(Arrival<'_>)) -> Result<bool>;

    /// Appends a question that the server answers at once.
    fn ping(&mut self);

    /// Subscribes to what the transporter hands to one of many (topic and queue each), and to nothing else of the
    /// kind that it did before.
    ///
    /// # Errors
    /// `Configuration` when the transporter cannot, or a topic cannot be one.
    fn balance(&mut self, topics: &[(String, String)]) -> Result<()>;

    /// What is readable when something has come.
    fn watched(&self) -> Vec<BorrowedFd<'_>>;

    /// Bytes that wait for room.
    fn unsent(&self) -> usize;

    /// How many got the hello, this node included.
    fn counted(&self) -> Option<usize>;
}

impl Transporter {
    /// Where it is, without passwords.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Redis(redis) => redis.server.to_string(),
            Self::Nats(nats) => nats.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            Self::Memory(name) => format!("memory {name:?}"),
        }
    }

    /// Whether it hands messages to one of many.
    #[must_use]
    pub fn balances(&self) -> bool {
        matches!(self, Self::Nats(_) | Self::Memory(_))
    }

    /// Makes a connection; blocks until the deadline at most.
    ///
    /// # Errors
    /// `ServiceUnavailable` when it cannot be reached, `Authentication` when it does not let this node in,
    /// `Configuration` when trying again would not help.
    pub(crate) fn connect(&self, dial: &Dial<'_>) -> Result<Box<dyn Wire>> {
        Ok(match self {
            Self::Redis(redis) => Box::new(redis::connect(redis, dial)?),
            Self::Nats(nats) => Box::new(nats::connect(nats, dial)?),
            Self::Memory(name) => Box::new(memory::connect(name, dial)?),
        })
    }
}
