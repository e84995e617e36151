//! Frames: whatever way they are cut, and within their bound.

use ironbridge::core::error::Code;
use ironbridge::hub::zmtp::{Event, Frames, Role, cancel, message, ping, pong, subscribe};
use proptest::collection::vec;
use proptest::prelude::*;

const MAX: usize = 1 << 20;

/// Feeds bytes in pieces; tells each event as text.
fn read(role: Role, bytes: &[u8], piece: usize) -> Vec<String> {
    let mut frames = Frames::new(role, MAX);
    let mut seen = Vec::new();
    for part in bytes.chunks(piece) {
        let space = frames.space(part.len());
        space[..part.len()].copy_from_slice(part);
        frames.filled(part.len());
        while let Some(event) = frames.next().unwrap() {
            seen.push(format!("{event:?}"));
        }
    }
    assert!(frames.is_empty());
    seen
}

proptest! {
    #[test]
    fn messages_arrive_whole_however_they_are_cut(bodies in vec(vec(any::<u8>(), 0..700), 1..20), piece in 1_usize..3000) {
        let mut bytes = Vec::new();
        for body in &bodies {
            let (front, back) = body.split_at(body.len() / 3);
            message(&mut bytes, &[front, back]);
        }
        let told: Vec<_> = bodies.iter().map(|body| format!("{:?}", Event::Message(body))).collect();
        prop_assert_eq!(read(Role::Pull, &bytes, piece), told);
    }

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(bytes in vec(any::<u8>(), 0..600)) {
        for role in [Role::Pull, Role::Pub, Role::Sub] {
            let mut frames = Frames::new(role, MAX);
            frames.extend(&bytes);
            while let Ok(Some(_)) = frames.next() {}
        }
    }

    #[test]
    fn many_decoders_share_one_room(bodies in vec(vec(any::<u8>(), 0..2000), 1..20), piece in 1_usize..3000) {
        let mut room = vec![0; 4096];
        let mut bytes = Vec::new();
        for body in &bodies {
            message(&mut bytes, &[body]);
        }
        let mut all = [Frames::new(Role::Pull, MAX), Frames::new(Role::Pull, MAX)];
        let mut seen = [Vec::new(), Vec::new()];
        for part in bytes.chunks(piece) {
            for (frames, seen) in all.iter_mut().zip(&mut seen) {
                frames.lend(&mut room);
                frames.extend(part);
                while let Some(event) = frames.next().unwrap() {
                    seen.push(format!("{event:?}"));
                }
                frames.settle(&mut room);
                prop_assert!(room.len() >= 4096);
            }
        }
        let told: Vec<_> = bodies.iter().map(|body| format!("{:?}", Event::Message(body))).collect();
        prop_assert_eq!(&seen[0], &told);
        prop_assert_eq!(&seen[1], &told);
    }
}

#[test]
fn subscriptions_are_understood_in_both_spellings_where_they_mean_something() {
    let mut bytes = Vec::new();
    subscribe(&mut bytes, b"a");
    cancel(&mut bytes, b"a");
    bytes.extend([&[4, 11][..], b"\x09SUBSCRIBEb", &[4, 8], b"\x06CANCELb"].concat());
    let told = |events: &[Event<'_>]| events.iter().map(|event| format!("{event:?}")).collect::<Vec<_>>();
    let all = [Event::Subscribe(b"a"), Event::Cancel(b"a"), Event::Subscribe(b"b"), Event::Cancel(b"b")];
    assert_eq!(read(Role::Pub, &bytes, 3), told(&all));
    // To a subscriber these bytes are a message.
    assert_eq!(read(Role::Sub, &bytes[..4], 3), told(&[Event::Message(b"\x01a")]));
}

#[test]
fn heartbeats_are_understood() {
    let mut bytes = Vec::new();
    ping(&mut bytes, 100, b"context");
    pong(&mut bytes, b"context");
    assert_eq!(
        read(Role::Pull, &bytes, 5),
        [format!("{:?}", Event::Ping { context: b"context" }), format!("{:?}", Event::Pong)]
    );
}

#[test]
fn messages_of_several_frames_are_passed_over_and_told() {
    let bytes = [&[1, 3][..], b"one", &[1, 3], b"two", &[0, 3], b"end", &[0, 4], b"next"].concat();
    assert_eq!(
        read(Role::Pull, &bytes, 2),
        ["Multipart".to_owned(), format!("{:?}", Event::Message(b"next"))]
    );
}

#[test]
fn a_frame_that_claims_much_is_refused_by_its_header_alone() {
    for length in [MAX as u64 + 1, 1 << 46, u64::MAX] {
        let mut frames = Frames::new(Role::Pull, MAX);
        frames.extend(&[2]);
        frames.extend(&length.to_be_bytes());
        let error = frames.next().unwrap_err();
        assert_eq!(error.code, Code::Payload, "{error}");
        assert!(frames.space(1).len() < 1024, "room was made for what was only claimed");
    }
}

#[test]
fn room_grows_with_what_has_arrived_only() {
    let mut frames = Frames::new(Role::Pull, 64 << 20);
    frames.extend(&[2, 0, 0, 0, 0, 3, 0xff, 0xff, 0xff]);
    let mut arrived = 9;
    while arrived < 1 << 20 {
        let space = frames.space(4096);
        assert!(space.len() <= arrived.max(4096) + 4096, "{} bytes of room after {arrived}", space.len());
        frames.filled(4096);
        arrived += 4096;
        assert!(frames.next().unwrap().is_none());
    }
}

#[test]
fn what_means_nothing_is_refused() {
    for bytes in
        [&[8][..], &[0x80], &[5, 1, 0], &[4, 0], &[4, 3, 9, 9, 9], &[4, 6, 4, b'P', b'I', b'N', b'G', 0]]
    {
        let mut frames = Frames::new(Role::Pull, MAX);
        frames.extend(bytes);
        assert_eq!(frames.next().unwrap_err().code, Code::Protocol, "{bytes:?}");
    }
}
