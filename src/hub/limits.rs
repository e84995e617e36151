//! Every bound of the hub and of its members, with its default and its name in the environment.
//!
//! Precedence: what code sets, then `IRONBRIDGE_HUB_<NAME>` in the environment, then the default.

use std::time::Duration;

use crate::core::error::Result;
use crate::core::limits::Settings;

/// The bounds. Times are in seconds in the environment, sizes in bytes.
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

impl HubLimits {
    /// The defaults, changed by what the environment says.
    ///
    /// # Errors
    /// `Configuration` when a variable is not a number in range; the message names it.
    pub fn from_env() -> Result<Self> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// The same with the environment injected.
    ///
    /// # Errors
    /// As [`HubLimits::from_env`].
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let settings = Settings::new("IRONBRIDGE_HUB_", lookup);
        let mut limits = Self::default();
        settings.size("MAX_MESSAGE", 1 << 10, &mut limits.max_message)?;
        settings.size("MAX_MESSAGE_TCP", 1 << 10, &mut limits.max_message_tcp)?;
        settings.size("SUBSCRIBER_BUFFER", 1 << 10, &mut limits.subscriber_buffer)?;
        settings.size("SUBSCRIBER_MESSAGES", 1, &mut limits.subscriber_messages)?;
        settings.time("STALL_TIMEOUT", &mut limits.stall_timeout)?;
        settings.time("HANDSHAKE_TIMEOUT", &mut limits.handshake_timeout)?;
        settings.size("MAX_CONNECTIONS", 2, &mut limits.max_connections)?;
        settings.size("MAX_SUBSCRIPTIONS", 1, &mut limits.max_subscriptions)?;
        settings.size("MAX_REGISTRATIONS", 1, &mut limits.max_registrations)?;
        settings.time("GRACE", &mut limits.grace)?;
        Ok(limits)
    }
}
