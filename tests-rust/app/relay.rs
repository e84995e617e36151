//! Messages between instances: what goes over the wire, and what becomes of it.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use ironbridge::app::relay::{Arrival, Config, Relay, names};
use ironbridge::core::deadline::Deadline;
use ironbridge::core::error::Code;
use ironbridge::core::net::TlsFiles;
use ironbridge::core::platform::socket::{Interest, wait};
use ironbridge::core::redis::Redis;

use super::server::{Peer, Server, commands};

const PATIENCE: Duration = Duration::from_secs(20);
const SECOND: Duration = Duration::from_secs(1);

fn connected() -> (Relay<u32>, Peer) {
    let server = Server::new();
    let config = Config {
        redis: Redis::new("127.0.0.1", server.port(), false, 0),
        tls: TlsFiles::default(),
        broadcasts: "b".into(),
        sends: "s".into(),
        max_message: 1000,
        max_waiting: 4000,
        timeout: 10 * SECOND,
        ping_interval: 5 * SECOND,
    };
    let welcoming = thread::spawn(|| server.welcome());
    let relay = Relay::connect(config, Deadline::after(PATIENCE)).unwrap();
    (relay, welcoming.join().unwrap())
}

/// Reads until so many messages have come.
fn heard(relay: &mut Relay<u32>, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < count {
        assert!(wait(relay.watched()[0], Interest::Readable, PATIENCE).unwrap());
        relay.read(|arrival| all.push(format!("{arrival:?}"))).unwrap();
    }
    all
}

/// Reads until so many answers have come.
fn answered(relay: &mut Relay<u32>, count: usize) -> Vec<(u32, Option<Code>)> {
    let mut all = Vec::new();
    while all.len() < count {
        assert!(wait(relay.watched()[1], Interest::Readable, PATIENCE).unwrap());
        relay.answers(|who, outcome| all.push((who, outcome.err().map(|error| error.code)))).unwrap();
    }
    all
}

#[test]
fn messages_are_published_in_the_original_s_form_and_answered_in_order() {
    let (mut relay, mut peer) = connected();
    relay.broadcast(b"\0raw", 1).unwrap();
    relay.send(&["a", "b"], b"{}", 2).unwrap();
    relay.send(&[""; 0], b"", 3).unwrap();
    assert!(relay.flush().unwrap());
    let wanted = b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nb\r\n$4\r\n\0raw\r\n\
                   *3\r\n$7\r\nPUBLISH\r\n$1\r\ns\r\n$6\r\na,b\0{}\r\n\
                   *3\r\n$7\r\nPUBLISH\r\n$1\r\ns\r\n$1\r\n\0\r\n";
    assert_eq!(commands(&mut peer.publishing, 3), wanted);
    assert_eq!(relay.waiters().copied().collect::<Vec<_>>(), [1, 2, 3]);
    peer.publishing.write_all(b":1\r\n-NOPERM no\r\n:0\r\n").unwrap();
    assert_eq!(answered(&mut relay, 3), [(1, None), (2, Some(Code::ServiceUnavailable)), (3, None)]);
    assert_eq!(relay.waiters().count(), 0);
}

#[test]
fn what_comes_is_for_all_or_for_rooms_and_what_cannot_be_read_is_told() {
    let (mut relay, mut peer) = connected();
    let mut said = Vec::new();
    for (channel, payload) in
        [("b", &b"a\0b"[..]), ("s", b"x,\xff,\0{\0}"), ("s", b"none"), ("b", &[0; 1001]), ("s", b"\0")]
    {
        let head = format!("*3\r\n$7\r\nmessage\r\n$1\r\n{channel}\r\n${}\r\n", payload.len());
        said.extend_from_slice(head.as_bytes());
        said.extend_from_slice(payload);
        said.extend_from_slice(b"\r\n");
    }
    peer.subscribed.write_all(&said).unwrap();
    let told = |arrivals: &[Arrival<'_>]| arrivals.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>();
    let wanted = told(&[
        Arrival::Message { rooms: None, payload: b"a\0b" },
        Arrival::Message { rooms: Some(b"x,\xff,"), payload: b"{\0}" },
        Arrival::Roomless(4),
        Arrival::Oversized(1001),
        Arrival::Message { rooms: Some(b""), payload: b"" },
    ]);
    assert_eq!(heard(&mut relay, 5), wanted);
    assert_eq!(names(b"x,\xff,").collect::<Vec<_>>(), ["x", "\u{fffd}", ""]);
}

#[test]
fn what_waits_is_bounded_and_one_message_may_always_be_sent() {
    let (mut relay, mut peer) = connected();
    assert_eq!(relay.broadcast(&[0; 1001], 0).unwrap_err().code, Code::Payload);
    for who in 0..3 {
        relay.broadcast(&[0; 1000], who).unwrap();
    }
    assert_eq!(relay.broadcast(&[0; 1000], 3).unwrap_err().code, Code::Overloaded);
    relay.flush().unwrap();
    peer.publishing.write_all(b":0\r\n").unwrap();
    answered(&mut relay, 1);
    relay.broadcast(&[0; 1000], 4).unwrap();
    assert_eq!(relay.end().collect::<Vec<_>>(), [1, 2, 4]);
}

#[test]
fn an_answer_that_takes_too_long_is_given_up_and_a_silent_redis_is_left() {
    let (mut relay, mut peer) = connected();
    let began = Instant::now();
    let watch = |relay: &mut Relay<u32>, seconds: u32| {
        let mut late = Vec::new();
        relay.watch(began + seconds * SECOND, |who| late.push(who)).map(|()| late)
    };
    // Nothing is owed, however long nobody has looked: it is asked whether it is there.
    assert_eq!(watch(&mut relay, 100).unwrap(), [0; 0]);
    assert_eq!(commands(&mut peer.publishing, 1), b"*1\r\n$4\r\nPING\r\n");
    assert_eq!(commands(&mut peer.subscribed, 1), b"*1\r\n$4\r\nPING\r\n");
    peer.publishing.write_all(b"+PONG\r\n").unwrap();
    peer.subscribed.write_all(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n").unwrap();
    assert!(wait(relay.watched()[0], Interest::Readable, PATIENCE).unwrap());
    relay.read(|arrival| panic!("{arrival:?}")).unwrap();
    assert!(wait(relay.watched()[1], Interest::Readable, PATIENCE).unwrap());
    relay.answers(|who, _| panic!("{who}")).unwrap();
    assert_eq!(watch(&mut relay, 101).unwrap(), [0; 0]);
    // One that answers others, but not this one, is slow: who waits is told, and it is kept.
    relay.broadcast(b"x", 7).unwrap();
    assert_eq!(watch(&mut relay, 102).unwrap(), [7]);
    assert_eq!(watch(&mut relay, 111).unwrap(), [0; 0]);
    assert_eq!(watch(&mut relay, 112).unwrap_err().code, Code::ConnectionLost);
}

#[test]
fn a_connection_that_ends_is_lost() {
    let (mut relay, peer) = connected();
    drop(peer);
    assert!(wait(relay.watched()[1], Interest::Readable, PATIENCE).unwrap());
    assert_eq!(relay.answers(|_, _| ()).unwrap_err().code, Code::ConnectionLost);
    assert_eq!(relay.read(|_| ()).unwrap_err().code, Code::ConnectionLost);
}
