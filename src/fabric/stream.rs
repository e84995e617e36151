//! Declaring a queue that nobody consumes yet: a stream that keeps data for later readers.

use super::consume::QueueSpec;
use super::context::Context;
use super::error::classify;
use super::link::{Link, answered};
use crate::core::error::{Code, Error, Result};

/// Declares it on a channel of its own.
///
/// # Errors
/// `Configuration` when it is there with other properties, `ConnectionLost` when the connection ends meanwhile.
pub(crate) async fn declare(mut link: Link, context: &Context, queue: &QueueSpec) -> Result<()> {
    let opened =
        link.channel().await.ok_or_else(|| Error::new(Code::ConnectionLost, "the connector is closed"))?;
    let declared = async {
        let channel = opened?;
        answered(queue.declare(&channel)).await?;
        let _ = channel.close(200, "done".into()).await;
        Ok(())
    };
    let doing = format!("declaring {}", queue.name);
    declared.await.map_err(|error: lapin::Error| classify(&error, &doing, &context.config.address).0)
}
