//! How a connector is set up.

use lapin::ExchangeKind;

use super::address::Address;
use super::identity::Identity;
use super::limits::FabricLimits;
use super::names::Names;

/// What a connector is, and where.
#[derive(Clone, Debug)]
pub struct Config {
    /// The broker.
    pub address: Address,
    /// Who this is.
    pub identity: Identity,
    /// What exchanges and queues are called.
    pub names: Names,
    /// The data exchanges' last part.
    pub data_suffix: String,
    /// The bounds.
    pub limits: FabricLimits,
    /// How often this service says that it is there; `None`: never.
    pub keep_alive: Option<std::time::Duration>,
    /// How long one that said so is taken to be there.
    pub time_to_live: std::time::Duration,
    /// Exchanges to declare in place of the fabric's. A connector that has them is no service of the fabric: it calls
    /// nobody, and tells nobody that it is there.
    pub exchanges: Option<Vec<Exchange>>,
}

/// An exchange to declare.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// How it routes.
    pub kind: ExchangeKind,
    /// It survives a restart of the broker.
    pub durable: bool,
}

impl Config {
    /// Whether it is a service of the fabric.
    pub(crate) fn is_service(&self) -> bool {
        self.exchanges.is_none()
    }
}
