//! Locks, processes and peers, as the system has them.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ironbridge::core::deadline::Deadline;
use ironbridge::core::platform::lock::{PathLock, is_locked, try_lock, unlock};
use ironbridge::core::platform::process::{
    ParentWatch, is_running, own_pid, own_uid, parent_pid, peer_credentials,
};

use super::support::{PATIENCE, never, private_directory};

#[test]
fn a_lock_is_tested_without_being_taken_and_survives_other_descriptors() {
    let root = private_directory();
    let path = root.path().join("file");
    let holder = File::create(&path).unwrap();
    let other = File::open(&path).unwrap();
    assert!(!is_locked(&other).unwrap());
    assert!(try_lock(&holder).unwrap());
    assert!(is_locked(&other).unwrap() && is_locked(&other).unwrap());
    assert!(!try_lock(File::options().write(true).open(&path).unwrap()).unwrap());
    drop(File::open(&path).unwrap());
    assert!(is_locked(&other).unwrap());
    let copy = holder.try_clone().unwrap();
    drop(holder);
    assert!(is_locked(&other).unwrap(), "a copy of the descriptor holds it too");
    unlock(&copy).unwrap();
    assert!(!is_locked(&other).unwrap());
}

#[test]
fn a_path_is_held_by_one_at_a_time() {
    let root = private_directory();
    let path = root.path().join("name.lock");
    let (inside, entered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let lock = PathLock::acquire(&path, Deadline::after(PATIENCE), &never).unwrap().unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    entered.fetch_add(1, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(lock);
                }
            });
        }
    });
    assert_eq!(entered.into_inner(), 200);
    assert!(!path.exists());
}

#[test]
fn waiting_for_a_path_ends_with_the_deadline_or_with_the_file() {
    let root = private_directory();
    let path = root.path().join("name.lock");
    let first = PathLock::acquire(&path, Deadline::after(PATIENCE), &never).unwrap().unwrap();
    assert!(PathLock::acquire(&path, Deadline::after(Duration::from_millis(5)), &never).unwrap().is_none());
    // Somebody empties the directory: what the first holds protects nothing any more, and it can tell.
    fs::remove_file(&path).unwrap();
    let second = PathLock::acquire(&path, Deadline::after(PATIENCE), &never).unwrap().unwrap();
    assert!(!first.is_in_place() && second.is_in_place());
    drop(first);
    assert!(second.is_in_place(), "only its own file is removed");
}

#[test]
fn the_end_of_a_process_is_seen() {
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let watch = ParentWatch::open(child.id()).unwrap().unwrap();
    assert!(!watch.has_ended().unwrap() && is_running(child.id()).unwrap());
    assert!(!watch.wait(Duration::from_millis(1)).unwrap());
    drop(child.stdin.take());
    assert!(watch.wait(PATIENCE).unwrap());
    // Not waited for, its number still exists; it runs no more all the same.
    assert!(!is_running(child.id()).unwrap());
    child.wait().unwrap();
    assert!(watch.has_ended().unwrap());
    assert!(ParentWatch::open(child.id()).unwrap().is_none());
}

#[test]
fn only_the_parent_is_watched_as_parent() {
    let watch = ParentWatch::of_parent(parent_pid()).unwrap().unwrap();
    assert_eq!(watch.pid(), parent_pid());
    assert!(!watch.has_ended().unwrap());
    assert!(ParentWatch::of_parent(own_pid()).unwrap().is_none(), "some other process");
    for impossible in [0, u32::MAX] {
        assert!(ParentWatch::open(impossible).unwrap().is_none());
    }
}

#[test]
fn a_peer_is_known_to_the_system() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let peer = peer_credentials(&ours).unwrap();
    assert_eq!((peer.pid, peer.uid), (own_pid(), own_uid()));
}
