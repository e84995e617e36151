//! Who gets a name, within one process.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ironbridge::bridge::lease::{LeaseRecord, Liveness, State};
use ironbridge::bridge::registry::{Claim, ClaimRequest};
use ironbridge::core::deadline::Deadline;
use ironbridge::core::error::Code;
use ironbridge::core::platform::lock::PathLock;

use super::support::{Machine, PATIENCE, alive, claimed, dead, never, request};

#[test]
fn one_of_many_threads_gets_the_name() {
    let machine = Machine::new();
    let start = Barrier::new(32);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let claim = |number: usize| {
            let (machine, start) = (&machine, &start);
            scope.spawn(move || {
                start.wait();
                machine.registry.claim(request("counter", &format!("app:Class{number}")), &alive, &never)
            })
        };
        let running: Vec<_> = (0..32).map(claim).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let winners = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Claim::Claimed(_)))).count();
    assert_eq!(winners, 1);
    for outcome in outcomes {
        if let Err(error) = outcome {
            assert_eq!(error.code, Code::ServiceAlreadyExists, "{error}");
        }
    }
}

#[test]
fn a_lease_is_found_with_all_it_says_and_gone_after_its_release() {
    let machine = Machine::new();
    let wish =
        ClaimRequest { tcp: Some("127.0.0.1:7000".into()), detached: true, ..request("a b/ç.d", "app:A") };
    let lease = claimed(machine.registry.claim(wish, &alive, &never));
    assert_eq!(machine.registry.find("a b/ç.d").unwrap(), [lease.record().clone()]);
    assert_eq!(machine.registry.list().unwrap(), [lease.record().clone()]);
    assert_eq!(machine.registry.find("a b").unwrap(), []);
    assert_eq!(lease.record().pid, std::process::id());
    assert!(lease.record().detached && lease.record().tcp.as_deref() == Some("127.0.0.1:7000"));
    assert_eq!(machine.files().len(), 2, "a lease and a socket");
    lease.release();
    assert_eq!(machine.registry.list().unwrap(), []);
    assert_eq!(machine.files(), [""; 0]);
}

#[test]
fn another_class_is_told_who_holds_the_name_and_what_to_do() {
    let machine = Machine::new();
    let _lease = claimed(machine.registry.claim(request("counter", "app:Counter"), &alive, &never));
    let error = machine.registry.claim(request("counter", "app:Other"), &alive, &never).unwrap_err();
    assert_eq!(error.code, Code::ServiceAlreadyExists);
    for part in ["app:Counter", &std::process::id().to_string(), "`ironbridge stop counter`"] {
        assert!(error.message.contains(part), "{error}");
    }
}

#[test]
fn the_same_class_attaches_to_the_live_daemon() {
    let machine = Machine::new();
    let lease = claimed(machine.registry.claim(request("counter", "app:Counter"), &alive, &never));
    match machine.registry.claim(request("counter", "app:Counter"), &alive, &never) {
        Ok(Claim::Held(record)) => assert_eq!(&record, lease.record()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn workers_of_one_group_share_the_name_and_others_do_not_join_them() {
    let machine = Machine::new();
    let worker = |group: u8, number: u16, identity: &str| ClaimRequest {
        group: Some([group; 16]),
        worker: number,
        workers: 3,
        ..request("pool", identity)
    };
    // In any order: a lease is found by worker.
    let claim = |number| claimed(machine.registry.claim(worker(1, number, "app:Pool"), &alive, &never));
    let leases = [claim(2), claim(0), claim(1)];
    let found: Vec<u16> = machine.registry.find("pool").unwrap().iter().map(|r| r.worker).collect();
    assert_eq!(found, [0, 1, 2]);
    let stranger = machine.registry.claim(worker(2, 0, "app:Pool"), &alive, &never);
    assert!(matches!(stranger, Ok(Claim::Held(_))));
    let impostor = machine.registry.claim(worker(1, 3, "app:Other"), &alive, &never).unwrap_err();
    assert_eq!(impostor.code, Code::ServiceAlreadyExists);
    drop(leases);
    assert_eq!(machine.registry.find("pool").unwrap(), []);
}

#[test]
fn a_draining_daemon_is_found_last_and_does_not_keep_its_name() {
    let machine = Machine::new();
    let mut old = claimed(machine.registry.claim(request("counter", "app:Counter"), &alive, &never));
    old.set_draining().unwrap();
    assert_eq!(machine.registry.find("counter").unwrap()[0].state, State::Draining);
    let new = claimed(machine.registry.claim(request("counter", "app:Counter"), &alive, &never));
    let found = machine.registry.find("counter").unwrap();
    assert_eq!(found, [new.record().clone(), old.record().clone()]);
    old.release();
    assert_eq!(machine.registry.find("counter").unwrap(), [new.record().clone()]);
}

#[test]
fn a_held_lock_without_an_answer_does_not_keep_a_name() {
    let machine = Machine::new();
    for silence in [Liveness::Dead, Liveness::Unresponsive] {
        let old = claimed(machine.registry.claim(request("counter", "app:Old"), &dead, &never));
        let new = claimed(machine.registry.claim(request("counter", "app:New"), &|_| silence, &never));
        assert_eq!(machine.registry.find("counter").unwrap(), [new.record().clone()]);
        // The old daemon's release must not harm the new one.
        old.release();
        assert_eq!(machine.registry.find("counter").unwrap(), [new.record().clone()]);
    }
}

#[test]
fn each_silent_holder_is_asked_once_and_never_under_the_lock() {
    let machine = Machine::new();
    let _old = claimed(machine.registry.claim(request("counter", "app:Old"), &dead, &never));
    let asked = parking_lot::Mutex::new(0);
    let probe = |_: &LeaseRecord| {
        *asked.lock() += 1;
        assert!(!machine.files().contains(&"counter.lock".to_owned()));
        Liveness::Unresponsive
    };
    let _new = claimed(machine.registry.claim(request("counter", "app:New"), &probe, &never));
    assert_eq!(*asked.lock(), 1);
}

#[test]
fn a_signal_ends_the_wait_for_a_name_that_others_keep_locked() {
    let machine = Machine::new();
    let path = machine.registry.directory().unwrap().join("counter.lock");
    let _held = PathLock::acquire(&path, Deadline::after(PATIENCE), &never).unwrap().unwrap();
    let looks = AtomicUsize::new(0);
    let third = || looks.fetch_add(1, Ordering::Relaxed) >= 2;
    let began = Instant::now();
    let error = machine.registry.claim(request("counter", "app:A"), &alive, &third).unwrap_err();
    assert_eq!(error.code, Code::Cancelled);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn a_signal_while_a_holder_is_asked_harms_nobody() {
    let machine = Machine::new();
    let holder = claimed(machine.registry.claim(request("counter", "app:A"), &alive, &never));
    // It was given no time to answer.
    let error = machine.registry.claim(request("counter", "app:B"), &dead, &|| true).unwrap_err();
    assert_eq!(error.code, Code::Cancelled);
    assert_eq!(machine.registry.find("counter").unwrap(), [holder.record().clone()]);
}

#[test]
fn names_that_cannot_be_are_refused() {
    let machine = Machine::new();
    for name in [String::new(), "x".repeat(1025)] {
        let error = machine.registry.claim(request(&name, "app:A"), &alive, &never).unwrap_err();
        assert_eq!(error.code, Code::Configuration);
    }
    let long = "é".repeat(512);
    let lease = claimed(machine.registry.claim(request(&long, "app:A"), &alive, &never));
    assert_eq!(machine.registry.find(&long).unwrap(), [lease.record().clone()]);
}
