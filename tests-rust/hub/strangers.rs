//! Callers that a hub must not let in, or must get rid of.

use std::io::Write;

use ironbridge::core::error::Code;
use ironbridge::core::secret::Secret;
use ironbridge::hub::endpoint::Endpoint;
use ironbridge::hub::limits::HubLimits;
use ironbridge::hub::server::Server;
use ironbridge::hub::zmtp::Role;

use crate::place::{Place, options, secret};
use crate::wire::{LONG, Stream};

/// Reads until the hub hangs up.
fn last_words(stream: &mut dyn Stream) -> Vec<u8> {
    stream.patience(LONG);
    let mut said = Vec::new();
    // A hub that hangs up with something unread resets the connection.
    if let Err(error) = stream.read_to_end(&mut said) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "the hub does not hang up");
    }
    said
}

#[test]
fn only_those_who_know_the_secret_get_in() {
    let place = Place::with(HubLimits::default(), Some(secret("a long and secret one")));
    let mut sub = place.sub(&[""]);
    place.push().send(b"hello");
    assert_eq!(sub.message(), b"hello");
    let other = secret("another");
    for (role, given) in
        [(Role::Push, None), (Role::Sub, None), (Role::Push, Some(&other)), (Role::Sub, Some(&other))]
    {
        let error = place.try_meet(role, given).map(drop).unwrap_err();
        assert!(error.message.contains("secret"), "{error}");
    }
    assert_eq!(place.until(|stats| stats.counts.refused.unauthorised == 4).counts.connections, 2);
    sub.ping();
}

#[test]
fn who_offers_a_secret_where_none_is_asked_for_is_told() {
    let place = Place::new();
    let given: Option<&Secret> = Some(&secret("needless"));
    let error = place.try_meet(Role::Push, given).map(drop).unwrap_err();
    assert!(error.code == Code::Authentication && error.message.contains("asks for no secret"), "{error}");
}

#[test]
fn sockets_of_the_wrong_kind_are_refused_with_the_reason() {
    let place = Place::new();
    for (door, role) in [(Role::Push, Role::Sub), (Role::Sub, Role::Push), (Role::Push, Role::Pull)] {
        let error = crate::wire::Wire::meet(place.knock(door), role, None, false).map(drop).unwrap_err();
        assert!(error.message.contains("endpoints"), "{error}");
    }
    place.until(|stats| stats.counts.refused.malformed == 3);
}

#[test]
fn other_protocols_and_mechanisms_are_hung_up_on() {
    let place = Place::new();
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9..12].copy_from_slice(&[0x7f, 3, 0]);
    for mechanism in ["PLAIN", "CURVE"] {
        greeting[12..17].copy_from_slice(mechanism.as_bytes());
        let mut stream = place.knock(Role::Push);
        stream.write_all(&greeting).unwrap();
        last_words(stream.as_mut());
    }
    let mut stream = place.knock(Role::Sub);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    last_words(stream.as_mut());
    place.until(|stats| stats.counts.refused.malformed == 3);
    let mut sub = place.sub(&[""]);
    place.push().send(b"still here");
    assert_eq!(sub.message(), b"still here");
}

#[test]
fn who_breaks_the_protocol_is_hung_up_on_and_nobody_else() {
    let place = Place::new();
    let mut sub = place.sub(&[""]);
    let mut wrong = place.push();
    wrong.send(b"before");
    wrong.stream.write_all(&[0x80, 1, 1]).unwrap();
    last_words(wrong.stream.as_mut());
    let mut greedy = place.push();
    greedy.stream.write_all(&[2, 0, 0, 0x40, 0, 0, 0, 0, 0]).unwrap();
    last_words(greedy.stream.as_mut());
    place.push().send(b"after");
    assert_eq!([sub.message(), sub.message()], [&b"before"[..], b"after"]);
    let refused = place.server.stats().counts.refused;
    assert_eq!((refused.malformed, refused.oversized), (1, 1));
}

#[test]
fn who_says_nothing_is_hung_up_on() {
    let limits =
        HubLimits { handshake_timeout: std::time::Duration::from_millis(20), ..HubLimits::default() };
    let place = Place::with(limits, None);
    last_words(place.knock(Role::Push).as_mut());
    place.until(|stats| stats.counts.refused.silent == 1);
}

#[test]
fn a_hub_that_is_open_to_other_machines_without_a_secret_says_so() {
    let place = Place::tcp();
    assert!(place.server.warnings().is_empty());
    let everywhere = Endpoint::parse("tcp://0.0.0.0:0").unwrap();
    let here = Endpoint::parse("tcp://127.0.0.1:0").unwrap();
    let open = Server::start(options(&everywhere, &here)).unwrap();
    assert!(open.warnings().len() == 1 && open.warnings()[0].contains("secret"), "{:?}", open.warnings());
    let mut closed = options(&everywhere, &here);
    closed.secret = Some(secret("a secret"));
    assert!(Server::start(closed).unwrap().warnings().is_empty());
}
