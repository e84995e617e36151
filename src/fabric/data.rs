//! Streams of data: who takes which messages, in which queue they wait, and where those go that nobody could handle.

use std::time::Duration;

use lapin::BasicProperties;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};

use super::config::Config;
use super::consume::{Binding, Offset, QueueSpec};
use super::headers::Filter;
use super::names;
use super::publishing::Message;
use super::wire;
use crate::core::error::{Code, Error, Fate, Result};

/// What is said of a message beside its headers.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// It survives a restart of the broker, in queues that do.
    pub persistent: bool,
    /// It fails when nobody subscribes to it.
    pub mandatory: bool,
    /// How long it may wait in a queue.
    pub expiration: Option<Duration>,
    /// What tells it from others; a new one when there is none.
    pub message_id: Option<String>,
}

/// Data as it leaves.
///
/// # Errors
/// `Payload` when it is larger than the broker takes.
pub fn message(config: &Config, headers: FieldTable, body: Vec<u8>, envelope: Envelope) -> Result<Message> {
    let most = config.limits.max_message;
    if body.len() > most {
        let text = format!("data of {} bytes: a message has at most {most} (max_message)", body.len());
        return Err(Error::new(Code::Payload, text));
    }
    let mut headers = headers;
    say(&mut headers, "service_id", &config.identity.id);
    say(&mut headers, "service_type", &config.identity.kind);
    let mut properties = BasicProperties::default()
        .with_headers(headers)
        .with_delivery_mode(if envelope.persistent { 2 } else { 1 })
        .with_priority(0)
        .with_timestamp(wire::now())
        .with_message_id(envelope.message_id.map_or_else(wire::message_id, Into::into));
    if let Some(time) = envelope.expiration {
        properties =
            properties.with_expiration(time.as_millis().min(u128::from(u32::MAX)).to_string().into());
    }
    let exchange = config.names.data_exchange.as_str().into();
    Ok(Message { exchange, routing_key: "".into(), mandatory: envelope.mandatory, properties, body })
}

pub(crate) fn say(headers: &mut FieldTable, name: &str, value: &str) {
    headers.insert(name.into(), AMQPValue::LongString(value.into()));
}

/// Who takes which data.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Subscribers of one name share the messages.
    pub name: String,
    /// Which data.
    pub headers: FieldTable,
    /// Any of these headers is enough.
    pub any: bool,
    /// Of which domain.
    pub domain: String,
    /// The queue, and what waits in it, stays while nobody subscribes.
    pub durable: bool,
    /// What cannot be handled waits in a queue of its own.
    pub dead_letter: bool,
    /// How often a message is handed out before it counts as one that cannot be handled.
    pub max_deliveries: Option<u32>,
    /// How many messages may be open.
    pub prefetch: u16,
    /// The broker forgets a message when it has sent it.
    pub no_ack: bool,
    /// The queue's name on the broker; one of the domain's own when there is none.
    pub queue: Option<String>,
    /// Read from this stream instead.
    pub stream: Option<(String, Offset)>,
}

/// What a stream keeps.
#[derive(Clone, Debug)]
pub struct Retention {
    /// The stream's name.
    pub stream: String,
    /// Which data.
    pub headers: FieldTable,
    /// Any of these headers is enough.
    pub any: bool,
    /// For how long.
    pub max_age: Option<Duration>,
    /// How much.
    pub max_bytes: Option<u64>,
}

impl Subscription {
    /// The queue of these subscribers.
    ///
    /// # Errors
    /// `Configuration` when the options contradict each other, or a name cannot be.
    pub fn queue(&self, config: &Config) -> Result<QueueSpec> {
        names::checked("the subscriber", self.name.clone())?;
        if let Some((stream, offset)) = &self.stream {
            return self.reading(stream, *offset);
        }
        if self.max_deliveries.is_some() && !self.durable {
            return Err(wrong("max_deliveries", "durable=True: only such a queue counts deliveries"));
        }
        let exchange = names::data_exchange(&self.domain, &config.data_suffix)?;
        let name = match &self.queue {
            Some(queue) => names::checked("the queue", queue.clone())?,
            None => names::data_queue(&exchange, &self.name)?,
        };
        let mut arguments = FieldTable::default();
        let mut companions = Vec::new();
        if self.durable {
            say(&mut arguments, "x-queue-type", "quorum");
        }
        if let Some(most) = self.max_deliveries {
            // The broker counts returns: the first delivery is none.
            arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(i64::from(most.max(1)) - 1));
        }
        if self.dead_letter {
            let dead = names::dead_queue(&name)?;
            say(&mut arguments, "x-dead-letter-exchange", "");
            say(&mut arguments, "x-dead-letter-routing-key", &dead);
            companions.push(dead_letters(dead));
        }
        Ok(QueueSpec {
            name,
            options: QueueDeclareOptions {
                durable: self.durable,
                auto_delete: !self.durable,
                ..QueueDeclareOptions::default()
            },
            arguments,
            bindings: vec![binding(exchange, &self.headers, self.any)],
            companions,
            prefetch: self.prefetch,
            no_ack: self.no_ack,
            offset: None,
            filter: None,
        })
    }

    /// A stream's reader. Any number read it, each from where it likes.
    fn reading(&self, stream: &str, offset: Offset) -> Result<QueueSpec> {
        let contradicts = [
            (self.durable, "durable"),
            (self.dead_letter, "dead_letter"),
            (self.max_deliveries.is_some(), "max_deliveries"),
            (self.no_ack, "ack=\"none\""),
        ];
        if let Some((_, option)) = contradicts.iter().find(|(set, _)| *set) {
            return Err(wrong(option, "a queue; a stream keeps what it has, whatever its readers do"));
        }
        Ok(QueueSpec {
            name: names::checked("the stream", stream.to_owned())?,
            options: QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() },
            arguments: FieldTable::default(),
            bindings: Vec::new(),
            companions: Vec::new(),
            prefetch: self.prefetch.max(1),
            no_ack: false,
            offset: Some(offset),
            filter: Some(Filter::new(self.headers.clone(), self.any || wants_any(&self.headers))),
        })
    }
}

impl Retention {
    /// The stream's queue.
    ///
    /// # Errors
    /// `Configuration` when its name cannot be.
    pub fn queue(&self, config: &Config) -> Result<QueueSpec> {
        let mut arguments = FieldTable::default();
        say(&mut arguments, "x-queue-type", "stream");
        if let Some(age) = self.max_age {
            say(&mut arguments, "x-max-age", &format!("{}s", age.as_secs().max(1)));
        }
        if let Some(bytes) = self.max_bytes {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(bytes));
        }
        Ok(QueueSpec {
            name: names::checked("the stream", self.stream.clone())?,
            options: QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() },
            arguments,
            bindings: vec![binding(config.names.data_exchange.clone(), &self.headers, self.any)],
            companions: Vec::new(),
            prefetch: 1,
            no_ack: false,
            offset: None,
            filter: None,
        })
    }
}

/// How headers are compared, which may stand among them.
const MATCH: &str = "x-match";

fn wants_any(headers: &FieldTable) -> bool {
    let said = headers.inner().get(MATCH).and_then(AMQPValue::as_long_string);
    said.is_some_and(|said| said.as_bytes() == b"any")
}

fn wrong(option: &str, needs: &str) -> Error {
    Error::new(Code::Configuration, format!("{option} needs {needs}")).with_fate(Fate::NotSent)
}

fn binding(exchange: String, headers: &FieldTable, any: bool) -> Binding {
    let mut arguments = headers.clone();
    if arguments.inner().get(MATCH).is_none() {
        say(&mut arguments, MATCH, if any { "any" } else { "all" });
    }
    Binding { exchange, routing_key: String::new(), arguments }
}

fn dead_letters(name: String) -> QueueSpec {
    let mut arguments = FieldTable::default();
    say(&mut arguments, "x-queue-type", "quorum");
    QueueSpec {
        name,
        options: QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() },
        arguments,
        bindings: Vec::new(),
        companions: Vec::new(),
        prefetch: 1,
        no_ack: false,
        offset: None,
        filter: None,
    }
}
