//! A hub that fails at each moment of joining and after, and the service that joins again.

use std::io::Write;
use std::time::{Duration, Instant};

use ironbridge::core::error::{Code, Error};
use ironbridge::hub::member::{Member, Notice};

use crate::fake_hub::{FakeHub, LONG, Told, hear_out};

fn refused(told: &mut Told<'_>) -> Error {
    match told.next() {
        Notice::NotJoined { error, fatal: false } => error,
        other => panic!("{other:?}"),
    }
}

fn lost(told: &mut Told<'_>) -> (Error, u64) {
    match told.next() {
        Notice::Lost { error, sent } => (error, sent),
        other => panic!("{other:?}"),
    }
}

/// What a hub does instead of its duty, and the code that it is told by.
fn and_then_it_joins(change: fn(&mut ironbridge::hub::member::Config), fail: fn(&FakeHub), code: Code) {
    let hub = FakeHub::new();
    let member = hub.member(change);
    let mut told = Told::of(&member);
    fail(&hub);
    let error = refused(&mut told);
    assert_eq!(error.code, code, "{error}");
    let _wires = hub.admit();
    told.joined();
}

#[test]
fn a_hub_that_closes_at_once_is_tried_again() {
    and_then_it_joins(|_| {}, |hub| drop(hub.knock_push()), Code::ServiceUnavailable);
}

#[test]
fn a_hub_that_closes_within_its_greeting_is_tried_again() {
    let half = |hub: &FakeHub| hub.knock_push().write_all(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03").unwrap();
    and_then_it_joins(|_| {}, half, Code::ServiceUnavailable);
}

#[test]
fn a_hub_that_speaks_something_else_is_tried_again() {
    let other = |hub: &FakeHub| {
        let mut caller = hub.knock_push();
        // It may have hung up in the middle.
        let _ = caller.write_all(&b"HTTP/1.1 400 Bad Request\r\n\r\n".repeat(4));
        // Until it has.
        let _ = std::io::copy(&mut caller, &mut std::io::sink());
    };
    and_then_it_joins(|_| {}, other, Code::Protocol);
}

#[test]
fn a_hub_that_says_nothing_is_given_up_in_time() {
    let silent = |hub: &FakeHub| {
        let mut caller = hub.knock_push();
        let _ = std::io::copy(&mut caller, &mut std::io::sink());
    };
    and_then_it_joins(
        |config| config.handshake_timeout = Duration::from_millis(300),
        silent,
        Code::ServiceUnavailable,
    );
}

#[test]
fn a_hub_that_closes_after_both_handshakes_is_tried_again() {
    and_then_it_joins(|_| {}, |hub| drop(hub.meet()), Code::ServiceUnavailable);
}

#[test]
fn two_endpoints_that_are_not_of_one_hub_are_told() {
    let hub = FakeHub::new();
    let member = hub.member(|config| config.handshake_timeout = Duration::from_secs(1));
    let mut told = Told::of(&member);
    // Echoes go in, and nothing comes out.
    let _wires = hub.meet();
    let error = refused(&mut told);
    assert!(error.message.contains("two ends of one hub"), "{error}");
}

#[test]
fn a_message_over_the_bound_before_the_echo_is_told() {
    let hub = FakeHub::new();
    let member = hub.member(|config| config.max_message = 100);
    let mut told = Told::of(&member);
    let (_push, mut sub) = hub.meet();
    sub.send(&[b'x'; 1000]);
    assert_eq!(refused(&mut told).code, Code::Payload);
}

#[test]
fn what_comes_before_the_echo_is_heard_after_it() {
    let hub = FakeHub::new();
    let member = hub.member(|_| {});
    let mut told = Told::of(&member);
    let (mut push, mut sub) = hub.meet();
    let echo = push.message();
    sub.send(b"early");
    sub.send(&echo);
    sub.send(b"late");
    let mut inbound = told.joined();
    drop((push, sub));
    let heard = hear_out(&mut inbound);
    assert_eq!(heard.first().map(Vec::as_slice), Some(&b"early"[..]));
    assert_eq!(heard.last().map(Vec::as_slice), Some(&b"late"[..]));
}

#[test]
fn half_a_message_at_the_end_is_not_heard() {
    let hub = FakeHub::new();
    let member = hub.member(|_| {});
    let mut told = Told::of(&member);
    let (push, mut sub) = hub.admit();
    let mut inbound = told.joined();
    sub.send(b"whole");
    sub.stream.write_all(b"\0\x0ahalf").unwrap();
    drop((push, sub));
    assert_eq!(hear_out(&mut inbound).last().map(Vec::as_slice), Some(&b"whole"[..]));
}

/// Adds a message; `true` is what it takes to have left.
fn say(member: &Member, message: &[u8]) {
    member.outbox().add(message);
    member.flush();
}

#[test]
fn a_lost_push_connection_is_noticed_and_what_waits_goes_to_the_next_hub() {
    let hub = FakeHub::new();
    let member = hub.member(|_| {});
    let mut told = Told::of(&member);
    let (mut push, sub) = hub.admit();
    told.joined();
    say(&member, b"first");
    assert_eq!(push.message(), b"first");
    // The other connection stays.
    drop(push);
    let (error, sent) = lost(&mut told);
    assert_eq!((error.code, sent), (Code::ConnectionLost, 1));
    say(&member, b"second");
    let (mut push, _sub) = hub.admit();
    assert_eq!(push.message(), b"second");
    told.joined();
    drop(sub);
}

#[test]
fn a_lost_subscription_ends_the_push_connection_too() {
    let hub = FakeHub::new();
    let member = hub.member(|_| {});
    let mut told = Told::of(&member);
    let (push, sub) = hub.admit();
    let mut inbound = told.joined();
    drop(sub);
    hear_out(&mut inbound);
    member.ended(inbound.session);
    assert_eq!(lost(&mut told).0.code, Code::ConnectionLost);
    let (mut next, _sub) = hub.admit();
    let second = told.joined();
    assert!(second.session > inbound.session);
    // News of the old one does not end the new one.
    member.ended(inbound.session);
    say(&member, b"still here");
    drop(push);
    assert_eq!(next.message(), b"still here");
    assert_eq!(member.outbox().sent(), 1);
}

#[test]
fn stopping_is_quick_at_each_moment() {
    let hub = FakeHub::new();
    let quick = |member: Member| {
        let begun = Instant::now();
        member.stop();
        assert!(begun.elapsed() < LONG / 10, "{:?}", begun.elapsed());
    };
    let member = hub.member(|_| {});
    let _silent = hub.knock_push();
    quick(member);
    let member = hub.member(|_| {});
    let _met = hub.meet();
    quick(member);
    let member = hub.member(|_| {});
    let _admitted = hub.admit();
    Told::of(&member).joined();
    quick(member);
}

#[test]
fn notices_that_nobody_takes_do_not_become_ever_more() {
    let hub = FakeHub::new();
    let member = hub.member(|_| {});
    // Each admission is two notices: it came, and it was lost.
    for _ in 0..32 {
        drop(hub.admit());
    }
    let mut told = Told::of(&member);
    let first: Vec<Notice> = (0..64).map(|_| told.next()).collect();
    assert_eq!(first.iter().filter(|notice| matches!(notice, Notice::Joined { .. })).count(), 32);
    // It has waited for them to be taken.
    let _wires = hub.admit();
    told.joined();
}
