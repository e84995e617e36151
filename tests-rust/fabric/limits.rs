//! The bounds of a connector.

use std::time::Duration;

use ironbridge::core::error::Code;
use ironbridge::fabric::limits::FabricLimits;

#[test]
fn the_environment_changes_what_it_names() {
    let limits = FabricLimits::from_lookup(|name| match name {
        "IRONBRIDGE_FABRIC_PREFETCH" => Some("65535".to_owned()),
        "IRONBRIDGE_FABRIC_BACKOFF_FIRST" => Some("0.5".to_owned()),
        "IRONBRIDGE_FABRIC_OUTBOX_BYTES" => Some("4096".to_owned()),
        _ => None,
    });
    let expected = FabricLimits {
        prefetch: 65_535,
        backoff_first: Duration::from_millis(500),
        outbox_bytes: 4_096,
        ..FabricLimits::default()
    };
    assert_eq!(limits.unwrap(), expected);
}

#[test]
fn what_is_out_of_range_is_named() {
    for (name, number) in [
        ("prefetch", 0.0),
        ("prefetch", 65_536.0),
        ("subscription_prefetch", 65_536.0),
        ("outbox_messages", 0.0),
        ("max_message", f64::NAN),
        ("heartbeat", 0.5),
        ("call_timeout", -1.0),
        ("no_such_bound", 1.0),
    ] {
        let error = FabricLimits::default().set(name, number).unwrap_err();
        assert_eq!(error.code, Code::Configuration);
        assert!(error.message.contains(name), "{error}");
    }
    let lookup = |name: &str| (name == "IRONBRIDGE_FABRIC_GRACE").then(|| "soon".to_owned());
    let error = FabricLimits::from_lookup(lookup).unwrap_err();
    assert!(error.message.contains("IRONBRIDGE_FABRIC_GRACE"), "{error}");
}

#[test]
fn every_bound_can_be_set() {
    let message = FabricLimits::default().set("?", 1.0).unwrap_err().message;
    let names = message.split("it has ").nth(1).unwrap().split(", ");
    let mut limits = FabricLimits::default();
    let changed = names.map(|name| {
        let before = limits.clone();
        limits.set(name, 12_345.0).unwrap();
        assert_ne!(before, limits, "{name}");
    });
    assert_eq!(changed.count(), 17);
}
