//! Limits: the environment changes the defaults, within range, and a wrong value is named.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use ironbridge::core::error::Code;
use ironbridge::core::limits::{Limits, MAX_DEPTH_CEILING, MAX_FRAME_CEILING};

fn with(settings: &[(&str, &str)]) -> Result<Limits, ironbridge::core::error::Error> {
    Limits::from_lookup(|name| {
        settings.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn an_empty_environment_leaves_the_defaults() {
    assert_eq!(with(&[]).unwrap(), Limits::default());
}

#[test]
fn each_variable_sets_its_bound() {
    let limits = with(&[
        ("IRONBRIDGE_MAX_FRAME", "1048576"),
        ("IRONBRIDGE_MAX_DEPTH", "12"),
        ("IRONBRIDGE_MAX_ITEMS", "13"),
        ("IRONBRIDGE_MAX_CONNECTIONS", "14"),
        ("IRONBRIDGE_MAX_QUEUE", "15"),
        ("IRONBRIDGE_MAX_IN_FLIGHT", "16"),
        ("IRONBRIDGE_MAX_NESTED", "18"),
        ("IRONBRIDGE_MAX_BINDINGS", "17"),
        ("IRONBRIDGE_HANDSHAKE_TIMEOUT", "1.5"),
        ("IRONBRIDGE_STALL_TIMEOUT", "2"),
        ("IRONBRIDGE_CALL_TIMEOUT", " 3 "),
        ("IRONBRIDGE_GRACE", "0"),
        ("IRONBRIDGE_POLL_BUDGET", "0.00002"),
        ("IRONBRIDGE_OUT_OF_BAND", "4096"),
    ])
    .unwrap();
    assert_eq!(
        limits,
        Limits {
            max_frame: 1 << 20,
            max_depth: 12,
            max_items: 13,
            max_connections: 14,
            max_queue: 15,
            max_in_flight: 16,
            max_nested: 18,
            max_bindings: 17,
            handshake_timeout: Duration::from_millis(1_500),
            stall_timeout: Duration::from_secs(2),
            call_timeout: Duration::from_secs(3),
            grace: Duration::ZERO,
            poll_budget: Duration::from_micros(20),
            out_of_band: 4_096,
        }
    );
}

#[test]
fn a_value_out_of_range_is_refused_by_name() {
    for (name, value) in [
        ("IRONBRIDGE_MAX_FRAME", "lots"),
        ("IRONBRIDGE_MAX_FRAME", "-1"),
        ("IRONBRIDGE_MAX_FRAME", "100"),
        ("IRONBRIDGE_MAX_QUEUE", "0"),
        ("IRONBRIDGE_CALL_TIMEOUT", "NaN"),
        ("IRONBRIDGE_CALL_TIMEOUT", "inf"),
        ("IRONBRIDGE_GRACE", ""),
    ] {
        let error = with(&[(name, value)]).unwrap_err();
        assert_eq!(error.code, Code::Configuration);
        assert!(error.message.contains(name), "{error}");
    }
}

#[test]
fn bounds_that_the_format_or_the_stack_sets_are_kept() {
    let limits = with(&[("IRONBRIDGE_MAX_FRAME", "1e14"), ("IRONBRIDGE_MAX_DEPTH", "1000000")]).unwrap();
    assert_eq!((limits.max_frame, limits.max_depth), (MAX_FRAME_CEILING, MAX_DEPTH_CEILING));
}
