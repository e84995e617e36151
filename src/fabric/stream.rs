//! What is done with a queue that is not consumed: a stream is declared for later readers, another one is looked at.

use lapin::Channel;
use lapin::options::{QueueDeclareOptions, QueuePurgeOptions};
use lapin::types::FieldTable;

use super::consume::QueueSpec;
use super::context::Context;
use super::error::classify;
use super::link::{Link, answered};
use crate::core::error::{Code, Error, Result};

/// Declares it.
///
/// # Errors
/// `Configuration` when it is there with other properties, `ConnectionLost` when the connection ends meanwhile.
pub(crate) async fn declare(link: Link, context: &Context, queue: &QueueSpec) -> Result<()> {
    let doing = format!("declaring {}", queue.name);
    on_channel(link, context, &doing, async |channel| queue.declare(&channel).await.map(drop)).await
}

/// How many messages wait in it, and how many consume it.
///
/// # Errors
/// `ServiceUnavailable` when it is not there, `ConnectionLost` when the connection ends meanwhile.
pub(crate) async fn inspect(link: Link, context: &Context, queue: &str) -> Result<(u32, u32)> {
    let doing = format!("looking at {queue}");
    let look = async |channel: Channel| {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
        Ok((found.message_count(), found.consumer_count()))
    };
    on_channel(link, context, &doing, look).await
}

/// Drops all that waits in it; tells how many messages.
///
/// # Errors
/// As [`inspect`].
pub(crate) async fn purge(link: Link, context: &Context, queue: &str) -> Result<u32> {
    let doing = format!("purging {queue}");
    let purge =
        async |channel: Channel| channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await;
    on_channel(link, context, &doing, purge).await
}

/// Does something on a channel of its own.
async fn on_channel<T>(
    mut link: Link,
    context: &Context,
    doing: &str,
    work: impl AsyncFnOnce(Channel) -> lapin::Result<T>,
) -> Result<T> {
    let opened =
        link.channel().await.ok_or_else(|| Error::new(Code::ConnectionLost, "the connector is closed"))?;
    let done = async {
        let channel = opened?;
        let done = answered(work(channel.clone())).await?;
        let _ = channel.close(200, "done".into()).await;
        Ok(done)
    };
    done.await.map_err(|error: lapin::Error| classify(&error, doing, &context.config.address).0)
}
