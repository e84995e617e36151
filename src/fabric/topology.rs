//! The exchanges and queues that services of both makes declare: alike in each property, or the broker refuses.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::config::Config;
use super::names;

/// The exchanges of a domain, for data, for keep-alives, for log records; or those that the user has named.
pub(crate) async fn declare(channel: &Channel, config: &Config) -> lapin::Result<()> {
    if let Some(exchanges) = &config.exchanges {
        for exchange in exchanges {
            let options =
                ExchangeDeclareOptions { durable: exchange.durable, ..ExchangeDeclareOptions::default() };
            let (name, kind) = (exchange.name.as_str().into(), exchange.kind.clone());
            channel.exchange_declare(name, kind, options, FieldTable::default()).await?;
        }
        return Ok(());
    }
    let names = &config.names;
    for exchange in [&names.data_exchange, &names.discovery_exchange, &names.log_exchange] {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let kind = ExchangeKind::Headers;
        channel.exchange_declare(exchange.as_str().into(), kind, options, FieldTable::default()).await?;
    }
    Ok(())
}

/// The exchange that leads to a service's methods.
pub(crate) async fn declare_service(channel: &Channel, exchange: &str) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions { auto_delete: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(exchange.into(), ExchangeKind::Direct, options, FieldTable::default()).await
}

/// The queue of one method, shared by all servers of the service.
pub(crate) async fn declare_method(channel: &Channel, exchange: &str, method: &str) -> lapin::Result<()> {
    let queue = names::method_queue(exchange, method);
    let options = QueueDeclareOptions { auto_delete: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    // Calls that expire go back to callers of other make by this.
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(names::RPC_DEAD_LETTERS.into()));
    channel.queue_declare(queue.as_str().into(), options, arguments).await?;
    let (key, options) = (queue.as_str().into(), QueueBindOptions::default());
    channel.queue_bind(queue.as_str().into(), exchange.into(), key, options, FieldTable::default()).await
}
