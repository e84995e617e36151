//! Statistics: exact counts, percentiles to two digits, and one seam for everybody who looks on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ironbridge::core::error::Code;
use ironbridge::core::instances::CacheCounts;
use ironbridge::core::observe::{
    CallEvent, ConnectionEvent, DropReason, Histogram, Latency, Observer, Observers, Statistics,
};
use parking_lot::Mutex;
use proptest::prelude::*;

fn call(endpoint: usize) -> CallEvent {
    CallEvent { connection: 1, id: 7, endpoint }
}

fn near(reported_us: f64, nanos: u64) -> bool {
    let exact = nanos as f64 / 1e3;
    (reported_us - exact).abs() <= exact * 0.008 + 0.001
}

#[test]
fn an_empty_histogram_is_all_zeros() {
    assert_eq!(Histogram::default().latency(), Latency::default());
}

#[test]
fn percentiles_of_a_known_distribution() {
    let histogram = Histogram::default();
    for micros in 1..=1_000 {
        histogram.record(Duration::from_micros(micros));
    }
    let latency = histogram.latency();
    assert_eq!(latency.count, 1_000);
    assert!(near(latency.p50_us, 500_000), "{latency:?}");
    assert!(near(latency.p90_us, 900_000), "{latency:?}");
    assert!(near(latency.p99_us, 990_000), "{latency:?}");
    assert!((latency.mean_us - 500.5).abs() < 1e-9);
    assert!((latency.max_us - 1_000.0).abs() < 1e-9);
}

#[test]
fn durations_beyond_the_range_keep_an_exact_maximum() {
    let histogram = Histogram::default();
    histogram.record(Duration::from_secs(100_000));
    histogram.record(Duration::ZERO);
    let latency = histogram.latency();
    assert_eq!(latency.count, 2);
    assert!((latency.max_us - 1e11).abs() < 1.0);
    assert!(latency.p50_us.abs() < f64::EPSILON);
}

proptest! {
    #[test]
    fn every_percentile_is_within_a_percent(mut nanos in prop::collection::vec(0..1_u64 << 41, 1..200)) {
        let histogram = Histogram::default();
        nanos.iter().for_each(|nanos| histogram.record(Duration::from_nanos(*nanos)));
        nanos.sort_unstable();
        let rank = |percent: usize| nanos[(nanos.len() * percent).div_ceil(100).max(1) - 1];
        let latency = histogram.latency();
        prop_assert!(near(latency.p50_us, rank(50)), "{} {:?}", rank(50), latency);
        prop_assert!(near(latency.p90_us, rank(90)), "{} {:?}", rank(90), latency);
        prop_assert!(near(latency.p99_us, rank(99)), "{} {:?}", rank(99), latency);
        prop_assert!(latency.p50_us <= latency.p90_us && latency.p99_us <= latency.max_us);
    }
}

#[test]
fn counts_from_many_threads_add_up() {
    let statistics = Statistics::new(["a", "b"]);
    thread::scope(|scope| {
        for worker in 0..8_usize {
            let statistics = &statistics;
            scope.spawn(move || {
                for turn in 0..10_000_u64 {
                    let call = call(worker % 2);
                    statistics.started(call);
                    let code = if turn % 10 == 0 { Code::RemoteExecution } else { Code::Ok };
                    statistics.ended(call, code, Duration::from_nanos(turn));
                }
            });
        }
    });
    statistics.started(call(1));
    statistics.started(call(99));
    let snapshot = statistics.snapshot(CacheCounts::default());
    assert_eq!((snapshot.calls, snapshot.errors, snapshot.in_flight), (80_001, 8_000, 1));
    let (a, b) = (&snapshot.endpoints[0], &snapshot.endpoints[1]);
    assert_eq!((a.name.as_str(), a.calls, a.errors, a.in_flight), ("a", 40_000, 4_000, 0));
    assert_eq!((b.name.as_str(), b.calls, b.errors, b.in_flight), ("b", 40_001, 4_000, 1));
    assert_eq!((a.latency.count, b.latency.count), (40_000, 40_000));
}

#[test]
fn connections_and_drops_are_counted_by_what_happened() {
    let statistics = Statistics::new(["a"]);
    use ConnectionEvent::{Closed, Dropped, Opened, Refused};
    for (connection, event) in
        [(1, Opened), (2, Opened), (3, Opened), (4, Refused), (2, Dropped), (1, Closed)]
    {
        statistics.connection(connection, event);
    }
    use DropReason::{Cancelled, Deadline, Departed, Draining, Overloaded};
    for reason in [Overloaded, Overloaded, Deadline, Cancelled, Departed, Draining] {
        statistics.dropped(call(0), reason);
    }
    let snapshot = statistics.snapshot(CacheCounts { hits: 5, ..CacheCounts::default() });
    let connections = snapshot.connections;
    assert_eq!((connections.open, connections.accepted), (1, 3));
    assert_eq!((connections.refused, connections.dropped), (1, 1));
    let dropped = snapshot.dropped;
    assert_eq!((dropped.overloaded, dropped.deadline, dropped.cancelled), (2, 1, 1));
    assert_eq!((dropped.departed, dropped.draining), (1, 1));
    assert_eq!(snapshot.cache.hits, 5);
    assert_eq!(snapshot.calls, 0);
}

#[test]
fn a_snapshot_crosses_the_wire_as_a_map_with_names() {
    let statistics = Statistics::new(["hello"]);
    statistics.started(call(0));
    statistics.ended(call(0), Code::Ok, Duration::from_micros(5));
    let bytes = rmp_serde::to_vec_named(&statistics.snapshot(CacheCounts::default())).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    for name in ["uptime_s", "calls", "in_flight", "connections", "cache", "hits", "hello", "p99_us"] {
        assert!(text.contains(name), "{name}");
    }
}

#[derive(Default)]
struct Journal(Mutex<Vec<String>>);

impl Observer for Journal {
    fn accepted(&self, call: CallEvent) {
        self.0.lock().push(format!("accepted {}", call.id));
    }
    fn started(&self, call: CallEvent) {
        self.0.lock().push(format!("started {}", call.id));
    }
    fn ended(&self, call: CallEvent, code: Code, time: Duration) {
        self.0.lock().push(format!("ended {} {code:?} {time:?}", call.id));
    }
    fn dropped(&self, call: CallEvent, reason: DropReason) {
        self.0.lock().push(format!("dropped {} {reason:?}", call.id));
    }
    fn connection(&self, connection: u64, event: ConnectionEvent) {
        self.0.lock().push(format!("connection {connection} {event:?}"));
    }
}

#[test]
fn everybody_who_looks_on_sees_the_same() {
    let journal = Arc::new(Journal::default());
    let observers = Observers::new(Statistics::new(["a"]), vec![journal.clone(), journal.clone()]);
    observers.connection(1, ConnectionEvent::Opened);
    observers.accepted(call(0));
    observers.started(call(0));
    observers.ended(call(0), Code::Ok, Duration::from_secs(1));
    observers.dropped(call(0), DropReason::Departed);
    let expected = ["connection 1 Opened", "accepted 7", "started 7", "ended 7 Ok 1s", "dropped 7 Departed"];
    let expected: Vec<_> = expected.iter().flat_map(|line| [*line, *line]).collect();
    assert_eq!(*journal.0.lock(), expected);
    let snapshot = observers.statistics.snapshot(CacheCounts::default());
    assert_eq!((snapshot.calls, snapshot.dropped.departed, snapshot.connections.open), (1, 1, 1));
}
