//! Who runs the hub when nobody was asked to.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use ironbridge::core::deadline::Deadline;
use ironbridge::core::error::Code;
use ironbridge::hub::election::Election;
use ironbridge::hub::endpoint::Endpoint;
use ironbridge::hub::server::Server;

use crate::place::{endpoints, options};
use crate::wire::LONG;

/// Where the other process's hub is to be.
const DIRECTORY: &str = "IRONBRIDGE_TEST_HOST";

fn candidate(directory: &Path) -> Election {
    let [sender, receiver] = endpoints(directory);
    Election::new(options(&sender, &receiver)).unwrap()
}

/// The other process's program; in an ordinary run of the tests nobody asks for it, and it does nothing.
#[test]
fn other_process() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let mut election = candidate(Path::new(&directory));
    assert!(election.stand().unwrap());
    println!("\nhosts");
    std::io::stdin().lines().for_each(drop);
}

fn host_elsewhere(directory: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "election::other_process", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(said.map_while(Result::ok).any(|line| line == "hosts"));
    child
}

#[test]
fn of_many_that_stand_at_once_one_hosts() {
    for _ in 0..10 {
        let directory = tempfile::tempdir().unwrap();
        let barrier = Barrier::new(5);
        let stand = || {
            let mut election = candidate(directory.path());
            barrier.wait();
            election.stand().unwrap();
            election
        };
        let all: Vec<_> = std::thread::scope(|scope| {
            let standing: Vec<_> = (0..5).map(|_| scope.spawn(stand)).collect();
            standing.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(all.iter().filter(|election| election.hosts()).count(), 1);
        let host = all.iter().find(|election| election.hosts()).unwrap();
        assert!(host.stats().is_some());
    }
}

#[test]
fn when_the_host_is_killed_another_one_takes_over() {
    let directory = tempfile::tempdir().unwrap();
    let mut host = host_elsewhere(directory.path());
    let mut next = candidate(directory.path());
    assert!(!next.stand().unwrap(), "the other process hosts");
    let [sender, receiver] = endpoints(directory.path());
    sender.dial(Deadline::after(LONG)).unwrap();
    host.kill().unwrap();
    host.wait().unwrap();
    let start = Instant::now();
    assert!(next.stand().unwrap());
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    for endpoint in [sender, receiver] {
        endpoint.dial(Deadline::after(LONG)).unwrap();
    }
}

#[test]
fn when_the_host_stops_another_one_takes_over() {
    let directory = tempfile::tempdir().unwrap();
    let (mut one, mut other) = (candidate(directory.path()), candidate(directory.path()));
    assert!(one.stand().unwrap() && one.stand().unwrap());
    assert!(!other.stand().unwrap() && !other.hosts());
    one.stop(Duration::ZERO);
    assert!(!one.hosts() && other.stand().unwrap());
    assert!(!one.stand().unwrap());
}

#[test]
fn a_hub_of_somebody_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let foreign = ["sender", "receiver"].map(|name| UnixListener::bind(directory.path().join(name)).unwrap());
    let mut election = candidate(directory.path());
    assert!(!election.stand().unwrap());
    drop(foreign);
    assert!(election.stand().unwrap());
}

#[test]
fn only_hubs_of_this_machine_are_stood_for() {
    let parse = |text| Endpoint::parse(text).unwrap();
    let remote = options(&parse("tcp://hub.example:3000"), &parse("tcp://127.0.0.1:4000"));
    assert!(Election::new(remote).is_none());
    let everywhere = options(&parse("tcp://0.0.0.0:0"), &parse("tcp://0.0.0.0:0"));
    let mut election = Election::new(everywhere).unwrap();
    assert!(election.warnings().is_empty());
    assert!(election.stand().unwrap());
    assert_eq!(election.warnings().len(), 2);
}

#[test]
fn where_nobody_can_listen_standing_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut election = candidate(&directory.path().join("missing"));
    assert_eq!(election.stand().unwrap_err().code, Code::Configuration);
}

#[test]
fn a_file_that_vanishes_is_put_in_place_again() {
    let directory = tempfile::tempdir().unwrap();
    let [sender, receiver] = endpoints(directory.path());
    let server = Server::start(options(&sender, &receiver)).unwrap();
    std::fs::remove_file(directory.path().join("sender")).unwrap();
    let end = Instant::now() + LONG;
    while sender.dial(Deadline::after(LONG)).is_err() {
        assert!(Instant::now() < end && server.is_running());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_hub_whose_place_was_taken_ends() {
    let directory = tempfile::tempdir().unwrap();
    let [sender, receiver] = endpoints(directory.path());
    let server = Server::start(options(&sender, &receiver)).unwrap();
    std::fs::remove_file(directory.path().join("receiver")).unwrap();
    let _foreign = UnixListener::bind(directory.path().join("receiver")).unwrap();
    let end = Instant::now() + LONG;
    while server.is_running() {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(directory.path().join("receiver").exists());
}
