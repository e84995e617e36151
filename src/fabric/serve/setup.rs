//! The queues of the methods, and taking calls from all of them on one channel.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, SelectAll};
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};

use super::Registration;
use super::channel::Up;
use crate::fabric::acks::Ledger;
use crate::fabric::context::Context;
use crate::fabric::link::{Link, answered};
use crate::fabric::{names, topology};

/// What comes from a method's queue.
pub(super) enum Item {
    /// A message, or why the channel has failed.
    Delivery { method: Arc<str>, delivery: Box<lapin::Result<Delivery>> },
    /// The broker sends no more: the queue is gone.
    Ended { method: Arc<str> },
}

/// Calls from all queues that are consumed.
pub(super) struct Arrivals {
    streams: SelectAll<BoxStream<'static, Item>>,
    tags: Vec<ShortString>,
}

impl Arrivals {
    fn new() -> Self {
        Self { streams: SelectAll::new(), tags: Vec::new() }
    }

    /// The next one. Waits also while nothing is consumed.
    pub(super) async fn next(&mut self) -> Item {
        match self.streams.next().await {
            Some(item) => item,
            None => std::future::pending().await,
        }
    }

    /// What the consumers are known by.
    pub(super) fn tags(&self) -> Vec<ShortString> {
        self.tags.clone()
    }

    /// Declares a method's queue and takes calls from it. One step after the other, so that no queue is left behind
    /// when this ends in between: one that was never consumed from is never deleted by itself.
    async fn begin(&mut self, channel: &Channel, exchange: &str, method: &Arc<str>) -> lapin::Result<()> {
        topology::declare_method(channel, exchange, method).await?;
        let queue = names::method_queue(exchange, method).into();
        let (tag, options) = (ShortString::default(), BasicConsumeOptions::default());
        let consumer = channel.basic_consume(queue, tag, options, FieldTable::default()).await?;
        self.tags.push(consumer.tag());
        let (of, end) = (Arc::clone(method), Arc::clone(method));
        let deliveries = consumer
            .map(move |delivery| Item::Delivery { method: Arc::clone(&of), delivery: Box::new(delivery) });
        let ended = futures_util::stream::once(async move { Item::Ended { method: end } });
        self.streams.push(deliveries.chain(ended).boxed());
        Ok(())
    }

    /// The same for a queue that was deleted, and maybe the exchange with it.
    pub(super) async fn restore(
        &mut self,
        channel: &Channel,
        registration: &Registration,
        method: &Arc<str>,
    ) -> lapin::Result<()> {
        topology::declare_service(channel, &registration.exchange).await?;
        self.begin(channel, &registration.exchange, method).await
    }
}

/// The channel on which calls come, once there is a connection.
pub(super) async fn open(
    mut link: Link,
    context: Arc<Context>,
    registration: Registration,
) -> Option<lapin::Result<Up>> {
    match link.channel().await? {
        Ok(channel) => Some(answered(begin(channel, &context, &registration)).await),
        Err(error) => Some(Err(error)),
    }
}

async fn begin(channel: Channel, context: &Context, registration: &Registration) -> lapin::Result<Up> {
    channel.basic_qos(context.config.limits.prefetch, BasicQosOptions::default()).await?;
    topology::declare_service(&channel, &registration.exchange).await?;
    let mut arrivals = Arrivals::new();
    for method in &registration.methods {
        arrivals.begin(&channel, &registration.exchange, &method.name.as_str().into()).await?;
    }
    Ok(Up {
        channel,
        arrivals,
        ledger: Ledger::default(),
        answers: Default::default(),
        failed: None,
        leaving: None,
    })
}

/// A queue that is there as long as its consumer is.
pub(super) async fn say_leaving(channel: &Channel, exchange: &str) -> lapin::Result<Consumer> {
    let queue: ShortString = names::method_queue(exchange, names::LEAVING).into();
    let options = QueueDeclareOptions { auto_delete: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.clone(), options, FieldTable::default()).await?;
    let (tag, options) = (ShortString::default(), BasicConsumeOptions::default());
    channel.basic_consume(queue, tag, options, FieldTable::default()).await
}
