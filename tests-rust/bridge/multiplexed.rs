//! Many calls on one connection.

use ironbridge::bridge::frame::{Kind, RequestEnvelope, builtin};
use ironbridge::bridge::hello::{Lane, Mode};
use ironbridge::core::error::{Code, Fate};

use crate::host::Event;
use crate::place::{Place, Plan};
use crate::raw::{Raw, request};

const ECHO: u16 = 0;
const GATE: u16 = 3;
const LATER: u16 = 6;

#[test]
fn replies_come_as_they_are_ready() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let mut peer = Raw::multiplexed(&served);
    peer.request(1, GATE, b"first");
    served.expect(&Event::Began(b"first".to_vec()));
    for call in 2..50 {
        peer.request(call, ECHO, &call.to_le_bytes());
    }
    let mut seen: Vec<u64> = (2..50).map(|_| peer.reply().envelope.call).collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(2..50));
    served.host.open_gate();
    let last = peer.reply();
    assert_eq!((last.envelope.call, last.payload.as_slice()), (1, b"first".as_slice()));
}

#[test]
fn a_running_call_is_told_that_it_was_cancelled() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let mut peer = Raw::multiplexed(&served);
    peer.request(1, GATE, b"one");
    served.expect(&Event::Began(b"one".to_vec()));
    peer.request(2, GATE, b"two");
    served.expect(&Event::Began(b"two".to_vec()));
    peer.cancel(2);
    served.expect(&Event::GivenUp(b"two".to_vec()));
    assert_eq!(peer.reply().envelope.call, 2);
    assert_eq!(served.so_far(), [], "the other call goes on");
}

#[test]
fn a_waiting_call_that_is_cancelled_never_runs() {
    let place = Place::new();
    let served = place.serve(Plan { threads: 1, ..Plan::default() });
    let mut peer = Raw::multiplexed(&served);
    peer.request(1, GATE, b"busy");
    served.expect(&Event::Began(b"busy".to_vec()));
    peer.request(2, GATE, b"never");
    peer.cancel(2);
    let reply = peer.reply();
    assert_eq!((reply.envelope.call, reply.envelope.code), (2, Code::Cancelled));
    assert_eq!(reply.envelope.fate, Fate::Rejected);
    served.host.open_gate();
    assert_eq!(peer.reply().envelope.call, 1);
    assert_eq!(served.so_far(), []);
}

#[test]
fn a_call_whose_time_is_over_before_it_begins_never_runs() {
    let place = Place::new();
    let served = place.serve(Plan { threads: 1, ..Plan::default() });
    let mut peer = Raw::multiplexed(&served);
    peer.request(1, GATE, b"busy");
    served.expect(&Event::Began(b"busy".to_vec()));
    let envelope = RequestEnvelope { call: 2, remaining: 1, instance: 0, endpoint: GATE };
    peer.send(&request(&envelope, 0, b"late"));
    peer.request(3, builtin::STATS, b"");
    assert_eq!(peer.reply().envelope.call, 3);
    served.host.open_gate();
    assert_eq!(peer.reply().envelope.call, 1);
    // Past its deadline nobody waits: not even a reply comes.
    peer.request(4, ECHO, b"");
    assert_eq!(peer.reply().envelope.call, 4);
    assert_eq!(served.so_far(), []);
    assert_eq!(served.count("/dropped/deadline"), 1);
}

#[test]
fn coroutines_run_together_and_are_cancelled_one_by_one() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    for lane in [Lane::Coroutine, Lane::Plain] {
        let mut peer = Raw::welcome(&served, Mode::Multiplexed, lane);
        for call in 1..=3 {
            peer.request(call, LATER, b"");
            served.expect(&Event::Spawned(call));
        }
        peer.cancel(2);
        served.expect(&Event::Cancelled(Some(2)));
        let reply = peer.reply();
        assert_eq!((reply.envelope.call, reply.envelope.code), (2, Code::Cancelled));
        served.host.finish_later(3, b"three");
        assert_eq!(peer.reply().payload, b"three");
        served.host.finish_later(1, b"one");
        assert_eq!(peer.reply().payload, b"one");
    }
}

#[test]
fn a_plain_call_on_the_lane_of_coroutines_is_handed_to_a_worker() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    for mode in [Mode::OneCall, Mode::Multiplexed] {
        let mut peer = Raw::welcome(&served, mode, Lane::Coroutine);
        for call in 1..20 {
            peer.request(call, ECHO, b"over there");
            let reply = peer.reply();
            assert_eq!((reply.envelope.call, reply.payload.as_slice()), (call, b"over there".as_slice()));
        }
    }
}

#[test]
fn unknown_endpoints_are_rejected_and_the_connection_goes_on() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let mut peer = Raw::multiplexed(&served);
    for endpoint in [99, builtin::FIRST] {
        peer.request(1, endpoint, b"");
        let reply = peer.reply();
        assert_eq!(reply.envelope.code, Code::EndpointNotFound);
        assert_eq!(reply.envelope.fate, Fate::Rejected);
    }
    peer.request(2, ECHO, b"still here");
    assert_eq!(peer.reply().payload, b"still here");
}

#[test]
fn what_a_newer_caller_adds_to_an_envelope_is_skipped() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let mut peer = Raw::multiplexed(&served);
    let envelope = RequestEnvelope { call: 5, remaining: 0, instance: 0, endpoint: ECHO };
    // Eight more bytes of envelope, and a flag that nobody knows.
    let mut bytes = request(&envelope, 0x40, b"payload");
    bytes.splice(32..32, *b"newfield");
    bytes[..4].copy_from_slice(&(24_u32 + 8 + 7).to_le_bytes());
    bytes[6..8].copy_from_slice(&32_u16.to_le_bytes());
    peer.send(&bytes);
    assert_eq!(peer.reply().payload, b"payload");
}

#[test]
fn a_caller_who_breaks_the_protocol_is_told_and_let_go() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let mut unknown = vec![0_u8; 8];
    unknown[4] = 77;
    let mut welcome = vec![0_u8; 8];
    welcome[4] = Kind::Welcome as u8;
    let mut short = vec![0_u8; 8];
    short[4] = Kind::Request as u8;
    for bytes in [unknown, welcome, short] {
        let mut peer = Raw::multiplexed(&served);
        peer.send(&bytes);
        assert_eq!(peer.refusal().code, Code::Protocol);
    }
    assert_eq!(place.client().call("echo", b"others"), b"others");
}

#[test]
fn thousands_of_calls_in_one_write_are_all_answered() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    for lane in [Lane::Plain, Lane::Coroutine] {
        let mut peer = Raw::welcome(&served, Mode::Multiplexed, lane);
        let requests: Vec<u8> = (0..3_000)
            .flat_map(|call| {
                request(&RequestEnvelope { call, remaining: 0, instance: 0, endpoint: ECHO }, 0, b"")
            })
            .collect();
        peer.send(&requests);
        let mut seen: Vec<u64> = (0..3_000).map(|_| peer.reply().envelope.call).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..3_000));
    }
}
