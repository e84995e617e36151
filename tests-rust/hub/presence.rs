//! Who has registered: told to those who come later, and withdrawn when it goes.

use serde_json::{Value, json};

use crate::place::Place;

fn body(message: &[u8]) -> Value {
    let colon = message.iter().position(|byte| *byte == b':').unwrap();
    serde_json::from_slice(&message[colon + 1..]).unwrap()
}

const BEAT: &[u8] = br#"<hb>:{"s":"Web","d":null,"i":"0123456789abcdef","t":2000,"a":["get"]}"#;
const REGISTRATION: &[u8] = br#"<r>:{"s":"Web","a":["get"]}"#;

fn gone() -> Value {
    json!({"s": "Web", "d": null, "k": "gone", "i": "0123456789abcdef"})
}

#[test]
fn who_comes_late_learns_of_all_as_they_registered() {
    let place = Place::new();
    let mut original = place.push();
    original.send(br#"<r>:{"s": "Db", "a": ["save"]}"#);
    original.ping();
    let mut ours = place.push();
    ours.send(br#"<r>:{"s":"Web","a":[]}"#);
    ours.send(REGISTRATION);
    ours.send(b"<r>:\x81\xa1s of another format");
    ours.ping();
    for prefix in ["<r>", "", "<r>:"] {
        let mut late = place.sub(&[prefix]);
        let mut told = [late.message(), late.message(), late.message()];
        told.sort();
        assert_eq!(told[0], br#"<r>:{"s": "Db", "a": ["save"]}"#);
        assert_eq!(told[1], REGISTRATION);
        assert_eq!(told[2], b"<r>:\x81\xa1s of another format");
    }
    assert_eq!(place.server.stats().registrations, 3);
    // To one, not to all; and once, however many of its wishes cover it.
    let mut late = place.sub(&["<r>", "", "<r>:", "<b>"]);
    ours.send(b"<b>:1");
    let _ = [late.message(), late.message(), late.message()];
    assert_eq!(late.message(), b"<b>:1");
}

#[test]
fn who_it_is_that_registered_is_told_before_its_registration() {
    let place = Place::new();
    let mut push = place.push();
    push.send(BEAT);
    push.send(REGISTRATION);
    push.send(BEAT);
    push.ping();
    for prefixes in [&["<hb>:", "<r>:"][..], &[""]] {
        let mut late = place.sub(prefixes);
        assert_eq!(late.message(), BEAT);
        assert_eq!(late.message(), REGISTRATION);
    }
}

#[test]
fn who_wants_no_registrations_is_told_none() {
    let place = Place::new();
    let mut push = place.push();
    push.send(br#"<r>:{"s": "Db", "a": []}"#);
    push.ping();
    let mut late = place.sub(&["<b>", "<r>x", "Db"]);
    push.send(b"Db:1");
    assert_eq!(late.message(), b"Db:1");
}

#[test]
fn a_connection_that_ends_takes_its_services_along_and_says_so() {
    let place = Place::new();
    let mut watcher = place.sub(&["<p>:"]);
    let mut push = place.push();
    push.send(BEAT);
    push.send(REGISTRATION);
    push.send(br#"<r>:{"s":"Db","a":[]}"#);
    push.ping();
    drop(push);
    assert_eq!(body(&watcher.message()), gone());
    assert_eq!(body(&watcher.message()), json!({"s": "Db", "d": null, "k": "gone"}));
    let mut late = place.sub(&["<r>", "<x>"]);
    place.push().send(b"<x>");
    assert_eq!(late.message(), b"<x>", "no registration is told that has gone");
}

#[test]
fn a_beat_is_enough_to_be_known() {
    let place = Place::new();
    let mut watcher = place.sub(&["<p>:"]);
    let mut push = place.push();
    push.send(b"<r>:\x81 of another format");
    push.send(BEAT);
    push.ping();
    drop(push);
    assert_eq!(body(&watcher.message()), gone());
}

#[test]
fn who_says_that_it_goes_is_not_said_to_have_gone_once_more() {
    let place = Place::new();
    let mut watcher = place.sub(&["<p>:", "<x>"]);
    let mut push = place.push();
    push.send(BEAT);
    push.send(REGISTRATION);
    push.send(br#"<p>:{"s":"Web","d":null,"k":"gone","i":"0123456789abcdef"}"#);
    assert_eq!(body(&watcher.message()), gone());
    assert_eq!(place.server.stats().registrations, 0);
    drop(push);
    place.until(|stats| stats.publishers == 0);
    place.push().send(b"<x>");
    assert_eq!(watcher.message(), b"<x>");
}

#[test]
fn who_has_connected_anew_has_not_gone() {
    let place = Place::new();
    let mut watcher = place.sub(&["<p>:", "<x>"]);
    let (mut old, mut new) = (place.push(), place.push());
    for push in [&mut old, &mut new] {
        push.send(BEAT);
        push.send(REGISTRATION);
        push.ping();
    }
    drop(old);
    place.until(|stats| stats.publishers == 1);
    new.send(b"<x>");
    assert_eq!(watcher.message(), b"<x>");
    drop(new);
    assert_eq!(body(&watcher.message()), gone());
}
