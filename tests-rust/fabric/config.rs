//! A connector's set-up, for what is made of it without a broker.

use std::time::Duration;

use ironbridge::fabric::address::Address;
use ironbridge::fabric::config::Config;
use ironbridge::fabric::consume::QueueSpec;
use ironbridge::fabric::identity::Identity;
use ironbridge::fabric::limits::FabricLimits;
use ironbridge::fabric::names::{self, Names};
use lapin::types::{AMQPValue, FieldTable};

/// `home.camera.left`, with all as by default.
pub(super) fn config() -> Config {
    let identity = Identity::new("home", "camera", "left", None).unwrap();
    Config {
        address: Address::parse("amqp://broker").unwrap(),
        names: Names::new(&identity, names::DATA, names::DISCOVERY).unwrap(),
        identity,
        data_suffix: names::DATA.to_owned(),
        limits: FabricLimits::default(),
        keep_alive: None,
        time_to_live: Duration::from_secs(5),
        exchanges: None,
    }
}

/// A table of texts.
pub(super) fn texts(fields: &[(&str, &str)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, text) in fields {
        table.insert((*name).into(), AMQPValue::LongString((*text).into()));
    }
    table
}

/// A table as `name=value` in the order of its names, to be compared and read at a glance.
pub(super) fn shown(table: &FieldTable) -> Vec<String> {
    let mut fields: Vec<String> = table
        .inner()
        .iter()
        .map(|(name, value)| match value {
            AMQPValue::LongString(text) => format!("{name}={text}"),
            AMQPValue::LongLongInt(number) => format!("{name}={number}"),
            other => format!("{name}={other:?}"),
        })
        .collect();
    fields.sort_unstable();
    fields
}

/// What leads to a queue: `exchange: headers` each.
pub(super) fn bindings(queue: &QueueSpec) -> Vec<String> {
    queue
        .bindings
        .iter()
        .map(|binding| {
            assert_eq!(binding.routing_key, "", "a headers exchange has no keys");
            format!("{}: {}", binding.exchange, shown(&binding.arguments).join(" "))
        })
        .collect()
}
