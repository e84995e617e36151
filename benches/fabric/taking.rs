//! Taking messages from a queue that is full of them, with an acknowledgement for every so many.

use std::time::Duration;

use futures_util::TryStreamExt;
use lapin::Channel;
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
const PLENTY: f64 = 80_000.0;

pub(crate) async fn measure(channel: &Channel, every: usize, time: Duration) -> Result<String, Failure> {
    fill(channel, time).await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let plain = BasicConsumeOptions::default();
    let mut consumer = channel.basic_consume(QUEUE.into(), "".into(), plain, FieldTable::default()).await?;
    let mut clock = Clock::start(time);
    let mut taken = 0;
    while let Some(delivery) = consumer.try_next().await? {
        taken += 1;
        if taken % every == 0 {
            delivery.ack(BasicAckOptions { multiple: every > 1 }).await?;
        }
        if !clock.tick() {
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
