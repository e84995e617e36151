//! The queues of the methods, and taking calls from all of them on one channel.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, SelectAll};
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};

use super::{Registration, Up};
use crate::core::error::{Code, Error, Result};
use crate::fabric::acks::Ledger;
use crate::fabric::context::Context;
use crate::fabric::error::classify;
use crate::fabric::link::Link;
use crate::fabric::{names, topology};

/// What comes from a method's queue.
pub(super) enum Item {
    /// A message, or why the channel has failed.
    Delivery { registration: usize, method: Arc<str>, delivery: lapin::Result<Box<Delivery>> },
    /// The broker sends no more: the queue is gone.
    Ended { registration: usize, method: Arc<str> },
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
    pub(super) async fn next(&mut self) -> Option<Item> {
        if self.streams.is_empty() {
            return std::future::pending().await;
        }
        self.streams.next().await
    }

    /// What the consumers are known by.
    pub(super) fn tags(&self) -> Vec<ShortString> {
        self.tags.clone()
    }

    /// Takes calls of all methods of an object.
    pub(super) async fn consume(
        &mut self,
        channel: &Channel,
        index: usize,
        registration: &Registration,
    ) -> lapin::Result<()> {
        for method in &registration.methods {
            self.consume_one(channel, index, &registration.exchange, &method.name.as_str().into()).await?;
        }
        Ok(())
    }

    async fn consume_one(
        &mut self,
        channel: &Channel,
        registration: usize,
        exchange: &str,
        method: &Arc<str>,
    ) -> lapin::Result<()> {
        let queue = names::method_queue(exchange, method);
        let consumer = channel
            .basic_consume(
                queue.into(),
                ShortString::default(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        self.tags.push(consumer.tag());
        let (of, end) = (Arc::clone(method), Arc::clone(method));
        let deliveries = consumer.map(move |delivery| Item::Delivery {
            registration,
            method: Arc::clone(&of),
            delivery: delivery.map(Box::new),
        });
        let ended = futures_util::stream::once(async move { Item::Ended { registration, method: end } });
        self.streams.push(deliveries.chain(ended).boxed());
        Ok(())
    }

    /// Declares a queue again that was deleted, and takes calls from it.
    pub(super) async fn restore(
        &mut self,
        channel: &Channel,
        index: usize,
        registration: &Registration,
        method: &Arc<str>,
    ) -> lapin::Result<()> {
        topology::declare_service(channel, &registration.exchange).await?;
        topology::declare_method(channel, &registration.exchange, method).await?;
        self.consume_one(channel, index, &registration.exchange, method).await
    }
}

/// The channel on which calls come, once there is a connection.
pub(super) async fn open(
    mut link: Link,
    context: Arc<Context>,
    registrations: Vec<Registration>,
) -> Option<lapin::Result<Up>> {
    let channel = match link.channel().await? {
        Ok(channel) => channel,
        Err(error) => return Some(Err(error)),
    };
    Some(begin(channel, &context, &registrations).await)
}

async fn begin(channel: Channel, context: &Context, registrations: &[Registration]) -> lapin::Result<Up> {
    channel.basic_qos(context.config.limits.prefetch, BasicQosOptions::default()).await?;
    let mut arrivals = Arrivals::new();
    for (index, registration) in registrations.iter().enumerate() {
        declare_on(&channel, registration).await?;
        arrivals.consume(&channel, index, registration).await?;
    }
    Ok(Up { channel, arrivals, ledger: Ledger::default(), answers: Default::default() })
}

async fn declare_on(channel: &Channel, registration: &Registration) -> lapin::Result<()> {
    topology::declare_service(channel, &registration.exchange).await?;
    for method in &registration.methods {
        topology::declare_method(channel, &registration.exchange, &method.name).await?;
    }
    Ok(())
}

/// Declares the queues of an object's methods, on a channel of its own.
///
/// # Errors
/// `Configuration` when one is there with other properties, `ConnectionLost` when the connection ends meanwhile.
pub(super) async fn declare(link: &mut Link, context: &Context, registration: &Registration) -> Result<()> {
    let told = |error: &lapin::Error| {
        let doing = format!("declaring the queues of {}", registration.exchange);
        classify(error, &doing, &context.config.address).0
    };
    let opened = link.channel().await;
    let opened = opened.ok_or_else(|| Error::new(Code::ConnectionLost, "the connector is closed"))?;
    let channel = opened.map_err(|error| told(&error))?;
    declare_on(&channel, registration).await.map_err(|error| told(&error))?;
    let _ = channel.close(200, "done".into()).await;
    Ok(())
}
