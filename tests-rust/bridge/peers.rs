//! Peers that are strange, silent, slow, or gone.

use std::time::Duration;

use ironbridge::bridge::frame::MAGIC;
use ironbridge::bridge::hello::{Hello, Lane, Mode};
use ironbridge::core::error::Code;
use ironbridge::core::limits::Limits;
use serde_bytes::ByteBuf;

use crate::host::Event;
use crate::place::{Place, Plan, Served};
use crate::raw::{Raw, good_hello, hello_bytes};

const GATE: u16 = 3;
const FLOOD: u16 = 5;
const SHORT: Duration = Duration::from_millis(100);

fn refused(served: &Served, hello: &Hello) -> Code {
    let mut peer = Raw::silent(&served.service.record.socket);
    peer.send(&hello_bytes(hello));
    peer.refusal().code
}

#[test]
fn a_hello_that_means_somebody_else_is_refused() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let hello = good_hello(&served);
    let nonce = Some(ByteBuf::from(*b"sixteen bytes ok"));
    assert_eq!(refused(&served, &Hello { nonce, ..hello.clone() }), Code::ServiceUnavailable);
    let service = "another".to_owned();
    assert_eq!(refused(&served, &Hello { service, ..hello.clone() }), Code::ServiceNotFound);
    assert_eq!(refused(&served, &Hello { versions: (2, 9), ..hello.clone() }), Code::Protocol);
    assert_eq!(refused(&served, &Hello { versions: (0, 0), ..hello }), Code::Protocol);
}

#[test]
fn what_speaks_another_protocol_is_told_so_at_its_first_bytes() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    for bytes in [b"GET / HTTP/1.1\r\n".as_slice(), b"iron!", b"\0\0\0\0\0\0\0\0"] {
        let mut peer = Raw::silent(&served.service.record.socket);
        peer.send(bytes);
        assert_eq!(peer.refusal().code, Code::Protocol);
    }
}

#[test]
fn a_hello_in_single_bytes_is_understood() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let mut peer = Raw::silent(&served.service.record.socket);
    for byte in hello_bytes(&good_hello(&served)) {
        peer.send(&[byte]);
    }
    assert_eq!(peer.next().unwrap().kind, ironbridge::bridge::frame::Kind::Welcome);
}

#[test]
fn a_silent_handshake_is_dropped() {
    let place = Place::new();
    let limits = Limits { handshake_timeout: SHORT, ..Limits::default() };
    let served = place.serve(Plan { limits, ..Plan::default() });
    let hello = hello_bytes(&good_hello(&served));
    for said in [&[][..], &MAGIC[..], &hello[..hello.len() - 1]] {
        let mut peer = Raw::silent(&served.service.record.socket);
        peer.send(said);
        assert!(peer.next().is_none());
    }
}

#[test]
fn many_silent_peers_keep_nobody_out() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let silent: Vec<_> = (0..200).map(|_| Raw::silent(&served.service.record.socket)).collect();
    assert_eq!(place.client().call("echo", b"me"), b"me");
    drop(silent);
}

#[test]
fn a_frame_that_stays_half_sent_ends_its_connection() {
    let place = Place::new();
    let limits = Limits { stall_timeout: SHORT, ..Limits::default() };
    let served = place.serve(Plan { limits, ..Plan::default() });
    for (mode, lane) in
        [(Mode::OneCall, Lane::Plain), (Mode::Multiplexed, Lane::Plain), (Mode::Multiplexed, Lane::Coroutine)]
    {
        let mut peer = Raw::welcome(&served, mode, lane);
        peer.send(&[100, 0, 0, 0, 7]);
        assert!(peer.next().is_none());
    }
    assert_eq!(place.client().call("echo", b"others"), b"others");
}

#[test]
fn an_idle_connection_is_left_alone() {
    let place = Place::new();
    let limits = Limits { stall_timeout: SHORT, ..Limits::default() };
    let served = place.serve(Plan { limits, ..Plan::default() });
    let mut idle = Raw::multiplexed(&served);
    // Longer than another needs to be dropped.
    let mut half = Raw::multiplexed(&served);
    half.send(&[100]);
    assert!(half.next().is_none());
    idle.request(1, 0, b"there");
    assert_eq!(idle.reply().payload, b"there");
}

#[test]
fn a_peer_that_does_not_read_is_dropped_and_holds_no_thread() {
    let place = Place::new();
    let limits = Limits { stall_timeout: SHORT, max_frame: 2 << 20, ..Limits::default() };
    let served = place.serve(Plan { threads: 2, limits, ..Plan::default() });
    let client = place.client();
    for mode in [Mode::Multiplexed, Mode::OneCall] {
        let mut deaf = Raw::welcome(&served, mode, Lane::Plain);
        let before = served.count("/connections/dropped");
        for call in 0..30 {
            deaf.request(call, FLOOD, b"");
        }
        // Both workers are free for others all the while.
        while served.count("/connections/dropped") == before {
            assert_eq!(client.call("echo", b"others"), b"others");
        }
    }
}

#[test]
fn a_peer_that_goes_leaves_no_work_behind() {
    let place = Place::new();
    let served = place.serve(Plan { threads: 2, ..Plan::default() });
    for _ in 0..20 {
        let mut peer = Raw::multiplexed(&served);
        peer.request(1, GATE, b"running");
        served.expect(&Event::Began(b"running".to_vec()));
        drop(peer);
        served.expect(&Event::GivenUp(b"running".to_vec()));
    }
    served.stop();
    assert_eq!(served.count("/in_flight"), 0);
}

#[test]
fn calls_that_wait_when_their_caller_goes_never_run() {
    let place = Place::new();
    let served = place.serve(Plan { threads: 1, ..Plan::default() });
    let mut busy = Raw::multiplexed(&served);
    busy.request(1, GATE, b"busy");
    served.expect(&Event::Began(b"busy".to_vec()));
    let mut gone = Raw::multiplexed(&served);
    for call in 0..10 {
        gone.request(call, GATE, b"never");
    }
    gone.request(99, ironbridge::bridge::frame::builtin::STATS, b"");
    gone.reply();
    drop(gone);
    while served.count("/connections/open") > 1 {
        std::thread::yield_now();
    }
    served.host.open_gate();
    assert_eq!(busy.reply().payload, b"busy");
    busy.request(2, 0, b"");
    busy.reply();
    assert_eq!(served.so_far(), []);
    assert_eq!(served.count("/dropped/departed"), 10);
}
