//! Handshakes of our codec with itself, whole and in pieces, right and wrong.

use ironbridge::core::error::{Code, Error};
use ironbridge::core::secret::Secret;
use ironbridge::hub::zmtp::{Frames, Handshake, Peer, Role, message};
use proptest::prelude::*;

/// Carries bytes between two sides, `piece` at a time, until both are done or one has had enough.
fn shake(mut one: Handshake, mut other: Handshake, piece: usize) -> [Result<Option<Peer>, Error>; 2] {
    let mut results = [Ok(None), Ok(None)];
    for _ in 0..100 {
        for turn in 0..2 {
            let (from, to) = if turn == 0 { (&mut one, &mut other) } else { (&mut other, &mut one) };
            for part in from.output().chunks(piece) {
                let result = &mut results[1 - turn];
                if matches!(result, Ok(None)) {
                    *result = to.feed(part).map(|(used, peer)| {
                        assert_eq!(used, part.len(), "nothing follows the handshake here");
                        peer
                    });
                }
            }
        }
    }
    results
}

fn secret(text: &str) -> Secret {
    Secret::from_text("secret", text).unwrap()
}

fn code(result: &Result<Option<Peer>, Error>) -> Code {
    result.as_ref().unwrap_err().code
}

proptest! {
    #[test]
    fn both_sides_learn_who_the_other_is(
        piece in 1_usize..200, with_secret in any::<bool>(), identity in proptest::collection::vec(any::<u8>(), 0..256),
    ) {
        let shared = with_secret.then(|| secret("a secret"));
        for role in [Role::Push, Role::Pull, Role::Pub, Role::Sub] {
            let client = Handshake::new(role, &identity, shared.as_ref(), false);
            let server = Handshake::new(role.counterpart(), b"", shared.as_ref(), true);
            let [at_client, at_server] = shake(client, server, piece);
            let told = Peer { role: role.counterpart(), identity: vec![], minor: 1 };
            prop_assert_eq!(at_client.unwrap().unwrap(), told);
            prop_assert_eq!(at_server.unwrap().unwrap(), Peer { role, identity: identity.clone(), minor: 1 });
        }
    }

    #[test]
    fn bytes_of_any_kind_are_refused_or_waited_for(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut handshake = Handshake::new(Role::Pull, b"", None, true);
        match handshake.feed(&bytes) {
            Ok((used, peer)) => prop_assert!(used == bytes.len() && peer.is_none()),
            Err(error) => prop_assert!(!error.message.is_empty()),
        }
    }
}

#[test]
fn a_socket_of_the_wrong_kind_is_refused_and_told_why() {
    for (client, server) in [(Role::Push, Role::Pub), (Role::Sub, Role::Pull), (Role::Sub, Role::Sub)] {
        let results =
            shake(Handshake::new(client, b"", None, false), Handshake::new(server, b"", None, true), 7);
        assert_eq!(results.each_ref().map(code), [Code::ConnectionLost, Code::Protocol]);
        for result in &results {
            assert!(result.as_ref().unwrap_err().message.contains("endpoints"), "{result:?}");
        }
    }
}

#[test]
fn without_the_same_secret_nobody_gets_in() {
    let cases = [(Some("one"), Some("other")), (Some("one"), None), (None, Some("other"))];
    for (client, server) in cases {
        let (client, server) = (client.map(secret), server.map(secret));
        let [at_client, at_server] = shake(
            Handshake::new(Role::Push, b"", client.as_ref(), false),
            Handshake::new(Role::Pull, b"", server.as_ref(), true),
            64,
        );
        assert_eq!(code(&at_server), Code::Authentication, "{at_server:?}");
        assert_eq!(code(&at_client), Code::Authentication, "{at_client:?}");
        let at_client = at_client.unwrap_err();
        assert!(at_client.message.contains("secret"), "{at_client}");
    }
}

#[test]
fn the_secret_never_crosses_and_no_proof_serves_twice() {
    let shared = secret("correct horse battery staple");
    let mut said = Vec::new();
    for _ in 0..2 {
        let mut client = Handshake::new(Role::Push, b"", Some(&shared), false);
        let mut server = Handshake::new(Role::Pull, b"", Some(&shared), true);
        let mut conversation = Vec::new();
        for _ in 0..4 {
            let mine = client.output();
            let _ = server.feed(&mine);
            let _ = client.feed(&server.output());
            conversation.push(mine);
        }
        let all = conversation.concat();
        assert!(!all.windows(28).any(|part| part == shared.reveal().as_bytes()));
        said.push(conversation);
    }
    // What a client said once is worth nothing to another server.
    let mut server = Handshake::new(Role::Pull, b"", Some(&shared), true);
    let mut result = Ok((0, None));
    for part in &said[0] {
        result = server.feed(part);
        assert!(!matches!(result, Ok((_, Some(_)))));
        if result.is_err() {
            break;
        }
    }
    assert_eq!(result.unwrap_err().code, Code::Authentication);
}

#[test]
fn what_is_no_zeromq_is_refused_at_its_first_bytes() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], &[1, 0], &[0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7e]] {
        let mut handshake = Handshake::new(Role::Pull, b"", None, true);
        assert_eq!(handshake.feed(bytes).unwrap_err().code, Code::Protocol);
    }
    // ZMTP 2, as libzmq 3 speaks it.
    let mut handshake = Handshake::new(Role::Pull, b"", None, true);
    let old = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 1];
    assert!(handshake.feed(&old).unwrap_err().message.contains("version"));
}

#[test]
fn other_mechanisms_are_refused() {
    for name in ["PLAIN", "CURVE", "GSSAPI"] {
        let mut greeting = [0; 64];
        greeting[0] = 0xff;
        greeting[9..12].copy_from_slice(&[0x7f, 3, 1]);
        greeting[12..12 + name.len()].copy_from_slice(name.as_bytes());
        let mut handshake = Handshake::new(Role::Pull, b"", None, true);
        assert_eq!(
            handshake.output().len(),
            11,
            "what it asks for is told once the caller has told what it wants"
        );
        let error = handshake.feed(&greeting).unwrap_err();
        assert_eq!(handshake.output().len(), 53);
        assert!(error.code == Code::Protocol && error.message.contains(name), "{error}");
    }
}

#[test]
fn a_refusal_is_told_to_the_user() {
    let mut client = Handshake::new(Role::Push, b"", None, false);
    let mut server = Handshake::new(Role::Pull, b"", None, true);
    server.feed(&client.output()).unwrap();
    client.feed(&server.output()[..64]).unwrap();
    let refusal = [&[4, 11][..], b"\x05ERROR\x04full"].concat();
    let error = client.feed(&refusal).unwrap_err();
    assert!(error.code == Code::ConnectionLost && error.message.contains("full"), "{error}");
    assert!(server.feed(&client.output()).is_ok());
    assert!(client.feed(b"more").is_err());
}

#[test]
fn what_follows_the_handshake_is_left_for_the_frames() {
    let mut client = Handshake::new(Role::Push, b"", None, false);
    let mut server = Handshake::new(Role::Pull, b"", None, true);
    let mut bytes = client.output();
    server.feed(&bytes).unwrap();
    client.feed(&server.output()).unwrap();
    bytes = client.output();
    message(&mut bytes, &[b"at once"]);
    let (used, peer) = server.feed(&bytes).unwrap();
    assert!(peer.is_some());
    let mut frames = Frames::new(Role::Pull, 1024);
    frames.extend(&bytes[used..]);
    assert!(format!("{:?}", frames.next().unwrap().unwrap()).contains("Message"));
}
