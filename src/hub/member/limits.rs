//! The bounds of one service at a hub.

use std::time::Duration;

use crate::core::error::Result;
use crate::core::settings::{from_environment, size, time, unknown};

/// What a service may hold and how long it waits. Set in code, then by `IRONBRIDGE_HUB_<NAME>` in the environment,
/// then by default. Times are in seconds there, sizes in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberLimits {
    /// Time between two beats (`BEAT`, 2 s).
    pub beat: Duration,
    /// The largest message heard or said (`MAX_MESSAGE`, 64 MiB).
    pub max_message: usize,
    /// Bytes that wait to be sent before senders wait too (`OUTBOX_BYTES`, 8 MiB).
    pub outbox_bytes: usize,
    /// Messages that wait to be sent before senders wait too (`OUTBOX_MESSAGES`, 100,000).
    pub outbox_messages: usize,
    /// Services remembered (`MAX_SERVICES`, 10,000).
    pub max_services: usize,
    /// Handlers that run at once before nothing more is read (`MAX_RUNNING`, 1,000); where they wait for answers, as
    /// many messages are read beside them, and more are refused.
    pub max_running: usize,
    /// The deadline of a call that names none (`CALL_TIMEOUT`, 30 s).
    pub call_timeout: Duration,
    /// How long a sender waits for room (`SEND_TIMEOUT`, 30 s).
    pub send_timeout: Duration,
}

impl Default for MemberLimits {
    fn default() -> Self {
        Self {
            beat: Duration::from_secs(2),
            max_message: 64 << 20,
            outbox_bytes: 8 << 20,
            outbox_messages: 100_000,
            max_services: 10_000,
            max_running: 1_000,
            call_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_secs(30),
        }
    }
}

const NAMES: [&str; 8] = [
    "beat",
    "max_message",
    "outbox_bytes",
    "outbox_messages",
    "max_services",
    "max_running",
    "call_timeout",
    "send_timeout",
];

impl MemberLimits {
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
    /// As [`MemberLimits::from_env`].
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
            "beat" => self.beat = time(name, number, 0.02)?,
            "max_message" => self.max_message = size(name, number, 1 << 10)?.min(u32::MAX as usize),
            "outbox_bytes" => self.outbox_bytes = size(name, number, 1)?,
            "outbox_messages" => self.outbox_messages = size(name, number, 1)?,
            "max_services" => self.max_services = size(name, number, 1)?,
            "max_running" => self.max_running = size(name, number, 1)?,
            "call_timeout" => self.call_timeout = time(name, number, 0.001)?,
            "send_timeout" => self.send_timeout = time(name, number, 0.001)?,
            _ => return Err(unknown("a service at a hub", name, &NAMES)),
        }
        Ok(())
    }
}
