//! Queues as the fabric's data pass through: bound to a durable exchange of type headers.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, ExchangeKind};

use crate::Failure;

pub(crate) const EXCHANGE: &str = "native.data";
/// What each message carries.
pub(crate) const BODY: [u8; 1024] = [b'x'; 1024];

/// Declares `queue`, which gets the messages that `message(queue)` makes.
pub(crate) async fn bound(
    channel: &Channel,
    queue: &str,
    options: QueueDeclareOptions,
    arguments: FieldTable,
) -> Result<(), Failure> {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Headers, durable, FieldTable::default()).await?;
    channel.queue_declare(queue.into(), options, arguments).await?;
    let mut wanted = kind(queue);
    wanted.insert("x-match".into(), AMQPValue::LongString("all".into()));
    channel.queue_bind(queue.into(), EXCHANGE.into(), "".into(), QueueBindOptions::default(), wanted).await?;
    Ok(())
}

/// The properties of a message for `queue`.
pub(crate) fn message(queue: &str) -> BasicProperties {
    BasicProperties::default().with_headers(kind(queue)).with_delivery_mode(1)
}

fn kind(queue: &str) -> FieldTable {
    let mut headers = FieldTable::default();
    headers.insert("kind".into(), AMQPValue::LongString(queue.into()));
    headers
}
