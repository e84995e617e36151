//! Where a hub listens: whose place it takes, and whose it does not.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Barrier;
use std::time::Duration;

use ironbridge::core::deadline::Deadline;
use ironbridge::core::error::Code;
use ironbridge::hub::endpoint::Endpoint;
use ironbridge::hub::server::Server;
use ironbridge::hub::zmtp::Role;

use crate::place::{Place, endpoints, options};
use crate::wire::{LONG, Wire};

#[test]
fn its_sockets_are_its_users_alone_and_go_with_it() {
    let mut place = Place::new();
    for endpoint in endpoints(place.directory.path()) {
        let Endpoint::Ipc(path) = endpoint else { panic!() };
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    place.server.stop(Duration::ZERO);
    assert_eq!(std::fs::read_dir(place.directory.path()).unwrap().count(), 0);
    assert!(!place.server.is_running());
}

#[test]
fn what_a_dead_hub_has_left_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let [sender, receiver] = endpoints(directory.path());
    for name in ["sender", "receiver"] {
        drop(UnixListener::bind(directory.path().join(name)).unwrap());
    }
    let server = Server::start(options(&sender, &receiver)).unwrap();
    assert!(UnixStream::connect(directory.path().join("sender")).is_ok());
    assert!(server.is_running());
}

#[test]
fn a_place_where_somebody_listens_is_left_alone() {
    let place = Place::new();
    let [sender, receiver] = endpoints(place.directory.path());
    let error = Server::start(options(&sender, &receiver)).map(drop).unwrap_err();
    assert_eq!(error.code, Code::ServiceAlreadyExists);
    // Also when it is one of the two: the other is given back.
    let free = Endpoint::Ipc(place.directory.path().join("free"));
    let error = Server::start(options(&free, &receiver)).map(drop).unwrap_err();
    assert_eq!(error.code, Code::ServiceAlreadyExists);
    assert!(!place.directory.path().join("free").exists());
    let mut sub = place.sub(&[""]);
    place.push().send(b"still here");
    assert_eq!(sub.message(), b"still here");
}

#[test]
fn of_many_that_start_at_once_one_does() {
    for round in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let [sender, receiver] = endpoints(directory.path());
        if round % 2 == 0 {
            drop(UnixListener::bind(directory.path().join("sender")).unwrap());
        }
        let barrier = Barrier::new(4);
        let start = || {
            barrier.wait();
            Server::start(options(&sender, &receiver))
        };
        let started: Vec<_> = std::thread::scope(|scope| {
            let starting: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
            starting.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(started.iter().filter(|server| server.is_ok()).count(), 1, "{started:?}");
        for error in started.iter().filter_map(|server| server.as_ref().err()) {
            assert_eq!(error.code, Code::ServiceAlreadyExists, "{error}");
        }
        let own = UnixStream::connect(directory.path().join("sender")).unwrap();
        Wire::meet(Box::new(own), Role::Sub, None, false).unwrap();
    }
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let [sender, receiver] = endpoints(directory.path());
    std::fs::write(directory.path().join("sender"), "precious").unwrap();
    let error = Server::start(options(&sender, &receiver)).map(drop).unwrap_err();
    assert!(error.code == Code::Configuration && error.message.contains("no socket"), "{error}");
    assert_eq!(std::fs::read_to_string(directory.path().join("sender")).unwrap(), "precious");
}

#[test]
fn a_socket_that_was_put_in_its_place_is_not_taken_away() {
    let mut place = Place::new();
    let path = place.directory.path().join("sender");
    std::fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    place.server.stop(Duration::ZERO);
    assert!(path.exists());
}

#[test]
fn tcp_and_abstract_names_are_taken_once() {
    let place = Place::tcp();
    let name = Endpoint::parse(&format!("ipc://@ironbridge-test-{}", std::process::id())).unwrap();
    let port = place.server.sender().clone();
    assert!(matches!(port, Endpoint::Tcp { port, .. } if port != 0));
    let free = Endpoint::parse("tcp://127.0.0.1:0").unwrap();
    let named = Server::start(options(&name, &free)).unwrap();
    for (sender, receiver) in [(&port, &free), (&name, &free)] {
        let error = Server::start(options(sender, receiver)).map(drop).unwrap_err();
        assert_eq!(error.code, Code::ServiceAlreadyExists);
    }
    name.dial(Deadline::after(LONG)).unwrap();
    drop(named);
    assert_eq!(name.dial(Deadline::after(LONG)).unwrap_err().code, Code::ServiceUnavailable);
}

#[test]
fn the_two_endpoints_must_differ() {
    let directory = tempfile::tempdir().unwrap();
    let [sender, _] = endpoints(directory.path());
    let error = Server::start(options(&sender, &sender)).map(drop).unwrap_err();
    assert_eq!(error.code, Code::Configuration);
}

#[test]
fn what_nobody_listens_at_cannot_be_dialled() {
    let directory = tempfile::tempdir().unwrap();
    let [nothing, stale] = endpoints(directory.path());
    drop(UnixListener::bind(directory.path().join("receiver")).unwrap());
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tcp = Endpoint::parse(&format!("tcp://0.0.0.0:{unused}")).unwrap();
    for endpoint in [nothing, stale, tcp] {
        assert_eq!(endpoint.dial(Deadline::after(LONG)).unwrap_err().code, Code::ServiceUnavailable);
    }
}

/// Only root can make another user's file; for others there is nothing to try.
#[test]
fn a_socket_of_another_user_is_refused_by_hub_and_caller() {
    let directory = tempfile::tempdir().unwrap();
    let [sender, receiver] = endpoints(directory.path());
    let listener = UnixListener::bind(directory.path().join("sender")).unwrap();
    if std::os::unix::fs::chown(directory.path().join("sender"), Some(65534), None).is_err() {
        return;
    }
    for error in [
        Server::start(options(&sender, &receiver)).map(drop).unwrap_err(),
        sender.dial(Deadline::after(LONG)).map(drop).unwrap_err(),
    ] {
        assert!(error.code == Code::Configuration && error.message.contains("user 65534"), "{error}");
    }
    drop(listener);
    assert!(Server::start(options(&sender, &receiver)).is_err(), "nobody listens, and it is still not ours");
}
