//! The end of a service: running calls finish, new ones are turned away, the name is free.

use std::time::Duration;

use ironbridge::bridge::frame::{Kind, builtin, flag};
use ironbridge::bridge::hello::{Lane, Mode};
use ironbridge::core::error::{Code, Fate};

use crate::host::Event;
use crate::place::{LONG, Place, Plan, Served, within};
use crate::raw::Raw;

const ECHO: u16 = 0;
const GATE: u16 = 3;
const LATER: u16 = 6;

/// A service that drains while a call runs, and the connection of that call.
fn draining(place: &Place, grace: Duration) -> (Served, Raw) {
    let served = place.serve(Plan::default());
    let mut peer = Raw::multiplexed(&served);
    peer.request(1, GATE, b"running");
    served.expect(&Event::Began(b"running".to_vec()));
    served.service.drain(Some(grace));
    assert_eq!(peer.next().unwrap().kind, Kind::Drain);
    (served, peer)
}

#[test]
fn a_running_call_finishes_and_new_ones_are_rejected() {
    let place = Place::new();
    let (served, mut peer) = draining(&place, LONG);
    peer.request(2, ECHO, b"too late");
    let reply = peer.reply();
    assert_eq!(reply.envelope.call, 2);
    assert_eq!((reply.envelope.code, reply.envelope.fate), (Code::ServiceUnavailable, Fate::Rejected));
    // It can still be asked how it is.
    peer.request(3, builtin::STATS, b"");
    assert_eq!(peer.reply().envelope.code, Code::Ok);
    served.host.open_gate();
    assert_eq!(peer.reply().payload, b"running");
    assert!(peer.next().is_none());
    served.ended();
}

#[test]
fn a_rejected_call_may_be_tried_again() {
    let place = Place::new();
    let (served, mut peer) = draining(&place, LONG);
    peer.request(2, ECHO, b"");
    assert_eq!(peer.next().unwrap().flags & flag::RETRY, flag::RETRY);
    served.host.open_gate();
}

#[test]
fn while_it_drains_the_name_is_free_and_clients_go_over() {
    let place = Place::new();
    let first = place.serve(Plan::default());
    let client = place.client();
    client.call("echo", b"");
    let mut peer = Raw::multiplexed(&first);
    peer.request(1, GATE, b"running");
    first.expect(&Event::Began(b"running".to_vec()));
    first.service.drain(Some(LONG));
    assert_eq!(peer.next().unwrap().kind, Kind::Drain);
    let _second = place.serve(Plan::default());
    // Its pooled connection still leads to the first, which turns it away.
    assert_eq!(client.call("echo", b"over there"), b"over there");
    first.host.open_gate();
    assert_eq!(peer.reply().payload, b"running");
    first.ended();
    assert_eq!(client.call("echo", b"still there"), b"still there");
}

#[test]
fn after_the_grace_period_calls_are_given_up() {
    let place = Place::new();
    let (served, mut peer) = draining(&place, Duration::from_millis(50));
    served.expect(&Event::GivenUp(b"running".to_vec()));
    assert_eq!(peer.reply().payload, b"running");
    served.ended();
}

#[test]
fn after_the_grace_period_coroutines_are_cancelled() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let mut peer = Raw::welcome(&served, Mode::Multiplexed, Lane::Coroutine);
    peer.request(1, LATER, b"");
    served.expect(&Event::Spawned(1));
    served.service.drain(Some(Duration::from_millis(50)));
    assert_eq!(peer.next().unwrap().kind, Kind::Drain);
    served.expect(&Event::Cancelled(Some(1)));
    assert_eq!(peer.reply().envelope.code, Code::Cancelled);
    served.ended();
}

#[test]
fn calls_that_wait_for_a_worker_are_turned_away_at_the_end() {
    let place = Place::new();
    let served = place.serve(Plan { threads: 1, ..Plan::default() });
    let client = place.client();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| client.reply("gate", b"one", within(LONG)));
        served.expect(&Event::Began(b"one".to_vec()));
        let mut peer = Raw::multiplexed(&served);
        peer.request(7, GATE, b"two");
        peer.request(8, builtin::STATS, b"");
        assert_eq!(peer.reply().envelope.call, 8, "the keeper reads while the worker is busy");
        served.service.drain(Some(Duration::from_millis(50)));
        assert_eq!(peer.next().unwrap().kind, Kind::Drain);
        let reply = peer.reply();
        assert_eq!(reply.envelope.call, 7);
        if reply.envelope.code != Code::Ok {
            assert_eq!(reply.envelope.fate, Fate::Rejected);
        }
        running.join().unwrap().unwrap();
    });
    served.ended();
}

#[test]
fn a_service_without_calls_ends_at_once() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let began = std::time::Instant::now();
    served.stop();
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(place.registry.find(crate::place::NAME).unwrap(), []);
}
