//! Bounds: a slow subscriber costs itself, and nobody else.

use std::time::Duration;

use ironbridge::hub::limits::HubLimits;
use ironbridge::hub::zmtp::Role;

use crate::place::Place;

const MESSAGES: usize = 20_000;

fn body(number: usize) -> Vec<u8> {
    let mut body = format!("{number}:").into_bytes();
    body.resize(1000, b'x');
    body
}

#[test]
fn a_subscriber_that_does_not_read_stalls_nobody_and_what_it_misses_is_counted() {
    let limits = HubLimits { subscriber_buffer: 1 << 20, ..HubLimits::default() };
    let place = Place::with(limits, None);
    let mut slow = place.sub(&[""]);
    let mut quick = place.sub(&[""]);
    let mut push = place.push();
    // A window, so that nothing is dropped for the one that does read.
    for round in 0..MESSAGES / 100 {
        for number in 0..100 {
            push.send(&body(round * 100 + number));
        }
        for number in 0..100 {
            assert_eq!(quick.message(), body(round * 100 + number));
        }
    }
    let stats = place.server.stats();
    let dropped = stats.counts.dropped_slow;
    assert!(dropped > 0);
    let waiting: Vec<_> = stats.subscribers.iter().filter(|sub| sub.queued_messages > 0).collect();
    assert_eq!(waiting.len(), 1);
    assert!(waiting[0].queued_bytes <= 1 << 20 && waiting[0].blocked_for.is_some(), "{waiting:?}");
    assert_eq!(waiting[0].dropped, dropped);
    // What was not dropped comes, in order, as soon as it reads.
    let mut last = None;
    for _ in 0..MESSAGES as u64 - dropped {
        let got = slow.message();
        let number: usize = std::str::from_utf8(&got).unwrap().split(':').next().unwrap().parse().unwrap();
        assert!(last < Some(number));
        last = Some(number);
    }
    push.send(b"at last");
    assert_eq!(slow.message(), b"at last");
    let stats = place.until(|stats| stats.subscribers.iter().all(|sub| sub.queued_bytes == 0));
    assert!(stats.subscribers.iter().all(|sub| sub.queued_messages == 0 && sub.blocked_for.is_none()));
}

#[test]
fn a_subscriber_that_never_reads_is_dropped() {
    let limits = HubLimits {
        stall_timeout: Duration::from_millis(50),
        subscriber_buffer: 64 << 10,
        ..HubLimits::default()
    };
    let place = Place::with(limits, None);
    let _stuck = place.sub(&[""]);
    let mut push = place.push();
    while place.server.stats().counts.refused.stalled == 0 {
        push.send(&body(0));
    }
    assert!(place.server.stats().subscribers.is_empty());
    push.ping();
}

#[test]
fn a_message_larger_than_the_buffer_goes_alone() {
    let limits = HubLimits { subscriber_buffer: 1 << 10, ..HubLimits::default() };
    let place = Place::with(limits, None);
    let mut sub = place.sub(&[""]);
    let mut push = place.push();
    push.send(&vec![b'x'; 1 << 20]);
    assert_eq!(sub.message().len(), 1 << 20);
}

#[test]
fn messages_over_the_gate_end_their_connection() {
    let place = Place::with(HubLimits { max_message: 2000, ..HubLimits::default() }, None);
    let mut push = place.push();
    push.send(&[b'x'; 2000]);
    push.send(&[b'x'; 2001]);
    assert!(push.try_message().is_none());
    let counts = place.until(|stats| stats.publishers == 0).counts;
    assert_eq!((counts.messages_in, counts.refused.oversized), (1, 1));
}

#[test]
fn connections_over_the_bound_are_turned_away() {
    let place = Place::with(HubLimits { max_connections: 2, ..HubLimits::default() }, None);
    let (mut one, two) = (place.push(), place.push());
    assert!(place.try_meet(Role::Push, None).is_err());
    assert_eq!(place.server.stats().counts.refused.limits, 1);
    drop(two);
    place.until(|stats| stats.publishers == 1);
    place.push().ping();
    one.ping();
}

#[test]
fn subscriptions_over_the_bound_end_their_connection_and_hold_no_longer() {
    let place = Place::with(HubLimits { max_subscriptions: 3, ..HubLimits::default() }, None);
    let mut sub = place.sub(&["a", "b", "c", "a"]);
    sub.subscribe(b"d");
    assert!(sub.try_message().is_none());
    let mut long = place.sub(&[]);
    long.subscribe(&[b'x'; 5000]);
    assert!(long.try_message().is_none());
    let mut push = place.push();
    push.send(b"a1");
    push.ping();
    let counts = place.until(|stats| stats.subscribers.is_empty()).counts;
    assert_eq!((counts.refused.limits, counts.unwanted), (2, 1));
}

#[test]
fn limits_come_from_the_environment_by_name() {
    let lookup = |name: &str| match name {
        "IRONBRIDGE_HUB_MAX_MESSAGE" => Some("4096".to_owned()),
        "IRONBRIDGE_HUB_STALL_TIMEOUT" => Some("1.5".to_owned()),
        _ => None,
    };
    let limits = HubLimits::from_lookup(lookup).unwrap();
    assert_eq!((limits.max_message, limits.stall_timeout), (4096, Duration::from_millis(1500)));
    let error =
        HubLimits::from_lookup(|name| name.ends_with("MAX_CONNECTIONS").then(|| "1".into())).unwrap_err();
    assert!(error.message.contains("IRONBRIDGE_HUB_MAX_CONNECTIONS"), "{error}");
}
