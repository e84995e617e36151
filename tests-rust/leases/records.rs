//! Lease files: their names, their bytes, and what is made of files that are none.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use ironbridge::bridge::lease::{LeaseRecord, State};
use ironbridge::bridge::record::{FileName, MAX_FILE, escape, hex};
use ironbridge::core::platform::lock::try_lock;
use proptest::prelude::*;

use super::support::{Machine, alive, claimed, never, request};

fn lease_file(machine: &Machine, nonce: u8) -> std::path::PathBuf {
    machine.directory.join(format!("counter.{}.lease", hex(&[nonce; 16])))
}

#[test]
fn files_that_are_no_lease_are_passed_over() {
    let machine = Machine::new();
    let lease = claimed(machine.registry.claim(request("counter", "app:A"), &alive, &never));
    let good = fs::read(lease.record().lease_path(&machine.directory)).unwrap();
    let huge = [&good[..], &vec![0; MAX_FILE + 1]].concat();
    let contents: [&[u8]; 8] = [
        b"",
        b"garbage",
        b"IBL1",
        b"IBL1S",
        b"IBL1S\xdf\xff\xff\xff\xff",
        &good[..good.len() / 2],
        &huge,
        &good,
    ];
    let mut locked = Vec::new();
    for (number, content) in (0_u8..).zip(contents) {
        // Even those whose lock is held; the last says another nonce than its name.
        let path = lease_file(&machine, number);
        fs::write(&path, content).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        assert!(try_lock(&file).unwrap());
        locked.push(file);
    }
    fs::create_dir(lease_file(&machine, 100)).unwrap();
    symlink(lease.record().lease_path(&machine.directory), lease_file(&machine, 101)).unwrap();
    symlink("/dev/zero", lease_file(&machine, 102)).unwrap();
    let _socket = UnixListener::bind(lease_file(&machine, 103)).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, lease_file(&machine, 104), rustix::fs::Mode::RWXU).unwrap();
    for name in ["x.lease", "..lease", "counter.lease", "counter.0123.lease", "notes.txt"] {
        fs::write(machine.directory.join(name), "mine").unwrap();
    }

    let before = machine.files();
    assert_eq!(machine.registry.find("counter").unwrap(), [lease.record().clone()]);
    assert_eq!(machine.registry.list().unwrap(), [lease.record().clone()]);
    assert_eq!(machine.files(), before, "what is not ours stays");
    claimed(machine.registry.claim(request("other", "app:A"), &alive, &never)).release();
}

#[test]
fn what_dead_daemons_left_is_removed_when_it_is_met() {
    let machine = Machine::new();
    let lease = claimed(machine.registry.claim(request("counter", "app:A"), &alive, &never));
    let path = lease.record().lease_path(&machine.directory);
    let socket = lease.record().socket.clone();
    let copy = fs::read(&path).unwrap();
    lease.release();
    fs::write(&path, &copy).unwrap();
    fs::write(&socket, "").unwrap();
    assert_eq!(machine.registry.find("another").unwrap(), []);
    assert_eq!(machine.files().len(), 2, "a look-up meets only its own name's files");
    assert_eq!(machine.registry.find("counter").unwrap(), []);
    assert_eq!(machine.files(), [""; 0]);
}

#[test]
fn what_a_claim_killed_halfway_left_is_removed_by_the_next() {
    let machine = Machine::new();
    let lease = claimed(machine.registry.claim(request("counter", "app:A"), &alive, &never));
    let (made, socket) = (lease.record().new_path(&machine.directory), lease.record().socket.clone());
    lease.release();
    fs::write(&made, "half").unwrap();
    fs::write(&socket, "").unwrap();
    fs::write(machine.directory.join("counter.lock"), "").unwrap();
    let lease = claimed(machine.registry.claim(request("counter", "app:A"), &alive, &never));
    assert_eq!(machine.files().len(), 2);
    lease.release();
}

fn record() -> impl Strategy<Value = LeaseRecord> {
    let texts =
        (".{0,40}", ".{0,40}", ".{0,40}", "[0-9a-f]{32}", proptest::option::of("[a-z]{1,9}:[0-9]{4}"));
    let numbers = (any::<[u8; 16]>(), any::<[u8; 16]>(), any::<u32>(), any::<(u16, u16)>(), any::<u64>());
    (texts, numbers, any::<(bool, bool, Option<u32>)>()).prop_map(|(texts, numbers, flags)| LeaseRecord {
        service: texts.0,
        identity: texts.1,
        version: texts.2,
        schema: texts.3,
        tcp: texts.4,
        nonce: numbers.0,
        group: numbers.1,
        pid: numbers.2,
        worker: numbers.3.0,
        workers: numbers.3.1,
        started_unix_ms: numbers.4,
        detached: flags.0,
        supervisor: flags.2,
        state: if flags.1 { State::Serving } else { State::Draining },
        socket: std::path::PathBuf::new(),
    })
}

proptest! {
    #[test]
    fn a_record_survives_its_file(record in record()) {
        let bytes = record.to_bytes().unwrap();
        let mut read = LeaseRecord::from_bytes(&bytes, Path::new("/run")).unwrap();
        prop_assert_eq!(read.socket.as_os_str().len(), "/run/0123456789abcdef.sock".len());
        read.socket.clone_from(&record.socket);
        prop_assert_eq!(read, record);
    }

    #[test]
    fn a_mutated_file_is_read_or_passed_over(
        record in record(), place in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut bytes = record.to_bytes().unwrap();
        let at = place.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        let _ = LeaseRecord::from_bytes(&bytes, Path::new("/run"));
    }

    #[test]
    fn a_name_makes_a_safe_file_name_of_its_own(a in ".{1,300}", b in ".{1,300}") {
        let escaped = escape(&a);
        prop_assert!(escaped.len() <= 180);
        prop_assert!(escaped.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-%~".contains(&byte)));
        prop_assert_eq!(escaped == escape(&b), a == b);
        let lease = format!("{escaped}.{}.lease", hex(&[7; 16]));
        let parsed = FileName { service: &escaped, nonce: [7; 16], placed: true };
        prop_assert_eq!(FileName::parse(OsStr::new(&lease)), Some(parsed));
    }
}
