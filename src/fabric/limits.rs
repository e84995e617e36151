//! Every bound of a connector, with its default and its name in the environment.

use std::time::Duration;

use crate::core::error::{Code, Error, Result};
use crate::core::settings::{from_environment, size, time, unknown};

/// What a connector may hold and how long it waits. Set in code, then by `IRONBRIDGE_FABRIC_<NAME>` in the environment,
/// then by default. Times are in seconds there, sizes in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct FabricLimits {
    /// Messages that wait to be published, or to be confirmed (`OUTBOX_MESSAGES`, 10,000).
    pub outbox_messages: usize,
    /// Bytes that wait to be published, or to be confirmed (`OUTBOX_BYTES`, 64 MiB).
    pub outbox_bytes: usize,
    /// Messages that are published and not yet confirmed (`PUBLISH_WINDOW`, 1,000).
    pub publish_window: usize,
    /// Log records that wait to be published; the oldest makes room (`LOG_RECORDS`, 10,000).
    pub log_records: usize,
    /// Bytes of log records that wait to be published (`LOG_BYTES`, 16 MiB).
    pub log_bytes: usize,
    /// Calls that wait to be sent, or to be answered (`CALLS_IN_FLIGHT`, 10,000).
    pub calls_in_flight: usize,
    /// The largest body that is sent or taken (`MAX_MESSAGE`, 128 MiB, which is the broker's own bound).
    pub max_message: usize,
    /// Calls that the broker hands to this server at once, for each method (`PREFETCH`, 64; at most 65,535).
    pub prefetch: u16,
    /// Messages that the broker hands to one subscription at once (`SUBSCRIPTION_PREFETCH`, 200; at most 65,535).
    pub subscription_prefetch: u16,
    /// Services that are listed at once (`MAX_SERVICES`, 10,000).
    pub max_services: usize,
    /// A call's time where it names none (`CALL_TIMEOUT`, 300 s).
    pub call_timeout: Duration,
    /// Time for one attempt to connect, until the broker has let this client in (`CONNECT_TIMEOUT`, 10 s).
    pub connect_timeout: Duration,
    /// A broker that is silent for this long is taken as lost, unless the URI says another time (`HEARTBEAT`, 10 s).
    pub heartbeat: Duration,
    /// The longest wait before the first attempt to connect again (`BACKOFF_FIRST`, 0.1 s).
    pub backoff_first: Duration,
    /// The longest wait before any attempt to connect again (`BACKOFF_MOST`, 15 s).
    pub backoff_most: Duration,
    /// Time for what runs and what waits to end when a connector closes (`GRACE`, 10 s).
    pub grace: Duration,
    /// A loop that takes nothing for this long is told to be blocked (`STALL`, 0.1 s).
    pub stall: Duration,
}

impl Default for FabricLimits {
    fn default() -> Self {
        Self {
            outbox_messages: 10_000,
            outbox_bytes: 64 << 20,
            publish_window: 1_000,
            log_records: 10_000,
            log_bytes: 16 << 20,
            calls_in_flight: 10_000,
            max_message: 128 << 20,
            prefetch: 64,
            subscription_prefetch: 200,
            max_services: 10_000,
            call_timeout: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(10),
            backoff_first: Duration::from_millis(100),
            backoff_most: Duration::from_secs(15),
            grace: Duration::from_secs(10),
            stall: Duration::from_millis(100),
        }
    }
}

const NAMES: [&str; 17] = [
    "outbox_messages",
    "outbox_bytes",
    "publish_window",
    "log_records",
    "log_bytes",
    "calls_in_flight",
    "max_message",
    "prefetch",
    "subscription_prefetch",
    "max_services",
    "call_timeout",
    "connect_timeout",
    "heartbeat",
    "backoff_first",
    "backoff_most",
    "grace",
    "stall",
];

impl FabricLimits {
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
    /// As [`FabricLimits::from_env`].
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut limits = Self::default();
        from_environment("IRONBRIDGE_FABRIC_", &NAMES, lookup, |name, number| limits.set(name, number))?;
        Ok(limits)
    }

    /// Sets one by its name.
    ///
    /// # Errors
    /// `Configuration` when there is none of this name, or the number is out of range.
    pub fn set(&mut self, name: &str, number: f64) -> Result<()> {
        match name {
            "outbox_messages" => self.outbox_messages = size(name, number, 1)?,
            "outbox_bytes" => self.outbox_bytes = size(name, number, 1 << 10)?,
            "publish_window" => self.publish_window = size(name, number, 1)?,
            "log_records" => self.log_records = size(name, number, 1)?,
            "log_bytes" => self.log_bytes = size(name, number, 1 << 10)?,
            "calls_in_flight" => self.calls_in_flight = size(name, number, 1)?,
            "max_message" => self.max_message = size(name, number, 1 << 10)?,
            "prefetch" => self.prefetch = prefetch(name, number)?,
            "subscription_prefetch" => self.subscription_prefetch = prefetch(name, number)?,
            "max_services" => self.max_services = size(name, number, 1)?,
            "call_timeout" => self.call_timeout = time(name, number, 0.001)?,
            "connect_timeout" => self.connect_timeout = time(name, number, 0.001)?,
            "heartbeat" => self.heartbeat = time(name, number, 1.0)?,
            "backoff_first" => self.backoff_first = time(name, number, 0.001)?,
            "backoff_most" => self.backoff_most = time(name, number, 0.001)?,
            "grace" => self.grace = time(name, number, 0.0)?,
            "stall" => self.stall = time(name, number, 0.001)?,
            _ => return Err(unknown("a connector", name, &NAMES)),
        }
        Ok(())
    }
}

/// A number of messages as the broker counts them.
fn prefetch(name: &str, number: f64) -> Result<u16> {
    size(name, number, 1)?.try_into().map_err(|_| {
        Error::new(Code::Configuration, format!("{name}={number} is no number from 1 to {}", u16::MAX))
    })
}
