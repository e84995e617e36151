//! Who gets a name among processes, and what is left when they are killed.

use std::time::Duration;

use ironbridge::bridge::lease::Liveness;

use super::support::{Helper, Machine, PATIENCE, claimed, eventually, handshake, never, request};

const CROWD: usize = 100;

fn claim_all(helpers: &mut [Helper]) -> Vec<String> {
    helpers.iter_mut().for_each(|helper| helper.say("claim"));
    helpers.iter_mut().map(Helper::hear).collect()
}

#[test]
fn a_hundred_processes_at_once_leave_the_registry_correct() {
    let machine = Machine::new();
    // Some want a name of their own, some the same name for other classes, some for the same class.
    let mut own: Vec<_> = (0..40).map(|n| Helper::start(&machine, &format!("own-{n}"), "app:Own")).collect();
    let mut rivals: Vec<_> =
        (0..30).map(|n| Helper::start(&machine, "rival", &format!("app:R{n}"))).collect();
    let mut equals: Vec<_> = (0..30).map(|_| Helper::start(&machine, "equal", "app:Equal")).collect();
    assert_eq!(own.len() + rivals.len() + equals.len(), CROWD);
    for helper in own.iter_mut().chain(&mut rivals).chain(&mut equals) {
        helper.say("claim");
    }

    assert!(own.iter_mut().map(Helper::hear).all(|answer| answer == "claimed"));
    let answers: Vec<_> = rivals.iter_mut().map(Helper::hear).collect();
    let count = |answers: &[String], what: &str| answers.iter().filter(|answer| *answer == what).count();
    assert_eq!(count(&answers, "claimed"), 1, "{answers:?}");
    assert_eq!(count(&answers, "ServiceAlreadyExists"), 29, "{answers:?}");
    let answers: Vec<_> = equals.iter_mut().map(Helper::hear).collect();
    let winner = answers.iter().position(|answer| answer == "claimed").unwrap();
    let held = format!("held by {}", equals[winner].child.id());
    assert_eq!(count(&answers, &held), 29, "{answers:?}");

    let records = machine.registry.list().unwrap();
    assert_eq!(records.len(), 42);
    assert!(records.iter().all(|record| handshake(record, PATIENCE) == Liveness::Alive));
    assert_eq!(machine.files().len(), 84, "a lease and a socket each, and nothing else");

    // All are killed at once: every name is free at once, and nothing stays behind.
    for helper in own.iter_mut().chain(&mut rivals).chain(&mut equals) {
        helper.kill();
    }
    assert_eq!(machine.registry.list().unwrap(), []);
    assert_eq!(machine.files(), [""; 0]);
}

#[test]
fn the_name_of_a_killed_holder_is_free_at_once() {
    let machine = Machine::new();
    for _ in 0..5 {
        let mut helpers = [Helper::start(&machine, "counter", "app:A")];
        assert_eq!(claim_all(&mut helpers), ["claimed"]);
        helpers[0].kill();
        // Not even asked: its lock is free.
        let probe = |_: &_| panic!("asked a dead daemon");
        claimed(machine.registry.claim(request("counter", "app:B"), &probe, &never)).release();
    }
    assert_eq!(machine.files(), [""; 0]);
}

#[test]
fn a_forked_child_that_holds_lock_and_socket_does_not_keep_the_name() {
    let machine = Machine::new();
    let mut helper = Helper::start(&machine, "counter", "app:Old");
    assert_eq!(helper.ask("claim"), "claimed");
    assert_eq!(helper.ask("fork"), "forked");
    helper.kill();

    let record = machine.registry.find("counter").unwrap().remove(0);
    assert_eq!(record.pid, helper.child.id(), "the lock is held, though its taker is dead");
    let brief = |record: &_| handshake(record, Duration::from_millis(200));
    assert_eq!(brief(&record), Liveness::Unresponsive, "connecting succeeds, and nobody answers");
    let lease = claimed(machine.registry.claim(request("counter", "app:New"), &brief, &never));
    assert_eq!(machine.registry.find("counter").unwrap(), [lease.record().clone()]);
    assert_eq!(machine.files().len(), 2);
}

#[test]
fn a_forked_child_that_lets_go_leaves_the_lease_to_its_parent() {
    let machine = Machine::new();
    let mut helper = Helper::start(&machine, "counter", "app:A");
    assert_eq!(helper.ask("claim"), "claimed");
    for (command, answer) in [("abandon", "abandoned"), ("drop", "dropped")] {
        assert_eq!(helper.ask(command), answer);
        let record = machine.registry.find("counter").unwrap().remove(0);
        assert_eq!(handshake(&record, PATIENCE), Liveness::Alive, "after {command}");
    }
    // An orderly end removes both files.
    helper.end();
    assert_eq!(machine.files(), [""; 0]);
}

#[test]
fn a_program_that_a_daemon_starts_inherits_neither_lock_nor_socket() {
    let machine = Machine::new();
    let mut helper = Helper::start(&machine, "counter", "app:A");
    assert_eq!(helper.ask("claim"), "claimed");
    let record = machine.registry.find("counter").unwrap().remove(0);
    assert_eq!(helper.ask("spawn"), "spawned");
    helper.kill();
    // The system lets a spawner go on a moment before it closes the spawned program's copies.
    eventually(|| handshake(&record, Duration::from_millis(200)) == Liveness::Dead);
    eventually(|| machine.registry.find("counter").unwrap().is_empty());
}
