//! Publishing, with at most so many messages that the broker has not confirmed.

use std::collections::VecDeque;
use std::time::Duration;

use lapin::Channel;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};

use crate::Failure;
use crate::clock::Clock;
use crate::topology::{BODY, EXCHANGE, bound, message};

const QUEUE: &str = "native.sink";
/// Nobody takes from the queue: it keeps the newest.
const KEPT: i32 = 1000;

pub(crate) async fn measure(channel: &Channel, window: usize, time: Duration) -> Result<String, Failure> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(KEPT));
    bound(channel, QUEUE, QueueDeclareOptions::durable(), arguments).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let (properties, plain) = (message(QUEUE), BasicPublishOptions::default());
    let mut unconfirmed = VecDeque::with_capacity(window);
    let mut clock = Clock::start(time);
    loop {
        let confirm =
            channel.basic_publish(EXCHANGE.into(), "".into(), plain, &BODY, properties.clone()).await?;
        unconfirmed.push_back(confirm);
        if unconfirmed.len() < window {
            continue;
        }
        if let Some(oldest) = unconfirmed.pop_front() {
            oldest.await?;
        }
        if !clock.tick() {
            break;
        }
    }
    for confirm in unconfirmed {
        confirm.await?;
    }
    Ok(if window == 1 { clock.times() } else { clock.rate() })
}
