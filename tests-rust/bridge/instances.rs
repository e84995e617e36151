//! Instances: built once, found by equal arguments, let go in order.

use std::time::Duration;

use ironbridge::bridge::frame::{RequestEnvelope, builtin};
use ironbridge::core::error::{Code, Fate};
use ironbridge::core::instances::{CacheOptions, OnEvict};
use ironbridge::core::limits::Limits;

use crate::host::Event;
use crate::place::{LONG, Place, Plan, Served, within};
use crate::raw::{Raw, request};

const WHO: u16 = 2;

fn ask(peer: &mut Raw, instance: u32) -> crate::place::Reply {
    let envelope = RequestEnvelope { call: 9, remaining: 0, instance, endpoint: WHO };
    peer.send(&request(&envelope, 0, b""));
    peer.reply()
}

#[test]
fn fifty_callers_share_one_new_instance() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let clients: Vec<_> = (0..50).map(|_| place.client_with(b"slow", Limits::default()).unwrap()).collect();
    std::thread::scope(|scope| {
        let calls: Vec<_> =
            clients.iter().map(|client| scope.spawn(move || client.call("who", b""))).collect();
        served.expect(&Event::Began(b"slow".to_vec()));
        // Those who came too early wait without a thread: others are served.
        assert_eq!(place.client().call("echo", b"meanwhile"), b"meanwhile");
        served.host.open_gate();
        for call in calls {
            assert_eq!(call.join().unwrap(), b"1 slow");
        }
    });
    assert_eq!(served.so_far(), [Event::Built(b"slow".to_vec())]);
}

#[test]
fn other_arguments_are_another_instance() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let mut peer = Raw::multiplexed(&served);
    peer.bind(1, b"a");
    peer.bind(2, b"b");
    peer.bind(3, b"a");
    assert_eq!(ask(&mut peer, 1).payload, b"1 a");
    assert_eq!(ask(&mut peer, 2).payload, b"2 b");
    assert_eq!(ask(&mut peer, 3).payload, b"1 a");
    // Bound anew, a number means something else.
    peer.bind(1, b"b");
    assert_eq!(ask(&mut peer, 1).payload, b"2 b");
}

#[test]
fn a_constructor_that_fails_answers_its_call_and_is_tried_again() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let client = place.client_with(b"bad", Limits::default()).unwrap();
    for _ in 0..2 {
        let error = client.fail("who", b"");
        assert_eq!((error.code, error.message.as_str()), (Code::RemoteExecution, "cannot be built"));
        served.expect(&Event::Built(b"bad".to_vec()));
    }
}

#[test]
fn callers_who_waited_for_a_constructor_that_fails_are_all_answered() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    std::thread::scope(|scope| {
        let place = &place;
        let ask = move || place.client_with(b"slow and bad", Limits::default()).unwrap().fail("who", b"");
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        served.expect(&Event::Began(b"slow and bad".to_vec()));
        served.host.open_gate();
        for call in calls {
            assert_eq!(call.join().unwrap().message, "cannot be built");
        }
    });
    assert_eq!(served.count("/in_flight"), 0);
}

fn one_at_a_time(on_evict: OnEvict) -> Plan {
    let cache = CacheOptions { capacity: 1, on_evict, ..CacheOptions::default() };
    Plan { cache, ..Plan::default() }
}

fn peer_with_two(served: &Served) -> Raw {
    let mut peer = Raw::multiplexed(served);
    peer.bind(1, b"a");
    peer.bind(2, b"b");
    assert_eq!(ask(&mut peer, 1).payload, b"1 a");
    assert_eq!(ask(&mut peer, 2).payload, b"2 b");
    let happened: Vec<_> = (0..3).map(|_| served.next()).collect();
    assert!(happened.contains(&Event::Closed(b"a".to_vec())), "{happened:?}");
    peer
}

#[test]
fn an_evicted_instance_is_closed_and_built_again() {
    let place = Place::new();
    let served = place.serve(one_at_a_time(OnEvict::Rebuild));
    let mut peer = peer_with_two(&served);
    assert_eq!(ask(&mut peer, 1).payload, b"3 a");
    assert_eq!(served.count("/cache/evicted"), 2);
}

#[test]
fn an_evicted_instance_can_be_refused() {
    let place = Place::new();
    let served = place.serve(one_at_a_time(OnEvict::Error));
    let mut peer = peer_with_two(&served);
    let reply = ask(&mut peer, 1);
    assert_eq!((reply.envelope.code, reply.envelope.fate), (Code::InstanceEvicted, Fate::Rejected));
    // Who connects again gets a new one.
    let mut other = Raw::multiplexed(&served);
    other.bind(1, b"a");
    assert_eq!(ask(&mut other, 1).payload, b"3 a");
}

#[test]
fn an_idle_instance_is_let_go_after_its_time() {
    let place = Place::new();
    let cache = CacheOptions { time_to_live: Some(Duration::from_millis(50)), ..CacheOptions::default() };
    let served = place.serve(Plan { cache, ..Plan::default() });
    assert_eq!(place.client().call("who", b""), b"1 arguments");
    served.expect(&Event::Built(b"arguments".to_vec()));
    served.expect(&Event::Closed(b"arguments".to_vec()));
}

#[test]
fn instances_are_closed_when_the_service_ends() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    place.client().call("who", b"");
    served.stop();
    assert_eq!(served.so_far(), [Event::Built(b"arguments".to_vec()), Event::Closed(b"arguments".to_vec())]);
}

#[test]
fn a_call_on_what_was_not_bound_is_rejected() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let mut peer = Raw::multiplexed(&served);
    let reply = ask(&mut peer, 7);
    assert_eq!((reply.envelope.code, reply.envelope.fate), (Code::Protocol, Fate::Rejected));
    peer.request(1, builtin::KEY, b"");
    assert_eq!(peer.reply().envelope.code, Code::Protocol);
}

#[test]
fn equal_arguments_have_equal_keys() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let mut peer = Raw::multiplexed(&served);
    let mut key = |instance: u32, arguments: &[u8]| {
        peer.bind(instance, arguments);
        let envelope = RequestEnvelope { call: 1, remaining: 0, instance, endpoint: builtin::KEY };
        peer.send(&request(&envelope, 0, b""));
        peer.reply().payload
    };
    let one = key(1, b"same");
    assert_eq!(one.len(), 32);
    assert_eq!(key(2, b"same"), one);
    assert_ne!(key(3, b"other"), one);
}

#[test]
fn the_first_call_may_carry_a_deadline_shorter_than_the_constructor() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let client = place.client_with(b"slow", Limits::default()).unwrap();
    let error = client.reply("who", b"", within(Duration::from_millis(60))).unwrap_err();
    assert_eq!(error.code, Code::DeadlineExceeded);
    served.expect(&Event::Began(b"slow".to_vec()));
    served.host.open_gate();
    assert_eq!(client.reply("who", b"", within(LONG)).unwrap().payload, b"1 slow");
}
