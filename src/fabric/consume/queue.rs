//! Which queue is consumed, what leads to it, and from where a stream is read.

use std::time::{SystemTime, UNIX_EPOCH};

use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Consumer};

use crate::fabric::headers::Filter;

/// A queue to declare and consume.
#[derive(Clone, Debug)]
pub struct QueueSpec {
    /// Its name; empty lets the broker give one.
    pub name: String,
    /// How it is declared.
    pub options: QueueDeclareOptions,
    /// The arguments of its declaration.
    pub arguments: FieldTable,
    /// What leads to it.
    pub bindings: Vec<Binding>,
    /// Other queues that must be there first, such as the one for its dead letters, each with what leads to it.
    pub companions: Vec<QueueSpec>,
    /// How many messages may be open.
    pub prefetch: u16,
    /// The broker forgets a message when it has sent it.
    pub no_ack: bool,
    /// Where a stream is read from; `None` for other queues.
    pub offset: Option<Offset>,
    /// What is looked at of a stream's messages, which the broker does not filter for one reader.
    pub filter: Option<Filter>,
}

/// What leads to a queue.
#[derive(Clone, Debug)]
pub struct Binding {
    /// From which exchange.
    pub exchange: String,
    /// By which key.
    pub routing_key: String,
    /// By which headers.
    pub arguments: FieldTable,
}

/// From where a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// From its beginning.
    First,
    /// From its last chunk.
    Last,
    /// What comes from now on.
    Next,
    /// From this message on.
    At(u64),
    /// From this time on.
    Since(SystemTime),
}

impl Offset {
    fn value(self) -> AMQPValue {
        match self {
            Self::First => AMQPValue::LongString("first".into()),
            Self::Last => AMQPValue::LongString("last".into()),
            Self::Next => AMQPValue::LongString("next".into()),
            Self::At(offset) => AMQPValue::LongLongInt(offset.cast_signed()),
            Self::Since(time) => {
                AMQPValue::Timestamp(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
            }
        }
    }
}

/// For one's own queue, whose messages are small and need no acknowledgement.
const OWN_PREFETCH: u16 = 1_000;

impl QueueSpec {
    /// A queue of one listener alone, which goes with its connection.
    #[must_use]
    pub fn of_one(bindings: Vec<Binding>) -> Self {
        Self {
            name: String::new(),
            options: QueueDeclareOptions {
                exclusive: true,
                auto_delete: true,
                ..QueueDeclareOptions::default()
            },
            arguments: FieldTable::default(),
            bindings,
            companions: Vec::new(),
            prefetch: OWN_PREFETCH,
            no_ack: true,
            offset: None,
            filter: None,
        }
    }

    /// The place of a message in its stream.
    #[must_use]
    pub fn offset_of(delivery: &Delivery) -> Option<u64> {
        let headers = delivery.properties.headers().as_ref()?;
        let offset = headers.inner().get("x-stream-offset")?.as_long_long_int()?;
        u64::try_from(offset).ok()
    }

    /// A message has come: after a lost connection the stream is read from behind it.
    pub(super) fn passed(&mut self, delivery: &Delivery) {
        if self.offset.is_some()
            && let Some(offset) = Self::offset_of(delivery)
        {
            self.offset = Some(Offset::At(offset + 1));
        }
    }

    /// Whether its receiver wants it.
    pub(super) fn passes(&self, delivery: &Delivery) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.matches(delivery.properties.headers().as_ref()))
    }

    /// Declares and binds it, and what it needs.
    pub(crate) async fn declare(&self, channel: &Channel) -> lapin::Result<ShortString> {
        for companion in &self.companions {
            Box::pin(companion.declare(channel)).await?;
        }
        let queue =
            channel.queue_declare(self.name.as_str().into(), self.options, self.arguments.clone()).await?;
        let name = queue.name().clone();
        for binding in &self.bindings {
            let (exchange, key) = (binding.exchange.as_str().into(), binding.routing_key.as_str().into());
            let options = QueueBindOptions::default();
            channel.queue_bind(name.clone(), exchange, key, options, binding.arguments.clone()).await?;
        }
        Ok(name)
    }

    pub(super) async fn consume(&self, channel: &Channel) -> lapin::Result<(Consumer, String)> {
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
        let name = self.declare(channel).await?;
        let mut arguments = FieldTable::default();
        if let Some(offset) = self.offset {
            arguments.insert("x-stream-offset".into(), offset.value());
        }
        let options = BasicConsumeOptions { no_ack: self.no_ack, ..BasicConsumeOptions::default() };
        let consumer =
            channel.basic_consume(name.clone(), ShortString::default(), options, arguments).await?;
        Ok((consumer, name.to_string()))
    }
}
