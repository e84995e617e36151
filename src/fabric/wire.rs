//! Calls and answers on the wire: the messages of `aio_pika.patterns.JsonRPC`, as `amqp-fabric` sends them.
//!
//! Observed with amqp-fabric 0.2.3 and aio-pika 10.2.1; the properties and their values are in docs/fabric.md.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use lapin::message::Delivery;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel};

use super::calls::{Call, Reply};
use super::names;
use super::publishing::Message;
use crate::core::error::{Code, Error, Result};
use crate::core::json;

/// Where answers come without a queue of their own: <https://www.rabbitmq.com/docs/direct-reply-to>.
pub(crate) const REPLY_QUEUE: &str = "amq.rabbitmq.reply-to";
/// The content type of JSON.
pub const JSON: &str = "application/json";
/// Calls are sent with this priority, which means something only where a queue has priorities.
const PRIORITY: u8 = 5;
const TRANSIENT: u8 = 1;

/// How a call was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// With what the method returned.
    Result,
    /// With what it raised.
    Error,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Result => "result",
            Self::Error => "error",
        }
    }
}

/// A call as it leaves. Its correlation id is its number.
pub fn call(number: u64, call: &mut Call, caller: &str) -> Message {
    let mut headers = FieldTable::default();
    headers.insert("From".into(), AMQPValue::LongString(caller.into()));
    let left = call.deadline.instant().saturating_duration_since(Instant::now()).as_millis().max(1);
    let properties = BasicProperties::default()
        .with_content_type(call.content_type.into())
        .with_headers(headers)
        .with_delivery_mode(TRANSIENT)
        .with_priority(PRIORITY)
        .with_correlation_id(number.to_string().into())
        .with_reply_to(REPLY_QUEUE.into())
        .with_expiration(left.min(u128::from(u32::MAX)).to_string().into())
        .with_message_id(message_id())
        .with_timestamp(now())
        .with_type("call".into());
    Message {
        exchange: call.target.exchange.as_str().into(),
        routing_key: names::method_queue(&call.target.exchange, &call.target.method).into(),
        mandatory: true,
        properties,
        body: std::mem::take(&mut call.body),
    }
}

/// Which call an answer is for.
#[must_use]
pub fn number(correlation_id: &ShortString) -> Option<u64> {
    correlation_id.as_str().parse().ok()
}

/// Whether a message asks for a method to be run. A type is not needed for that.
#[must_use]
pub fn is_call(properties: &BasicProperties) -> bool {
    properties.kind().as_ref().is_none_or(|kind| !matches!(kind.as_str(), "result" | "error"))
}

/// Who calls, as far as it says so.
#[must_use]
pub fn caller(properties: &BasicProperties) -> Option<String> {
    super::presence::text(properties.headers().as_ref()?, "From")
}

/// An answer as it leaves.
#[must_use]
pub fn answer(
    kind: Kind,
    content_type: &str,
    reply_to: ShortString,
    correlation_id: Option<ShortString>,
    body: Vec<u8>,
) -> Message {
    let mut properties = BasicProperties::default()
        .with_content_type(content_type.into())
        .with_headers(FieldTable::default())
        .with_delivery_mode(TRANSIENT)
        .with_priority(0)
        .with_message_id(message_id())
        .with_timestamp(now())
        .with_type(kind.name().into());
    if let Some(id) = correlation_id {
        properties = properties.with_correlation_id(id);
    }
    Message { exchange: ShortString::default(), routing_key: reply_to, mandatory: false, properties, body }
}

/// An answer as it came.
///
/// # Errors
/// `Protocol` when it is neither a result nor an error.
pub fn reply(delivery: Delivery) -> Result<Reply> {
    let kind = match delivery.properties.kind().as_ref().map(ShortString::as_str) {
        Some("result") => Kind::Result,
        Some("error") => Kind::Error,
        other => {
            let text =
                format!("a message of type {:?} instead of \"result\" or \"error\"", other.unwrap_or("none"));
            return Err(Error::protocol(text));
        }
    };
    let content_type = delivery.properties.content_type().as_ref().map(ToString::to_string);
    Ok(Reply { kind, body: delivery.data, content_type })
}

/// An error of the engine as the body of an answer. Peers of other make read the first three fields.
#[must_use]
pub fn engine_error(error: &Error) -> Vec<u8> {
    let mut body = Vec::with_capacity(128 + 2 * error.message.len());
    body.extend_from_slice(
        format!("{{\"error\": {{\"type\": \"{}\", \"message\": ", builtin(error.code)).as_bytes(),
    );
    json::write_text(&mut body, &error.message);
    body.extend_from_slice(b", \"args\": [");
    json::write_text(&mut body, &error.message);
    body.extend_from_slice(
        format!("], \"code\": {}, \"fate\": {}}}}}", error.code as u16, error.fate as u8).as_bytes(),
    );
    body
}

/// Python's own exception of about this meaning. Callers of other make look for a class of that name.
fn builtin(code: Code) -> &'static str {
    match code {
        Code::DeadlineExceeded => "TimeoutError",
        Code::ConnectionLost | Code::ServiceUnavailable => "ConnectionError",
        Code::EndpointNotFound => "AttributeError",
        _ => "RuntimeError",
    }
}

/// Publishes without a confirmation; done when it is written.
pub(crate) async fn publish(channel: &Channel, message: &Message) -> lapin::Result<()> {
    let options = BasicPublishOptions { mandatory: message.mandatory, immediate: false };
    let (exchange, key) = (message.exchange.clone(), message.routing_key.clone());
    channel.basic_publish(exchange, key, options, &message.body, message.properties.clone()).await.map(drop)
}

/// The same with what it needs.
pub(crate) async fn send(channel: Channel, message: Arc<Message>) -> lapin::Result<()> {
    publish(&channel, &message).await
}

/// The error of a stream of messages that has ended without one.
pub(crate) fn ended() -> lapin::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "the broker has ended the consumer").into()
}

/// Unique, without asking the system for each.
pub(crate) fn message_id() -> ShortString {
    static PROCESS: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let process = PROCESS.get_or_init(|| getrandom::u64().unwrap_or_else(|_| now().rotate_left(32)));
    format!("{process:016x}{:016x}", NEXT.fetch_add(1, Ordering::Relaxed)).into()
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
