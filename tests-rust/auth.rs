//! Tokens: made well, kept privately, proved without being shown.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Barrier;
use std::thread;

use ironbridge::bridge::auth::{Token, client_proof, nonce, nonce_from, server_proof, verify};
use ironbridge::core::error::Code;
use tempfile::TempDir;

#[test]
fn a_made_token_is_long_new_each_time_and_hidden() {
    let (one, other) = (Token::generate().unwrap(), Token::generate().unwrap());
    assert_eq!(one.reveal().len(), 64);
    assert!(one.reveal().bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_ne!(one, other);
    assert!(!format!("{one:?}").contains(one.reveal()));
    assert_eq!(Token::from_text(&format!("  {}\n", one.reveal())).unwrap(), one);
}

#[test]
fn a_token_that_cannot_be_one_is_refused() {
    for text in ["", "  \n", "two\nlines", "bell\u{7}", &"x".repeat(1_025)] {
        assert_eq!(Token::from_text(text).unwrap_err().code, Code::Configuration);
    }
    assert!(Token::from_text(&"x".repeat(1_024)).is_ok());
}

#[test]
fn a_proof_depends_on_the_token_both_nonces_and_the_side() {
    let (token, other) = (Token::from_text("a token").unwrap(), Token::from_text("another").unwrap());
    let (client, server) = (nonce().unwrap(), nonce().unwrap());
    let proof = client_proof(&token, &client, &server);
    assert!(verify(&client_proof(&token, &client, &server), &proof));
    for different in [
        client_proof(&other, &client, &server),
        client_proof(&token, &nonce().unwrap(), &server),
        client_proof(&token, &client, &nonce().unwrap()),
        client_proof(&token, &server, &client),
        server_proof(&token, &client, &server),
    ] {
        assert!(!verify(&different, &proof));
    }
    assert!(verify(&server_proof(&token, &client, &server), &server_proof(&token, &client, &server)));
    assert!(!verify(&proof, &[]) && !verify(&proof, &proof[..31]));
    let longer = [proof.as_slice(), &[0]].concat();
    assert!(!verify(&proof, &longer));
}

/// Written down, so that a client in another language can be checked against it.
#[test]
fn the_proof_is_the_one_that_the_protocol_documents() {
    let token = Token::from_text("correct horse battery staple").unwrap();
    let hexadecimal = |proof: [u8; 32]| proof.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        hexadecimal(client_proof(&token, &[1; 32], &[2; 32])),
        "bf79593932a93b1d560db84e42ef70a8a667aa4b130d49166d5003ae0db84ddc"
    );
    assert_eq!(
        hexadecimal(server_proof(&token, &[1; 32], &[2; 32])),
        "7fea29225819de7e13cf40aa38269a0b0884e9bfb96026e776c80da6b679b8da"
    );
}

#[test]
fn a_nonce_of_another_length_is_a_protocol_error() {
    let made = nonce().unwrap();
    assert_eq!(nonce_from(&made).unwrap(), made);
    for wrong in [&made[..31], &[][..], &[0; 33][..]] {
        assert_eq!(nonce_from(wrong).unwrap_err().code, Code::Protocol);
    }
}

#[test]
fn a_token_file_is_made_once_and_private() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("not/yet/there/token");
    let token = Token::load_or_create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o7777, 0o700);
    assert_eq!(Token::load_or_create(&path).unwrap(), token);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left behind");
}

#[test]
fn a_token_written_by_hand_is_used() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("token");
    fs::write(&path, "my own secret\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(Token::load_or_create(&path).unwrap().reveal(), "my own secret");
}

#[test]
fn threads_that_make_a_token_file_at_once_agree() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("token");
    let start = Barrier::new(16);
    let tokens: Vec<Token> = thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    Token::load_or_create(&path).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_token_file_that_others_could_use_is_refused() {
    let directory = TempDir::new().unwrap();
    let good = directory.path().join("good");
    Token::load_or_create(&good).unwrap();
    let refuse = |path: &std::path::Path, what: &str| {
        let error = Token::load_or_create(path).unwrap_err();
        assert_eq!(error.code, Code::Configuration);
        assert!(error.message.contains(&path.display().to_string()), "{error}");
        assert!(error.message.contains(what), "{error}");
    };
    for mode in [0o640, 0o604, 0o660, 0o644] {
        let path = directory.path().join(format!("mode-{mode:o}"));
        fs::write(&path, "secret").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        refuse(&path, "chmod 600");
    }
    let link = directory.path().join("link");
    symlink(&good, &link).unwrap();
    refuse(&link, "symbolic link");
    refuse(directory.path(), "not a regular file");
    let empty = directory.path().join("empty");
    fs::write(&empty, "\n").unwrap();
    fs::set_permissions(&empty, Permissions::from_mode(0o600)).unwrap();
    refuse(&empty, "empty");
}
