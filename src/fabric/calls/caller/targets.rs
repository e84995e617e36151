//! The exchanges of the services that are called: each is there before the first call, and stays while this connector
//! does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use lapin::Channel;
use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};

use crate::core::done::Done;
use crate::core::error::{Code, Error, Result};
use crate::fabric::context::Context;
use crate::fabric::error::classify;
use crate::fabric::link::Link;
use crate::fabric::{names, topology};

/// Exchanges that are known to be there on this connection.
///
/// A service's exchange goes with its last server, and a call to an exchange that is not there closes the channel,
/// with all calls on it. So a queue of this connector's own is bound to each: the exchange stays, and a call that
/// nobody serves comes back.
pub(super) struct Targets {
    context: Arc<Context>,
    ready: HashSet<String>,
    preparing: HashMap<String, Waiting>,
    /// The queue's name; a new one for each connection, since the broker may hold on to the last one for a while.
    anchor: ShortString,
    session: u64,
}

/// Who waits for an exchange.
#[derive(Default)]
struct Waiting {
    calls: Vec<u64>,
    others: Vec<Done<()>>,
}

/// How preparing an exchange has ended.
pub(in crate::fabric::calls) struct Prepared {
    exchange: String,
    session: u64,
    outcome: Result<()>,
}

/// What is to be done with the calls that waited for an exchange.
pub(super) enum Next {
    Send(Vec<u64>),
    Fail(Vec<u64>, Error),
}

const PATIENCE: Duration = Duration::from_secs(10);

impl Targets {
    pub(super) fn new(context: Arc<Context>) -> Self {
        let anchor = ShortString::default();
        Self { context, ready: HashSet::new(), preparing: HashMap::new(), anchor, session: 0 }
    }

    pub(super) fn is_ready(&self, exchange: &str) -> bool {
        self.ready.contains(exchange)
    }

    /// A new connection begins, on which nothing is there. Gives the exchanges that somebody waits for.
    pub(super) fn begin(&mut self) -> Vec<String> {
        self.session += 1;
        self.ready.clear();
        self.anchor = names::reply_queue().unwrap_or_default().into();
        self.preparing.retain(|_, waiting| {
            // Those are sent anew, and ask again.
            waiting.calls.clear();
            !waiting.others.is_empty()
        });
        self.preparing.keys().cloned().collect()
    }

    /// A call waits for the exchange. Whether somebody must prepare it now.
    pub(super) fn await_call(&mut self, exchange: &str, number: u64) -> bool {
        let is_new = !self.preparing.contains_key(exchange);
        self.preparing.entry(exchange.to_owned()).or_default().calls.push(number);
        is_new
    }

    /// Somebody waits for the exchange. Whether it must be prepared now.
    pub(super) fn await_ready(&mut self, exchange: &str, link: &Link, done: Done<()>) -> bool {
        if self.is_ready(exchange) || !link.is_up() {
            done.end(Ok(()));
            return false;
        }
        let is_new = !self.preparing.contains_key(exchange);
        self.preparing.entry(exchange.to_owned()).or_default().others.push(done);
        is_new
    }

    /// Makes sure that an exchange is there; beside the calls, which go on.
    pub(super) fn prepare(
        &self,
        exchange: &str,
        link: Link,
    ) -> impl Future<Output = Prepared> + Send + use<> {
        let (context, anchor) = (Arc::clone(&self.context), self.anchor.clone());
        let (exchange, session) = (exchange.to_owned(), self.session);
        async move {
            let made = tokio::time::timeout(PATIENCE, make(&exchange, anchor, link)).await;
            let late = || Err(lapin::ErrorKind::MissingHeartbeatError.into());
            let outcome = made.unwrap_or_else(|_| late()).map_err(|error| {
                classify(&error, &format!("declaring the exchange {exchange}"), &context.config.address).0
            });
            Prepared { exchange, session, outcome }
        }
    }

    /// What preparing an exchange has come to.
    pub(super) fn prepared(&mut self, prepared: Prepared) -> Next {
        let Prepared { exchange, session, outcome } = prepared;
        if session != self.session {
            return Next::Send(Vec::new());
        }
        let Waiting { calls, others } = self.preparing.remove(&exchange).unwrap_or_default();
        let outcome = match outcome {
            // The connection ends: what waits is sent on the next one.
            Err(error) if error.code != Code::Configuration && error.code != Code::Authentication => {
                Ok(false)
            }
            outcome => outcome.map(|()| true),
        };
        for done in others {
            done.end(outcome.clone().map(drop));
        }
        match outcome {
            Ok(is_there) => {
                if is_there {
                    self.ready.insert(exchange);
                }
                Next::Send(calls)
            }
            Err(error) => Next::Fail(calls, error),
        }
    }
}

/// On a channel of its own: a refusal closes it, and no call with it.
async fn make(exchange: &str, anchor: ShortString, mut link: Link) -> lapin::Result<()> {
    let Some(channel) = link.channel().await else { return Ok(()) };
    let channel = channel?;
    anchored(&channel, exchange, anchor).await?;
    let _ = channel.close(200, "done".into()).await;
    Ok(())
}

async fn anchored(channel: &Channel, exchange: &str, anchor: ShortString) -> lapin::Result<()> {
    topology::declare_service(channel, exchange).await?;
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(anchor.clone(), options, FieldTable::default()).await?;
    // Nobody publishes with this key.
    let (key, options) = (anchor.clone(), QueueBindOptions::default());
    channel.queue_bind(anchor, exchange.into(), key, options, FieldTable::default()).await
}
