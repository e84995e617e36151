//! What happens at each bound.

use ironbridge::bridge::frame::{MAX_BUFFERS, RequestEnvelope, builtin};
use ironbridge::bridge::hello::{Lane, Mode};
use ironbridge::core::error::{Code, Fate};
use ironbridge::core::limits::Limits;

use crate::host::Event;
use crate::place::{LONG, Place, Plan, within};
use crate::raw::{Raw, request};

const ECHO: u16 = 0;
const WHO: u16 = 2;
const GATE: u16 = 3;
const LATER: u16 = 6;

fn limited(change: impl FnOnce(&mut Limits)) -> Plan {
    let mut limits = Limits::default();
    change(&mut limits);
    Plan { limits, ..Plan::default() }
}

#[test]
fn a_full_queue_answers_overloaded_at_once() {
    let place = Place::new();
    let plan = Plan { threads: 1, ..limited(|limits| limits.max_queue = 3) };
    let served = place.serve(plan);
    let mut peer = Raw::multiplexed(&served);
    peer.request(0, GATE, b"busy");
    served.expect(&Event::Began(b"busy".to_vec()));
    for call in 1..=10 {
        peer.request(call, ECHO, b"");
    }
    for call in 4..=10 {
        let reply = peer.reply();
        assert_eq!(reply.envelope.call, call);
        assert_eq!((reply.envelope.code, reply.envelope.fate), (Code::Overloaded, Fate::Rejected));
    }
    served.host.open_gate();
    for call in 0..=3 {
        let reply = peer.reply();
        assert_eq!((reply.envelope.call, reply.envelope.code), (call, Code::Ok));
    }
    assert_eq!(served.count("/dropped/overloaded"), 7);
}

#[test]
fn calls_that_wait_for_an_instance_count_as_waiting() {
    let place = Place::new();
    let served = place.serve(limited(|limits| limits.max_queue = 3));
    let mut peer = Raw::multiplexed(&served);
    peer.bind(1, b"slow");
    let ask = |peer: &mut Raw, call| {
        let envelope = RequestEnvelope { call, remaining: 0, instance: 1, endpoint: WHO };
        peer.send(&request(&envelope, 0, b""));
    };
    ask(&mut peer, 1);
    served.expect(&Event::Began(b"slow".to_vec()));
    for call in 2..=4 {
        ask(&mut peer, call);
        served.until("/cache/waiting", call - 1);
    }
    for call in 5..=9 {
        ask(&mut peer, call);
        let reply = peer.reply();
        assert_eq!(reply.envelope.call, call);
        assert_eq!((reply.envelope.code, reply.envelope.fate), (Code::Overloaded, Fate::Rejected));
    }
    served.host.open_gate();
    let mut answered: Vec<u64> = (1..=4)
        .map(|_| {
            let reply = peer.reply();
            assert_eq!(reply.envelope.code, Code::Ok);
            reply.envelope.call
        })
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, [1, 2, 3, 4]);
    assert_eq!(served.count("/dropped/overloaded"), 5);
}

#[test]
fn calls_in_flight_on_one_connection_are_bounded() {
    let place = Place::new();
    let served = place.serve(limited(|limits| limits.max_in_flight = 2));
    let mut peer = Raw::welcome(&served, Mode::Multiplexed, Lane::Coroutine);
    for call in 1..=2 {
        peer.request(call, LATER, b"");
        served.expect(&Event::Spawned(call));
    }
    peer.request(3, LATER, b"");
    let reply = peer.reply();
    assert_eq!((reply.envelope.call, reply.envelope.code), (3, Code::Overloaded));
    served.host.finish_later(1, b"");
    assert_eq!(peer.reply().envelope.call, 1);
    peer.request(4, LATER, b"");
    served.expect(&Event::Spawned(4));
}

#[test]
fn connections_are_bounded_and_come_free_again() {
    let place = Place::new();
    let served = place.serve(limited(|limits| limits.max_connections = 2));
    let first = Raw::multiplexed(&served);
    let mut second = Raw::multiplexed(&served);
    second.request(1, builtin::STATS, b"");
    second.reply();
    let refused = place.client_with(b"", Limits::default()).err().unwrap();
    assert_eq!(refused.code, Code::Overloaded);
    drop(first);
    // The service notices in its own time.
    let client = loop {
        match place.client_with(b"", Limits::default()) {
            Ok(client) => break client,
            Err(error) => assert_eq!(error.code, Code::Overloaded),
        }
    };
    assert_eq!(client.call("echo", b"in"), b"in");
}

#[test]
fn instances_bound_on_one_connection_are_bounded() {
    let place = Place::new();
    let served = place.serve(limited(|limits| limits.max_bindings = 2));
    let mut peer = Raw::multiplexed(&served);
    for instance in [1, 2, 2, 1] {
        peer.bind(instance, b"");
    }
    peer.bind(3, b"");
    assert_eq!(peer.refusal().code, Code::Overloaded);
}

#[test]
fn a_frame_over_the_limit_is_refused_before_it_comes() {
    let place = Place::new();
    let served = place.serve(limited(|limits| limits.max_frame = 4096));
    let mut peer = Raw::multiplexed(&served);
    let mut prefix = 4097_u32.to_le_bytes().to_vec();
    prefix.extend([7, 0, 24, 0]);
    peer.send(&prefix);
    assert_eq!(peer.refusal().code, Code::Payload);
    // A client of ours does not even send it.
    let limits = Limits { max_frame: 4096, ..Limits::default() };
    let client = place.client_with(b"", limits).unwrap();
    let error = client.reply("echo", &[0; 5000], within(LONG)).unwrap_err();
    assert_eq!((error.code, error.fate), (Code::Payload, Fate::NotSent));
}

#[test]
fn a_reply_over_the_callers_limit_becomes_a_failure_that_says_so() {
    let place = Place::new();
    let _served = place.serve(Plan::default());
    let limits = Limits { max_frame: 8192, ..Limits::default() };
    let client = place.client_with(b"", limits).unwrap();
    let error = client.fail("flood", b"");
    assert_eq!((error.code, error.fate), (Code::Payload, Fate::Executed));
    assert!(error.message.contains("IRONBRIDGE_MAX_FRAME"), "{error}");
    assert_eq!(client.call("echo", b"goes on"), b"goes on");
}

#[test]
fn buffers_beside_one_call_are_bounded() {
    let place = Place::new();
    let _served = place.serve(Plan::default());
    let client = place.client();
    let most = (Vec::new(), vec![vec![1]; MAX_BUFFERS]);
    assert_eq!(
        client.exchange("echo", most, within(LONG), &|| false).unwrap().unwrap().buffers.len(),
        MAX_BUFFERS
    );
    let more = (Vec::new(), vec![vec![1]; MAX_BUFFERS + 1]);
    assert_eq!(client.exchange("echo", more, within(LONG), &|| false).unwrap_err().code, Code::Payload);
}
