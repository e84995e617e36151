//! What exchanges and queues are called on the broker: here and nowhere else.

use super::identity::Identity;
use crate::core::error::{Code, Error, Result};
use crate::core::secret::{hexadecimal, nonce};

/// Calls that were not taken in their time come back to their callers over this exchange.
pub const RPC_DEAD_LETTERS: &str = "rpc.dlx";
/// The method that every service has.
pub const HEALTH_CHECK: &str = "health_check";
/// The data exchange's last part, unless the environment (`DATA_EXCHANGE_NAME`) says so.
pub const DATA: &str = "data";
/// The discovery exchange, unless the environment (`DISCOVERY_EXCHANGE_NAME`) says so.
pub const DISCOVERY: &str = "msc.discovery";
/// The longest name on the wire.
const LONGEST: usize = 255;

/// The names that one connector uses all its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Where this service is called.
    pub rpc_exchange: String,
    /// What the domain's services tell each other.
    pub data_exchange: String,
    /// Who says that it is there.
    pub discovery_exchange: String,
    /// The domain's log records.
    pub log_exchange: String,
    /// Where this service hears who is there.
    pub keep_alive_queue: String,
}

impl Names {
    /// The names for a service.
    ///
    /// # Errors
    /// `Configuration` when one is empty or too long for the wire.
    pub fn new(identity: &Identity, data: &str, discovery: &str) -> Result<Self> {
        Ok(Self {
            rpc_exchange: rpc_exchange(identity),
            data_exchange: data_exchange(&identity.domain, data)?,
            discovery_exchange: checked("the discovery exchange", discovery.to_owned())?,
            log_exchange: log_exchange(&identity.domain),
            keep_alive_queue: format!("{}.subscriber", identity.fqn()),
        })
    }
}

/// Where a service is called.
#[must_use]
pub fn rpc_exchange(identity: &Identity) -> String {
    format!("{}.api.{}.{}", identity.domain, identity.kind, identity.id)
}

/// What a domain's services tell each other.
///
/// # Errors
/// `Configuration` when the suffix is empty, or the name too long for the wire.
pub fn data_exchange(domain: &str, suffix: &str) -> Result<String> {
    checked("the data exchange's suffix", suffix.to_owned())?;
    checked("the data exchange", format!("{domain}.{suffix}"))
}

/// The queue of a domain's subscribers of one name. One that bore the name alone would be shared with other domains'.
///
/// # Errors
/// `Configuration` when the name is too long for the wire.
pub fn data_queue(exchange: &str, subscriber: &str) -> Result<String> {
    checked("the subscriber's queue", format!("{exchange}.{subscriber}"))
}

/// A domain's log records.
#[must_use]
pub fn log_exchange(domain: &str) -> String {
    format!("{domain}.log.records")
}

/// The queue of a service's method, and the key that leads to it. [`check_method`] says whether it can be.
#[must_use]
pub fn method_queue(exchange: &str, method: &str) -> String {
    format!("{exchange}::{method}")
}

/// Whether a method's queue can be called so.
///
/// # Errors
/// `Configuration` when the method has no name, or the queue's is too long for the wire.
pub fn check_method(exchange: &str, method: &str) -> Result<()> {
    checked("a method", method.to_owned())?;
    checked("a method's queue", method_queue(exchange, method)).map(drop)
}

/// The queue that is there while a server leaves that still runs calls: no method is called so.
pub const LEAVING: &str = "#leaving";

/// A method of the services of one version alone.
#[must_use]
pub fn versioned(method: &str, version: &str) -> String {
    format!("{method}@{version}")
}

/// Where the messages of a queue go that nobody could handle.
///
/// # Errors
/// `Configuration` when the name is empty, or too long for the wire.
pub fn dead_queue(queue: &str) -> Result<String> {
    checked("the queue", queue.to_owned())?;
    checked("the queue of what nobody could handle", format!("{queue}.dead"))
}

/// A queue for answers, unlike any other.
///
/// # Errors
/// `Configuration` when the system has no randomness to give.
pub fn reply_queue() -> Result<String> {
    let random = nonce()?;
    Ok(format!("amq_{}", hexadecimal(random.get(..16).unwrap_or_default())))
}

/// A name that the wire can carry; `what` is what it is for.
///
/// # Errors
/// `Configuration` when it is empty or has more than 255 bytes.
pub fn checked(what: &str, name: String) -> Result<String> {
    let problem = match name.len() {
        0 => "it is empty".to_owned(),
        1..=LONGEST => return Ok(name),
        length => format!("it has {length} bytes, and a name on the broker at most {LONGEST}"),
    };
    let start: String = name.chars().take(64).collect();
    Err(Error::new(Code::Configuration, format!("{what} cannot be called {start:?}: {problem}")))
}
