//! Exchanges and queues that the user names: what is sent to them, and what comes from them.

use lapin::BasicProperties;
use lapin::options::QueueDeclareOptions;
use pyo3::prelude::*;

use super::options;
use super::table::{self, Floats};
use crate::core::error::{Code, Error, Result};
use crate::fabric::consume::{Binding, QueueSpec};
use crate::fabric::publishing::Message;
use crate::fabric::wire;

/// What Python gives of a queue.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(super) struct GivenQueue<'py> {
    pub(super) name: String,
    durable: bool,
    exclusive: bool,
    auto_delete: bool,
    arguments: Bound<'py, PyAny>,
    /// `(exchange, routing key)` each.
    bindings: Vec<(String, String)>,
    companions: Vec<Bound<'py, PyAny>>,
    prefetch: u16,
    pub(super) ack: String,
}

impl GivenQueue<'_> {
    pub(super) fn spec(&self) -> PyResult<QueueSpec> {
        let binding = |(exchange, key): &(String, String)| Binding {
            exchange: exchange.clone(),
            routing_key: key.clone(),
            arguments: lapin::types::FieldTable::default(),
        };
        let companions = self.companions.iter().map(|given| given.extract::<GivenQueue<'_>>()?.spec());
        Ok(QueueSpec {
            name: self.name.clone(),
            options: QueueDeclareOptions {
                durable: self.durable,
                exclusive: self.exclusive,
                auto_delete: self.auto_delete,
                ..QueueDeclareOptions::default()
            },
            arguments: table::write(&self.arguments, "arguments", Floats::Single)?,
            bindings: self.bindings.iter().map(binding).collect(),
            companions: companions.collect::<PyResult<_>>()?,
            prefetch: self.prefetch,
            no_ack: self.ack == "none",
            offset: None,
            filter: None,
        })
    }
}

/// What Python gives of a message's envelope.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(super) struct GivenMessage<'py> {
    exchange: String,
    routing_key: String,
    headers: Option<Bound<'py, PyAny>>,
    persistent: bool,
    mandatory: bool,
    message_id: Option<String>,
    content_type: Option<String>,
}

impl GivenMessage<'_> {
    pub(super) fn message(&self, py: Python<'_>, body: &[u8], most: usize) -> PyResult<Message> {
        self.checked(body, most).map_err(|error| crate::python::errors::raise(py, &error))?;
        let mut properties = BasicProperties::default()
            .with_delivery_mode(if self.persistent { 2 } else { 1 })
            .with_priority(0)
            .with_message_id(self.message_id.clone().map_or_else(wire::message_id, Into::into));
        if let Some(headers) = &self.headers {
            properties = properties.with_headers(options::headers(headers)?);
        }
        if let Some(content_type) = &self.content_type {
            properties = properties.with_content_type(content_type.as_str().into());
        }
        Ok(Message {
            exchange: self.exchange.as_str().into(),
            routing_key: self.routing_key.as_str().into(),
            mandatory: self.mandatory,
            properties,
            body: body.to_vec(),
        })
    }

    fn checked(&self, body: &[u8], most: usize) -> Result<()> {
        let wrong = |text: String| Err(Error::new(Code::Payload, text));
        if body.len() > most {
            return wrong(format!(
                "a message of {} bytes: a message has at most {most} (max_message)",
                body.len()
            ));
        }
        for (what, text) in [
            ("exchange", Some(&self.exchange)),
            ("routing_key", Some(&self.routing_key)),
            ("message_id", self.message_id.as_ref()),
            ("content_type", self.content_type.as_ref()),
        ] {
            if text.is_some_and(|text| text.len() > LONGEST) {
                return wrong(format!("{what} is longer than {LONGEST} bytes, which AMQP has room for"));
            }
        }
        Ok(())
    }
}

/// Of AMQP's short strings, in bytes.
const LONGEST: usize = 255;
