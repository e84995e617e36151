//! Every bound of a hub, with its default and its name in the environment.

use std::time::Duration;

use crate::core::error::Result;
use crate::core::settings::{from_environment, size, time, unknown};

/// What a hub may hold and how long it waits. Set in code, then by `IRONBRIDGE_HUB_<NAME>` in the environment, then by
/// default. Times are in seconds there, sizes in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct HubLimits {
    /// The largest message that comes over a Unix socket (`MAX_MESSAGE`, 64 MiB).
    pub max_message: usize,
    /// The largest message that comes over TCP (`MAX_MESSAGE_TCP`, 16 MiB).
    pub max_message_tcp: usize,
    /// Bytes that wait for one subscriber; what comes on top is dropped for it, and counted (`SUBSCRIBER_BUFFER`,
    /// 8 MiB). A message that is larger by itself waits alone.
    pub subscriber_buffer: usize,
    /// Messages that wait for one subscriber (`SUBSCRIBER_MESSAGES`, 100,000).
    pub subscriber_messages: usize,
    /// A subscriber that takes nothing of what waits for it is dropped after this (`STALL_TIMEOUT`, 30 s).
    pub stall_timeout: Duration,
    /// Time for a peer to shake hands (`HANDSHAKE_TIMEOUT`, 5 s).
    pub handshake_timeout: Duration,
    /// Connections of one hub, of both kinds together (`MAX_CONNECTIONS`, 10,000).
    pub max_connections: usize,
    /// Subscriptions of one connection (`MAX_SUBSCRIPTIONS`, 4,096).
    pub max_subscriptions: usize,
    /// Services that one connection may register (`MAX_REGISTRATIONS`, 64).
    pub max_registrations: usize,
    /// Time for what waits to leave when the hub stops (`GRACE`, 2 s).
    pub grace: Duration,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self {
            max_message: 64 << 20,
            max_message_tcp: 16 << 20,
            subscriber_buffer: 8 << 20,
            subscriber_messages: 100_000,
            stall_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(5),
            max_connections: 10_000,
            max_subscriptions: 4_096,
            max_registrations: 64,
            grace: Duration::from_secs(2),
        }
    }
}

const NAMES: [&str; 10] = [
    "max_message",
    "max_message_tcp",
    "subscriber_buffer",
    "subscriber_messages",
    "stall_timeout",
    "handshake_timeout",
    "max_connections",
    "max_subscriptions",
    "max_registrations",
    "grace",
];

impl HubLimits {
    /// The defaults, changed by what the environment says.
    ///
    /// # Errors
    /// `Configuration` when a variable is no number in range; the message names it.
    pub fn from_env() -> Result<Self> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// The same with the environment injected.
    ///
    /// # Errors
    /// As [`HubLimits::from_env`].
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut limits = Self::default();
        from_environment("IRONBRIDGE_HUB_", &NAMES, lookup, |name, number| limits.set(name, number))?;
        Ok(limits)
    }

    /// Sets one by its name.
    ///
    /// # Errors
    /// `Configuration` when there is none of this name, or the number is out of range.
    pub fn set(&mut self, name: &str, number: f64) -> Result<()> {
        match name {
            "max_message" => self.max_message = size(name, number, 1 << 10)?,
            "max_message_tcp" => self.max_message_tcp = size(name, number, 1 << 10)?,
            "subscriber_buffer" => self.subscriber_buffer = size(name, number, 1 << 10)?,
            "subscriber_messages" => self.subscriber_messages = size(name, number, 1)?,
            "stall_timeout" => self.stall_timeout = time(name, number, 0.001)?,
            "handshake_timeout" => self.handshake_timeout = time(name, number, 0.001)?,
            "max_connections" => self.max_connections = size(name, number, 2)?,
            "max_subscriptions" => self.max_subscriptions = size(name, number, 1)?,
            "max_registrations" => self.max_registrations = size(name, number, 1)?,
            "grace" => self.grace = time(name, number, 0.0)?,
            _ => return Err(unknown("a hub", name, &NAMES)),
        }
        Ok(())
    }
}
