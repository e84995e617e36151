//! The exchanges of the services that are called: each is there before the first call, and stays while this connector
//! does.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use lapin::Channel;
use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};

use crate::core::error::{Code, Error, Result};
use crate::fabric::context::Context;
use crate::fabric::error::classify;
use crate::fabric::link::Link;
use crate::fabric::topology;

/// Exchanges that are known to be there on this connection.
///
/// A service's exchange goes with its last server, and a call to an exchange that is not there closes the channel,
/// with all calls on it. So a queue of this connector's own is bound to each: the exchange stays, and a call that
/// nobody serves comes back.
pub(super) struct Targets {
    context: Arc<Context>,
    ready: HashSet<String>,
    anchor: Option<ShortString>,
}

const PATIENCE: Duration = Duration::from_secs(10);

impl Targets {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context, ready: HashSet::new(), anchor: None }
    }

    pub(super) fn is_ready(&self, exchange: &str) -> bool {
        self.ready.contains(exchange)
    }

    /// The connection has ended, and the anchor with it.
    pub(super) fn forget(&mut self) {
        self.ready.clear();
        self.anchor = None;
    }

    /// Makes sure that an exchange is there. Without a connection there is nothing to do yet.
    ///
    /// # Errors
    /// `Configuration` when it is there with other properties; `ConnectionLost` when the connection ends meanwhile.
    pub(super) async fn prepare(&mut self, exchange: &str, link: &mut Link) -> Result<()> {
        if self.is_ready(exchange) || !link.is_up() {
            return Ok(());
        }
        let made = tokio::time::timeout(PATIENCE, self.make(exchange, link)).await;
        let outcome = made.unwrap_or_else(|_| Ok(Err(lapin::ErrorKind::MissingHeartbeatError.into())));
        let outcome = outcome.map_err(|()| Error::new(Code::ConnectionLost, "the connector is closed"))?;
        outcome.map_err(|error| {
            classify(&error, &format!("declaring the exchange {exchange}"), &self.context.config.address).0
        })
    }

    async fn make(&mut self, exchange: &str, link: &mut Link) -> std::result::Result<lapin::Result<()>, ()> {
        // A channel of its own: a refusal closes it, and no call with it.
        let channel = match link.channel().await.ok_or(())? {
            Ok(channel) => channel,
            Err(error) => return Ok(Err(error)),
        };
        let outcome = self.make_on(&channel, exchange).await;
        if outcome.is_ok() {
            let _ = channel.close(200, "done".into()).await;
        }
        Ok(outcome)
    }

    async fn make_on(&mut self, channel: &Channel, exchange: &str) -> lapin::Result<()> {
        topology::declare_service(channel, exchange).await?;
        let anchor = match &self.anchor {
            Some(anchor) => anchor.clone(),
            None => {
                let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
                let name = ShortString::default();
                channel.queue_declare(name, options, FieldTable::default()).await?.name().clone()
            }
        };
        let options = QueueBindOptions::default();
        channel
            .queue_bind(anchor.clone(), exchange.into(), anchor.clone(), options, FieldTable::default())
            .await?;
        self.anchor = Some(anchor);
        self.ready.insert(exchange.to_owned());
        Ok(())
    }
}
