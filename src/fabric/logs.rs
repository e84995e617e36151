//! Log records: one message each, as those of other make are, with more headers.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};

use super::config::Config;
use super::consume::{Binding, QueueSpec};
use super::data::say;
use super::publishing::Message;
use super::{names, wire};
use crate::core::json;

/// The usual levels' names, from the lowest.
pub const LEVELS: [&str; 5] = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];

/// A record as it leaves. `body` is the JSON of its text; `headers` say the rest.
#[must_use]
pub fn message(config: &Config, level: &str, headers: FieldTable, body: Vec<u8>) -> Message {
    let mut headers = headers;
    say(&mut headers, "level_name", level);
    say(&mut headers, "service_id", &config.identity.id);
    say(&mut headers, "service_type", &config.identity.kind);
    let properties = BasicProperties::default()
        .with_content_type(wire::JSON.into())
        .with_headers(headers)
        .with_delivery_mode(1)
        .with_priority(0)
        .with_timestamp(wire::now())
        .with_message_id(wire::message_id());
    let exchange = config.names.log_exchange.as_str().into();
    Message { exchange, routing_key: "".into(), mandatory: false, properties, body }
}

/// A record that says how many were dropped in this place.
pub(crate) fn dropped(config: &Config, count: u64) -> Message {
    let mut headers = FieldTable::default();
    say(&mut headers, "logger", "ironbridge.fabric");
    headers.insert("level".into(), AMQPValue::LongInt(WARNING));
    let mut body = Vec::new();
    json::write_text(
        &mut body,
        &format!("{count} log records were dropped while they waited for the broker"),
    );
    message(config, "WARNING", headers, body)
}

/// The number of that level.
const WARNING: i32 = 30;

/// Which records somebody follows.
#[derive(Clone, Debug, Default)]
pub struct Following {
    /// Of which domain.
    pub domain: String,
    /// From which level on; all when it is none of [`LEVELS`].
    pub level: Option<String>,
    /// Of which service type.
    pub kind: Option<String>,
    /// Of which service id.
    pub id: Option<String>,
}

impl Following {
    /// A queue of the follower's own.
    #[must_use]
    pub fn queue(&self) -> QueueSpec {
        let exchange = names::log_exchange(&self.domain);
        let from = self.level.as_deref().and_then(|level| LEVELS.iter().position(|known| *known == level));
        let bindings = match from {
            // The broker passes on what is at this level or above. Levels of the user's own have other names.
            Some(from) if from > 0 => {
                LEVELS.iter().skip(from).map(|level| self.binding(&exchange, Some(level))).collect()
            }
            _ => vec![self.binding(&exchange, None)],
        };
        QueueSpec::of_one(bindings)
    }

    fn binding(&self, exchange: &str, level: Option<&str>) -> Binding {
        let mut arguments = FieldTable::default();
        let wanted = [
            ("x-match", Some("all")),
            ("level_name", level),
            ("service_type", self.kind.as_deref()),
            ("service_id", self.id.as_deref()),
        ];
        for (name, value) in wanted {
            if let Some(value) = value {
                arguments.insert(name.into(), AMQPValue::LongString(value.into()));
            }
        }
        Binding { exchange: exchange.to_owned(), routing_key: String::new(), arguments }
    }
}
