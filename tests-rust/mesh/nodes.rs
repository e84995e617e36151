//! Nodes that meet in memory, each driven by a thread of the test.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use ironbridge::core::error::{Code, Result};
use ironbridge::mesh::catalog::Change;
use ironbridge::mesh::link::Transporter;
use ironbridge::mesh::node::{
    Config, Delivery, FailureKind, Incoming, Key, Node, Outcome, Outgoing, OutgoingEvent, Reply, Transform,
};
use ironbridge::mesh::packet::Version;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const PATIENCE: Duration = Duration::from_secs(10);

/// Who waits for a call: its number in the test.
type Waiter = u32;

/// A node, the thread that drives it, and what it was given.
struct Driven {
    node: Arc<Node<Waiter>>,
    given: Receiver<Delivery<Waiter>>,
    over: Arc<AtomicBool>,
    driver: Option<JoinHandle<()>>,
}

impl Driven {
    fn start(config: Config, services: &str) -> Self {
        let (sender, given) = channel();
        let told: Sender<Delivery<Waiter>> = sender.clone();
        let node = Node::new(config, move |deliveries| {
            for delivery in deliveries {
                let _ = told.send(delivery);
            }
        })
        .unwrap();
        node.set_services(services.as_bytes(), &mut Vec::new());
        let over = Arc::new(AtomicBool::new(false));
        let (driven, ending) = (Arc::clone(&node), Arc::clone(&over));
        let driver = std::thread::spawn(move || {
            while !ending.load(Ordering::Relaxed) {
                let mut waited = [PollFd::from_borrowed_fd(driven.fd(), PollFlags::IN)];
                let moment = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
                poll(&mut waited, Some(&moment)).unwrap();
                let mut out = Vec::new();
                driven.pump(&mut out);
                out.into_iter().for_each(|delivery| drop(sender.send(delivery)));
            }
        });
        let (first, connected) = channel();
        node.start(move |outcome| drop(first.send(outcome))).unwrap();
        connected.recv_timeout(PATIENCE).unwrap().unwrap();
        node.announce().unwrap();
        Self { node, given, over, driver: Some(driver) }
    }

    /// The first thing from now on that `look` takes.
    fn wait<T>(&self, what: &str, mut look: impl FnMut(Delivery<Waiter>) -> Option<T>) -> T {
        loop {
            let delivery = self.given.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {what}"));
            if let Some(found) = look(delivery) {
                return found;
            }
        }
    }

    fn meet(&self, other: &str) {
        self.wait(other, |delivery| match delivery {
            Delivery::Change(Change::Connected { node, .. }) if &*node == other => Some(()),
            _ => None,
        });
    }

    fn request(&self) -> Incoming {
        self.wait("call", |delivery| match delivery {
            Delivery::Request(incoming) => Some(*incoming),
            _ => None,
        })
    }

    fn outcome(&self, waiter: Waiter) -> Outcome {
        self.wait("answer", |delivery| match delivery {
            Delivery::Reply(of, outcome) if of == waiter => Some(*outcome),
            _ => None,
        })
    }

    fn call(&self, action: &str, params: &str, waiter: Waiter, call: &Outgoing<'_>) -> u64 {
        let route = self.node.route(action, None, Key::Unknown).unwrap();
        let write = |out: &mut Vec<u8>| {
            out.extend_from_slice(params.as_bytes());
            Ok::<(), Infallible>(())
        };
        let number = self.node.call(&route, action, call, write, waiter).unwrap();
        self.node.flush();
        number
    }

    fn answer(&self, incoming: &Incoming, data: &str) {
        let write = |out: &mut Vec<u8>| {
            out.extend_from_slice(data.as_bytes());
            Ok::<(), Infallible>(())
        };
        self.node.reply(incoming.envelope.sender(), incoming.id(), &Reply::default(), Some(write)).unwrap();
        self.node.flush();
    }

    /// Returns when it has counted so many of something.
    fn count(&self, what: impl Fn(&Node<Waiter>) -> u64, at_least: u64) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while what(&self.node) < at_least {
            assert!(std::time::Instant::now() < deadline, "{:?}", self.node.counts().now());
            std::thread::yield_now();
        }
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.node.close(Duration::from_secs(1));
        self.node.join();
        self.over.store(true, Ordering::Relaxed);
        if let Some(driver) = self.driver.take() {
            driver.join().unwrap();
        }
    }
}

fn config(node: &str, place: &str) -> Config {
    let mut config = Config::new(node, &format!("run of {node}"), Transporter::Memory(place.to_owned()));
    config.limits.discovery = Duration::from_millis(50);
    config
}

const MATH: &str = r#"[{"name":"math","actions":{"math.add":{"name":"math.add"}},
    "events":{"sum.*":{"name":"sum.*"},"sum.**":{"name":"sum.**","group":"audit"}}}]"#;

/// Two nodes that know each other; the second serves.
fn pair(place: &str) -> (Driven, Driven) {
    let (one, other) =
        (Driven::start(config("one", place), "[]"), Driven::start(config("other", place), MATH));
    one.meet("other");
    (one, other)
}

#[test]
fn a_call_reaches_the_node_that_serves_it_and_its_answer_comes_back() {
    let (one, other) = pair("calls");
    one.call(
        "math.add",
        r#"{"a":1}"#,
        7,
        &Outgoing { meta: Some(br#"{"user":"bob"}"#), ..Outgoing::default() },
    );
    let incoming = other.request();
    assert_eq!(incoming.envelope.sender(), "one");
    assert_eq!(incoming.envelope.data(), Some(&br#"{"a":1}"#[..]));
    assert_eq!(incoming.envelope.meta(), Some(&br#"{"user":"bob"}"#[..]));
    assert_eq!(incoming.envelope.request_id(), Some(incoming.id()));
    other.answer(&incoming, "3");
    let Outcome::Result(answer) = one.outcome(7) else { panic!("no result") };
    assert_eq!((answer.sender(), answer.data()), ("other", Some(&b"3"[..])));
    assert_eq!(one.node.pending(), 0);
}

#[test]
fn a_call_ends_when_its_time_is_over_and_its_late_answer_is_counted() {
    let (one, other) = pair("late");
    one.call("math.add", "{}", 1, &Outgoing { timeout_ms: Some(50.0), ..Outgoing::default() });
    let incoming = other.request();
    let Outcome::Failed(failure) = one.outcome(1) else { panic!("it was answered") };
    assert_eq!((failure.kind, failure.node.as_deref()), (FailureKind::TimedOut, Some("other")));
    other.answer(&incoming, "3");
    one.count(|node| node.counts().now().orphans, 1);
}

#[test]
fn calls_of_a_node_that_leaves_are_rejected() {
    let (one, other) = pair("leaving");
    one.call("math.add", "{}", 1, &Outgoing::default());
    other.request();
    drop(other);
    let Outcome::Failed(failure) = one.outcome(1) else { panic!("it was answered") };
    assert_eq!((failure.kind, failure.node.as_deref()), (FailureKind::Rejected, Some("other")));
    let route = one.node.route("math.add", None, Key::Unknown);
    assert!(matches!(route.unwrap_err().kind, FailureKind::NotFound | FailureKind::NotAvailable));
}

#[test]
fn an_event_reaches_one_listener_of_each_group_once() {
    let (one, other) = pair("events");
    let told = OutgoingEvent {
        event: "sum.made",
        data: Some(b"[1,2]"),
        groups: &[],
        broadcast: false,
        meta: None,
        headers: None,
        level: 1,
        tracing: None,
        parent_id: None,
        request_id: None,
        caller: None,
        key: None,
    };
    let (here, _, sent) = one.node.tell_event(&told);
    sent.unwrap();
    one.node.flush();
    assert!(here.is_empty());
    let (mut groups, data) = other.wait("event", |delivery| match delivery {
        Delivery::Event(happened) => {
            let reached = happened.reached.iter().filter_map(|one| one.listener());
            let groups: Vec<String> = reached.map(|listener| listener.group.to_string()).collect();
            Some((groups, happened.envelope.data().map(<[u8]>::to_vec)))
        }
        _ => None,
    });
    groups.sort();
    assert_eq!((groups, data), (vec!["audit".to_owned(), "math".to_owned()], Some(b"[1,2]".to_vec())));
}

#[test]
fn the_parts_of_a_stream_are_given_in_order_whatever_order_they_come_in() {
    let (one, other) = pair("streams");
    one.call("math.add", "null", 1, &Outgoing { stream: true, id: Some("s-1"), ..Outgoing::default() });
    for (seq, more, part) in [(2, true, r#""b""#), (3, false, "null"), (1, true, r#""a""#)] {
        one.node.call_part("other", "s-1", "math.add", seq, more, part.as_bytes(), None).unwrap();
    }
    one.node.flush();
    let incoming = other.request();
    let stream = incoming.stream.unwrap();
    let mut parts = Vec::new();
    other.wait("end of the stream", |delivery| match delivery {
        Delivery::Chunk(chunk) if chunk.stream == stream => {
            parts.extend(chunk.data().filter(|data| *data != b"null").map(<[u8]>::to_vec));
            chunk.end.then_some(())
        }
        _ => None,
    });
    assert_eq!(parts, [br#""a""#.to_vec(), br#""b""#.to_vec()]);
}

#[test]
fn another_node_with_the_same_id_is_counted_and_does_no_harm() {
    let (one, _other) = pair("conflict");
    let mut twin = config("one", "conflict");
    twin.instance_id = "another run".to_owned();
    let twin = Driven::start(twin, "[]");
    one.count(|node| node.counts().now().conflicts, 1);
    drop(twin);
    assert!(one.node.is_connected());
}

#[derive(Debug)]
struct Garbling;

impl Transform for Garbling {
    fn outgoing(&self, _: &str, packet: &[u8]) -> Result<Vec<u8>> {
        Ok(packet.iter().rev().copied().collect())
    }

    fn incoming(&self, _: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        Ok(bytes.to_vec())
    }
}

#[test]
fn packets_that_cannot_be_read_and_those_of_another_protocol_are_counted_and_calls_go_on() {
    let (one, other) = pair("strangers");
    let mut garbling = config("garbling", "strangers");
    garbling.transform = Some(Arc::new(Garbling));
    let newer = Config { version: Version::V5, ..config("newer", "strangers") };
    let (_garbling, _newer) = (Driven::start(garbling, "[]"), Driven::start(newer, "[]"));
    one.count(|node| node.counts().now().unread, 4);
    assert!(one.node.registry(|catalog| catalog.node("newer").is_none()));
    one.call("math.add", "{}", 2, &Outgoing::default());
    other.answer(&other.request(), "3");
    assert!(matches!(one.outcome(2), Outcome::Result(_)));
}

#[test]
fn a_packet_over_the_bound_is_refused_and_nothing_waits_for_it() {
    let mut small = config("one", "bounds");
    small.limits.max_packet = 4096;
    let one = Driven::start(small, "[]");
    let _other = Driven::start(config("other", "bounds"), MATH);
    one.meet("other");
    let route = one.node.route("math.add", None, Key::Unknown).unwrap();
    let write = |out: &mut Vec<u8>| {
        out.extend_from_slice(format!("\"{}\"", "x".repeat(5000)).as_bytes());
        Ok::<(), Infallible>(())
    };
    let refused = one.node.call(&route, "math.add", &Outgoing::default(), write, 1).unwrap_err();
    assert!(matches!(refused, ironbridge::mesh::node::Unsent::Refused(error) if error.code == Code::Payload));
    assert_eq!(one.node.pending(), 0);
}
