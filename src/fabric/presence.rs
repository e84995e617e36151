//! Who is there: services say so now and then, and everyone listens.

mod beat;
mod roster;

use std::sync::Arc;

use lapin::types::{AMQPValue, FieldTable};

use super::config::Config;
use super::consume::{Arrived, Binding, QueueSpec, Receive};
use super::context::Context;
pub(crate) use beat::{Beat, Own};
pub use roster::{Filter, Roster, Seen};

/// What a message on the discovery exchange is. Services of other make know the first alone.
pub(crate) const KEEP_ALIVE: &str = "keep_alive";
/// A service leaves.
pub(crate) const GOODBYE: &str = "goodbye";
/// Somebody has just come, and asks who is there.
pub(crate) const WHO_IS_THERE: &str = "who_is_there";

/// Hears who is there.
pub(crate) struct Listener {
    pub(crate) context: Arc<Context>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) own: Arc<Own>,
}

impl Listener {
    /// The queue of this connector alone, so that services of one identity do not take each other's news.
    pub(crate) fn queue(context: &Context) -> QueueSpec {
        let exchange = &context.config.names.discovery_exchange;
        QueueSpec::of_one([KEEP_ALIVE, GOODBYE, WHO_IS_THERE].map(|kind| binding(exchange, kind, &[])).into())
    }
}

/// A queue for the keep-alives of these services.
#[must_use]
pub fn keep_alives(config: &Config, domain: Option<&str>, kind: Option<&str>, id: Option<&str>) -> QueueSpec {
    let parts = [("service_domain", domain), ("service_type", kind), ("service_id", id)];
    let wanted: Vec<_> = parts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    QueueSpec::of_one(vec![binding(&config.names.discovery_exchange, KEEP_ALIVE, &wanted)])
}

/// Messages of a kind, of services that these headers name.
fn binding(exchange: &str, kind: &str, more: &[(&str, &str)]) -> Binding {
    let mut arguments = FieldTable::default();
    for (name, value) in [("x-match", "all"), ("msg_type", kind)].iter().chain(more) {
        arguments.insert((*name).into(), AMQPValue::LongString((*value).into()));
    }
    Binding { exchange: exchange.to_owned(), routing_key: String::new(), arguments }
}

impl Receive for Listener {
    fn ready(&self) {
        self.own.listens();
    }

    fn receive(&self, arrived: Arrived) {
        let Some(headers) = arrived.delivery.properties.headers() else { return };
        let text = |name: &str| text(headers, name);
        match text("msg_type").as_deref() {
            Some(KEEP_ALIVE) => {
                if let Some(difference) = self.roster.heard(headers, &self.own.identity(), &self.own.api()) {
                    self.context.observer.trouble(&difference, "the API of a sibling");
                }
            }
            Some(GOODBYE) => self.roster.left(headers),
            Some(WHO_IS_THERE) => self.own.asked(),
            _ => {}
        }
    }
}

/// The text that a header says.
pub(crate) fn text(headers: &FieldTable, name: &str) -> Option<String> {
    match headers.inner().get(name)? {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok().map(str::to_owned),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

/// The number that a header says.
fn number(headers: &FieldTable, name: &str) -> Option<f64> {
    match headers.inner().get(name)? {
        AMQPValue::Double(number) => Some(*number),
        AMQPValue::LongInt(number) => Some(f64::from(*number)),
        #[expect(clippy::cast_precision_loss, reason = "seconds")]
        AMQPValue::LongLongInt(number) => Some(*number as f64),
        AMQPValue::ShortInt(number) => Some(f64::from(*number)),
        AMQPValue::ShortShortInt(number) => Some(f64::from(*number)),
        _ => None,
    }
}
