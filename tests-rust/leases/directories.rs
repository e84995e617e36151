//! Where leases are, and whom that directory may belong to.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;

use ironbridge::bridge::registry::{Claim, Registry};
use ironbridge::core::error::Code;
use ironbridge::core::platform::directory::Places;
use ironbridge::core::platform::process::own_uid;

use super::support::{alive, claimed, make_directory, never, private_directory, request};

/// What both a claim and a look-up say about this directory.
fn refusal(path: PathBuf) -> String {
    let registry = Registry::at(Places::Only(path));
    let claim = registry.claim(request("counter", "app:A"), &alive, &never).unwrap_err();
    let look_up = registry.list().unwrap_err();
    assert_eq!(claim, look_up);
    assert_eq!(claim.code, Code::Configuration);
    assert!(claim.message.contains("IRONBRIDGE_RUNTIME_DIR"), "{claim}");
    claim.message
}

#[test]
fn a_directory_that_others_may_enter_is_refused() {
    let root = private_directory();
    for mode in [0o755, 0o770, 0o701, 0o500] {
        let path = root.path().join(format!("{mode:o}"));
        make_directory(&path, mode);
        let message = refusal(path.clone());
        assert!(message.contains(&format!("chmod 700 {}", path.display())), "{message}");
    }
}

#[test]
fn a_symbolic_link_is_refused_with_and_without_a_slash_behind_it() {
    let root = private_directory();
    let (target, link) = (root.path().join("target"), root.path().join("link"));
    make_directory(&target, 0o700);
    symlink(&target, &link).unwrap();
    assert!(refusal(link.clone()).contains("symbolic link"));
    assert!(refusal(PathBuf::from(format!("{}/", link.display()))).contains("symbolic link"));
    let dangling = root.path().join("dangling");
    symlink(root.path().join("nowhere"), &dangling).unwrap();
    assert!(refusal(dangling).contains("symbolic link"));
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    let root = private_directory();
    let theirs = if own_uid() == 0 {
        let path = root.path().join("theirs");
        make_directory(&path, 0o700);
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        path
    } else {
        PathBuf::from("/root")
    };
    assert!(refusal(theirs).contains("belongs to user"));
}

#[test]
fn a_file_in_its_place_is_refused() {
    let root = private_directory();
    let path = root.path().join("file");
    fs::write(&path, "").unwrap();
    assert!(refusal(path).contains("not a directory"));
}

#[test]
fn a_directory_too_long_for_sockets_is_refused() {
    let root = private_directory();
    let path = root.path().join("x".repeat(90));
    make_directory(&path, 0o700);
    let message = refusal(path);
    assert!(message.contains("too long for sockets"), "{message}");
}

#[test]
fn the_longest_directory_that_is_accepted_has_room_for_sockets() {
    let root = private_directory();
    let path = root.path().join("x".repeat(83 - root.path().as_os_str().len() - 1));
    let registry = Registry::at(Places::Only(path));
    claimed(registry.claim(request("counter", "app:A"), &alive, &never)).release();
}

#[test]
fn looking_makes_nothing_and_claiming_makes_a_private_directory() {
    let root = private_directory();
    let path = root.path().join("run");
    let registry = Registry::at(Places::Only(path.clone()));
    assert_eq!(registry.list().unwrap(), []);
    assert!(!path.exists());
    let _lease = claimed(registry.claim(request("counter", "app:A"), &alive, &never));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_daemon_started_before_login_is_found_after_it_and_keeps_its_name() {
    let root = private_directory();
    let (session, fallback) = (root.path().join("session"), root.path().join("fallback"));
    let registry = Registry::at(Places::Usual { session: session.clone(), fallback: fallback.clone() });
    let early = claimed(registry.claim(request("early", "app:A"), &alive, &never));
    assert!(early.record().socket.starts_with(&fallback));

    make_directory(&session, 0o700);
    let late = claimed(registry.claim(request("late", "app:A"), &alive, &never));
    assert!(late.record().socket.starts_with(&session));
    assert_eq!(registry.list().unwrap(), [early.record().clone(), late.record().clone()]);
    assert!(matches!(registry.claim(request("early", "app:A"), &alive, &never), Ok(Claim::Held(_))));
}

#[test]
fn a_login_in_the_midst_of_claims_leaves_one_holder() {
    for _ in 0..30 {
        let root = private_directory();
        let (session, fallback) = (root.path().join("session"), root.path().join("fallback"));
        let registry = Registry::at(Places::Usual { session: session.clone(), fallback });
        let start = Barrier::new(9);
        let outcomes: Vec<_> = thread::scope(|scope| {
            let claim = |_| {
                scope.spawn(|| {
                    start.wait();
                    registry.claim(request("counter", "app:A"), &alive, &never).unwrap()
                })
            };
            let claims: Vec<_> = (0..8).map(claim).collect();
            start.wait();
            make_directory(&session, 0o700);
            claims.into_iter().map(|claim| claim.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Claim::Claimed(_))).count(), 1);
        assert_eq!(registry.find("counter").unwrap().len(), 1);
    }
}

#[test]
fn a_session_directory_that_others_may_enter_is_passed_over() {
    let root = private_directory();
    let (session, fallback) = (root.path().join("session"), root.path().join("fallback"));
    make_directory(&session, 0o755);
    let registry = Registry::at(Places::Usual { session, fallback: fallback.clone() });
    assert_eq!(registry.directory().unwrap(), fallback);
    // Nor may the fallback be anybody's: it is passed over in look-ups and refused to daemons.
    fs::set_permissions(&fallback, PermissionsExt::from_mode(0o777)).unwrap();
    assert_eq!(registry.list().unwrap(), []);
    assert_eq!(registry.directory().unwrap_err().code, Code::Configuration);
}
