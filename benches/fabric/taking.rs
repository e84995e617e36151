//! Taking messages from a queue that is full of them.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;

use crate::Failure;
use crate::clock::Clock;
use crate::topology::{BODY, EXCHANGE, bound, message};

const QUEUE: &str = "native.taken";
const PREFETCH: u16 = 200;
/// More messages a second than anybody takes.
const PLENTY: f64 = 100_000.0;

pub(crate) async fn measure(channel: &Channel, coalesced: bool, time: Duration) -> Result<String, Failure> {
    fill(channel, time).await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let plain = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(QUEUE.into(), "".into(), plain, FieldTable::default()).await?;
    let mut arrivals = consumer.ready_chunks(PREFETCH.into());
    let mut clock = Clock::start(time);
    while let Some(together) = arrivals.next().await {
        let together: Vec<Delivery> = together.into_iter().collect::<Result<_, _>>()?;
        if coalesced {
            if let Some(last) = together.last() {
                last.ack(BasicAckOptions { multiple: true }).await?;
            }
        } else {
            try_join_all(together.iter().map(|one| one.ack(BasicAckOptions::default()))).await?;
        }
        if !together.iter().all(|_| clock.tick()) {
            break;
        }
    }
    Ok(clock.rate())
}

/// Puts in what the measure cannot use up.
async fn fill(channel: &Channel, time: Duration) -> Result<(), Failure> {
    let fleeting = QueueDeclareOptions { auto_delete: true, ..QueueDeclareOptions::default() };
    bound(channel, QUEUE, fleeting, FieldTable::default()).await?;
    let (properties, plain) = (message(QUEUE), BasicPublishOptions::default());
    let mut left = time.as_secs_f64() * 1.2 * PLENTY;
    while left > 0.0 {
        channel.basic_publish(EXCHANGE.into(), "".into(), plain, &BODY, properties.clone()).await?.await?;
        left -= 1.0;
    }
    bound(channel, QUEUE, fleeting, FieldTable::default()).await // answered when all has arrived
}
