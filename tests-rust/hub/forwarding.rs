//! What is pushed reaches those who want it, as it was.

use std::io::Write;

use ironbridge::hub::zmtp::{Role, cancel, message};

use crate::place::Place;

#[test]
fn a_message_reaches_those_who_want_its_beginning_and_nobody_else() {
    let place = Place::new();
    let mut db = place.sub(&["Db:", "<b>"]);
    let mut my_db = place.sub(&["MyDb:", "<b>"]);
    let mut all = place.sub(&[""]);
    let mut push = place.push();
    for text in ["Db:1", "MyDb:2", "x<b>:3", "<b>:4", ""] {
        push.send(text.as_bytes());
    }
    assert_eq!([db.message(), db.message()], [&b"Db:1"[..], b"<b>:4"]);
    assert_eq!([my_db.message(), my_db.message()], [&b"MyDb:2"[..], b"<b>:4"]);
    for text in ["Db:1", "MyDb:2", "x<b>:3", "<b>:4", ""] {
        assert_eq!(all.message(), text.as_bytes());
    }
    let stats = place.until(|stats| stats.counts.messages_out == 9);
    assert_eq!((stats.counts.messages_in, stats.counts.bytes_in, stats.counts.unwanted), (5, 21, 0));
    assert_eq!((stats.publishers, stats.subscribers.len()), (1, 3));
}

#[test]
fn each_gets_a_message_once_however_many_reasons_it_has() {
    let place = Place::new();
    let mut sub = place.sub(&["", "a", "ab", "ab"]);
    let mut push = place.push();
    push.send(b"abc");
    push.send(b"next");
    assert_eq!([sub.message(), sub.message()], [&b"abc"[..], b"next"]);
}

#[test]
fn a_wish_holds_until_it_is_taken_back_as_often_as_it_was_made() {
    let place = Place::new();
    let mut sub = place.sub(&["a", "a", "b"]);
    let mut push = place.push();
    let mut take_back = |prefix: &[u8]| {
        let mut out = Vec::new();
        cancel(&mut out, prefix);
        sub.stream.write_all(&out).unwrap();
        sub.ping();
    };
    take_back(b"a");
    take_back(b"b");
    take_back(b"never wanted");
    push.send(b"b1");
    push.send(b"a1");
    push.ping();
    take_back(b"a");
    push.send(b"a2");
    push.ping();
    let mut out = Vec::new();
    ironbridge::hub::zmtp::subscribe(&mut out, b"c");
    sub.stream.write_all(&out).unwrap();
    sub.ping();
    push.send(b"c1");
    assert_eq!([sub.message(), sub.message()], [&b"a1"[..], b"c1"]);
    assert_eq!(place.until(|stats| stats.counts.messages_in == 4).counts.unwanted, 2);
}

#[test]
fn messages_of_every_size_arrive_as_they_were_over_both_transports() {
    for place in [Place::new(), Place::tcp()] {
        let mut subs = [place.sub(&[""]), place.sub(&[""])];
        let mut push = place.push();
        let bodies: Vec<Vec<u8>> = [0, 1, 255, 256, 16_383, 16_384, 70_000, 3 << 20]
            .iter()
            .map(|size| (0..*size).map(|at: usize| u8::try_from(at % 251).unwrap()).collect())
            .collect();
        for body in &bodies {
            push.send(body);
            for sub in &mut subs {
                assert!(sub.message() == *body, "{} bytes came as others", body.len());
            }
        }
    }
}

#[test]
fn ten_thousand_messages_keep_their_order_however_they_are_cut() {
    let place = Place::new();
    let mut sub = place.sub(&[""]);
    let mut push = place.push();
    let mut bytes = Vec::new();
    for number in 0..10_000 {
        message(&mut bytes, &[format!("{number}:{}", "x".repeat(number % 400)).as_bytes()]);
    }
    let sending = std::thread::spawn(move || {
        for part in bytes.chunks(7_001) {
            push.stream.write_all(part).unwrap();
        }
        push
    });
    for number in 0..10_000 {
        let got = sub.message();
        assert_eq!(got, format!("{number}:{}", "x".repeat(number % 400)).as_bytes());
    }
    sending.join().unwrap();
}

#[test]
fn messages_of_several_frames_are_passed_over_and_counted() {
    let place = Place::new();
    let mut sub = place.sub(&[""]);
    let mut push = place.push();
    push.stream.write_all(&[1, 1, b'a', 1, 1, b'b', 0, 1, b'c']).unwrap();
    push.send(b"whole");
    assert_eq!(sub.message(), b"whole");
    assert_eq!(place.server.stats().counts.dropped_multipart, 1);
}

#[test]
fn pings_are_answered_at_both_doors() {
    let place = Place::new();
    for role in [Role::Push, Role::Sub] {
        place.try_meet(role, None).unwrap().ping();
    }
}

#[test]
fn what_waits_is_sent_before_the_hub_ends() {
    let mut place = Place::new();
    let mut sub = place.sub(&[""]);
    let mut push = place.push();
    let body = vec![b'x'; 100_000];
    for _ in 0..50 {
        push.send(&body);
    }
    push.ping();
    let reading = std::thread::spawn(move || (0..50).map(|_| sub.message().len()).sum::<usize>());
    place.server.stop(crate::wire::LONG);
    assert!(!place.server.is_running());
    assert_eq!(reading.join().unwrap(), 5_000_000);
    assert!(push.try_message().is_none());
}
