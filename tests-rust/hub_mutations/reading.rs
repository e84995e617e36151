//! The handshake, with and without a secret, and the decoder.

use ironbridge::core::secret::Secret;
use ironbridge::hub::zmtp::{Event, Frames, Handshake, Role};

use crate::mutate::{frames, mutated};
use crate::trials::{Chance, alone, how_many, without_growth};

const MAX_FRAME: usize = 1 << 16;
const ROLES: [Role; 4] = [Role::Push, Role::Pull, Role::Pub, Role::Sub];

/// Reads until the decoder refuses or has had everything; returns how many events there were.
fn read(frames: &mut Frames, bytes: &[u8], piece: usize) -> usize {
    let mut events = 0;
    for part in bytes.chunks(piece) {
        let room = frames.space(part.len());
        assert!(room.len() <= 2 * (MAX_FRAME + (64 << 10)), "{} bytes of room", room.len());
        room[..part.len()].copy_from_slice(part);
        frames.filled(part.len());
        loop {
            match frames.next() {
                Ok(Some(event)) => {
                    events += 1;
                    if let Event::Message(body) | Event::Subscribe(body) | Event::Cancel(body) = event {
                        assert!(body.len() <= MAX_FRAME);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    assert!(!error.message.is_empty());
                    return events;
                }
            }
        }
    }
    events
}

#[test]
fn mutated_frames_are_read_or_refused_and_leave_nothing_behind() {
    let _alone = alone();
    let corpus = frames();
    let mut events = 0;
    without_growth(how_many(), |number| {
        let mut chance = Chance::new(number);
        let mut bytes = Vec::new();
        for _ in 0..=chance.below(3) {
            let (frame, other) = (chance.pick(&corpus), chance.pick(&corpus));
            bytes.extend(mutated(frame, other, &mut chance));
        }
        let mut decoder = Frames::new(*chance.pick(&ROLES), MAX_FRAME);
        events += read(&mut decoder, &bytes, *chance.pick(&[1, 3, 9, 100, 5000]));
    });
    assert!(events > how_many() / 2, "only {events} events: the changes are too crude to test much");
}

#[test]
fn mutated_handshakes_are_finished_or_refused() {
    let _alone = alone();
    let corpus = frames();
    let shared = Secret::from_text("secret", "a shared one").unwrap();
    let (mut finished, mut refused) = (0, 0);
    without_growth(how_many(), |number| {
        let mut chance = Chance::new(number);
        let secret = (chance.below(2) == 0).then_some(&shared);
        let (role, as_server) = (*chance.pick(&ROLES), chance.below(2) == 0);
        let mut ours = Handshake::new(role, b"", secret, as_server);
        let mut theirs = Handshake::new(role.counterpart(), b"name", secret, !as_server);
        // One of the parts that they say arrives changed.
        let changed = chance.below(6);
        for turn in 0..6 {
            let _ = theirs.feed(&ours.output());
            let mut said = theirs.output();
            if turn == changed {
                said = mutated(&said, chance.pick(&corpus).as_slice(), &mut chance);
            }
            match ours.feed(&said) {
                Ok((used, Some(_))) => {
                    finished += 1;
                    assert!(used <= said.len());
                    read(&mut Frames::new(role, MAX_FRAME), &said[used..], 64);
                    return;
                }
                Ok((used, None)) => assert_eq!(used, said.len()),
                Err(error) => {
                    refused += 1;
                    assert!(!error.message.is_empty());
                    assert!(ours.output().len() < 512, "a refusal is short");
                    return;
                }
            }
        }
    });
    assert!(
        finished > how_many() / 10 && refused > how_many() / 10,
        "{finished} finished, {refused} refused"
    );
}
