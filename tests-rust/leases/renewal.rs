//! A lease that vanished is written again, unless somebody else has the name by then.

use std::fs;
use std::os::unix::net::UnixStream;

use ironbridge::bridge::lease::{Lease, Renewal};
use ironbridge::bridge::registry::Registry;
use ironbridge::core::error::Code;
use ironbridge::core::platform::directory::Places;

use super::support::{Machine, alive, claimed, make_directory, never, private_directory, request};

fn reachable(lease: &Lease) -> bool {
    let connected = UnixStream::connect(&lease.record().socket).is_ok();
    connected && lease.listener().accept().is_ok()
}

#[test]
fn a_lease_in_place_is_left_alone() {
    let machine = Machine::new();
    let mut lease = claimed(machine.registry.claim(request("counter", "app:A"), &alive, &never));
    let before = lease.record().clone();
    assert!(matches!(lease.refresh(&alive).unwrap(), Renewal::Intact));
    assert_eq!(lease.record(), &before);
}

#[test]
fn a_vanished_lease_file_is_written_again_for_the_same_socket() {
    let machine = Machine::new();
    let mut lease = claimed(machine.registry.claim(request("counter", "app:A"), &alive, &never));
    for _ in 0..2 {
        fs::remove_file(lease.record().lease_path(&machine.directory)).unwrap();
        assert!(!lease.is_intact());
        assert_eq!(machine.registry.find("counter").unwrap(), []);
        assert!(matches!(lease.refresh(&alive).unwrap(), Renewal::Written));
        assert_eq!(machine.registry.find("counter").unwrap(), [lease.record().clone()]);
        assert!(lease.is_intact() && reachable(&lease));
    }
    lease.release();
    assert_eq!(machine.files(), [""; 0]);
}

#[test]
fn a_vanished_socket_is_bound_again() {
    let machine = Machine::new();
    let mut lease = claimed(machine.registry.claim(request("counter", "app:A"), &alive, &never));
    let waiting = UnixStream::connect(&lease.record().socket).unwrap();
    fs::remove_file(&lease.record().socket).unwrap();
    let Renewal::Bound { previous } = lease.refresh(&alive).unwrap() else { panic!("not bound") };
    previous.accept().unwrap();
    drop(waiting);
    assert_eq!(machine.registry.find("counter").unwrap(), [lease.record().clone()]);
    assert!(reachable(&lease));
    lease.release();
    assert_eq!(machine.files(), [""; 0]);
}

#[test]
fn an_emptied_and_a_removed_directory_are_filled_again() {
    let machine = Machine::new();
    let mut lease = claimed(machine.registry.claim(request("counter", "app:A"), &alive, &never));
    let nonce = lease.record().nonce;
    for remake in [true, false] {
        fs::remove_dir_all(&machine.directory).unwrap();
        if remake {
            make_directory(&machine.directory, 0o700);
        }
        assert!(matches!(lease.refresh(&alive).unwrap(), Renewal::Bound { .. }));
        assert_eq!(lease.record().nonce, nonce, "the daemon is the same");
        assert_eq!(machine.registry.find("counter").unwrap(), [lease.record().clone()]);
        assert!(reachable(&lease));
    }
}

#[test]
fn after_logout_the_lease_moves_to_the_fallback() {
    let root = private_directory();
    let (session, fallback) = (root.path().join("session"), root.path().join("fallback"));
    make_directory(&session, 0o700);
    let registry = Registry::at(Places::Usual { session: session.clone(), fallback: fallback.clone() });
    let mut lease = claimed(registry.claim(request("counter", "app:A"), &alive, &never));
    assert!(lease.record().socket.starts_with(&session));
    fs::remove_dir_all(&session).unwrap();
    assert!(matches!(lease.refresh(&alive).unwrap(), Renewal::Bound { .. }));
    assert!(lease.record().socket.starts_with(&fallback));
    assert!(reachable(&lease));
    assert_eq!(registry.find("counter").unwrap(), [lease.record().clone()]);
}

#[test]
fn who_lost_the_name_meanwhile_is_told() {
    let machine = Machine::new();
    let mut first = claimed(machine.registry.claim(request("counter", "app:A"), &alive, &never));
    fs::remove_dir_all(&machine.directory).unwrap();
    let second = claimed(machine.registry.claim(request("counter", "app:A"), &alive, &never));
    let error = first.refresh(&alive).unwrap_err();
    assert_eq!(error.code, Code::ServiceAlreadyExists);
    assert_eq!(machine.registry.find("counter").unwrap(), [second.record().clone()]);
    // When the other is gone, the first may have it again.
    second.release();
    assert!(matches!(first.refresh(&alive).unwrap(), Renewal::Bound { .. }));
    assert!(reachable(&first));
}

#[test]
fn a_draining_daemon_does_not_come_back() {
    let machine = Machine::new();
    let mut lease = claimed(machine.registry.claim(request("counter", "app:A"), &alive, &never));
    lease.set_draining().unwrap();
    fs::remove_dir_all(&machine.directory).unwrap();
    assert!(matches!(lease.refresh(&alive).unwrap(), Renewal::Intact));
    assert!(!machine.directory.exists());
}
