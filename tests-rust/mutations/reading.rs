//! The reader of frames, and what reads their contents.

use ironbridge::bridge::frame::{self, Frame, Kind, Reader, ReplyEnvelope, RequestEnvelope, Vectors, begin};
use ironbridge::bridge::hello::{self, Challenge, Hello, Proof, Refuse, Welcome};
use ironbridge::bridge::record::LeaseRecord;
use ironbridge::bridge::schema::Schema;
use proptest::prelude::*;

use crate::captures;
use crate::mutate::mutated;
use crate::trials::{Chance, alone, how_many, without_growth};

const MAX_FRAME: usize = 1 << 20;

/// Feeds bytes in pieces of any size; hands over each frame, until the reader refuses. A second reader, which
/// lends its frames instead of giving them away, must see the same.
fn read(bytes: &[u8], piece: impl Fn() -> usize, mut taken: impl FnMut(Frame<Vec<u8>>)) -> bool {
    let (mut reader, mut lender) = (Reader::new(MAX_FRAME, 4096), Reader::new(MAX_FRAME, 4096));
    let mut rest = bytes;
    loop {
        let lent = lender.next_message(&Vectors);
        match reader.next_frame(&Vectors) {
            Ok(Some(frame)) => {
                let lent = lent.unwrap().unwrap();
                assert_eq!((lent.kind, lent.flags), (frame.kind, frame.flags));
                assert_eq!((lent.envelope, lent.payload), (frame.envelope(), frame.payload()));
                assert_eq!(lent.buffers, frame.buffers);
                taken(frame);
            }
            Ok(None) => {
                assert!(lent.unwrap().is_none());
                assert_eq!(reader.is_empty(), lender.is_empty());
                if rest.is_empty() {
                    return reader.is_empty();
                }
                let count = piece().min(rest.len()).min(reader.space().len());
                assert!(count > 0, "a reader that wants more has no room for it");
                for reader in [&mut reader, &mut lender] {
                    reader.space()[..count].copy_from_slice(&rest[..count]);
                    reader.filled(count);
                }
                rest = &rest[count..];
            }
            Err(error) => {
                assert!(!error.message.is_empty());
                assert_eq!(lent.unwrap_err().message, error.message);
                return false;
            }
        }
    }
}

/// Everything that is read of a frame before a payload reaches its owner.
fn read_contents(frame: &Frame<Vec<u8>>) {
    let total = frame.envelope().len() + frame.payload().len();
    assert!(total + frame.buffers.iter().map(Vec::len).sum::<usize>() <= MAX_FRAME);
    let _ = RequestEnvelope::read(frame.envelope());
    let _ = ReplyEnvelope::read(frame.envelope());
    let _ = (frame.instance_id(), frame.call_id());
    let _ = hello::read::<Hello, _>(frame, Kind::Hello);
    let _ = hello::read::<Challenge, _>(frame, Kind::Challenge);
    let _ = hello::read::<Proof, _>(frame, Kind::Proof);
    let _ = hello::read::<Welcome, _>(frame, Kind::Welcome);
    let _ = hello::read::<Refuse, _>(frame, Kind::Refuse);
    let _ = LeaseRecord::from_bytes(frame.payload(), std::path::Path::new("/nowhere"));
    let _ = std::str::from_utf8(frame.payload()).map(Schema::parse);
}

#[test]
fn mutated_frames_are_read_or_refused_and_leave_nothing_behind() {
    let _alone = alone();
    let corpus = captures::frames();
    let mut whole = 0;
    without_growth(how_many(), |number| {
        let mut chance = Chance::new(number);
        let mut bytes = Vec::new();
        for _ in 0..=chance.below(3) {
            let (frame, other) = (chance.pick(&corpus), chance.pick(&corpus));
            bytes.extend(mutated(frame, other, &mut chance));
        }
        let size = *chance.pick(&[1, 3, 8, 100, 5000]);
        read(
            &bytes,
            || size,
            |frame| {
                whole += 1;
                read_contents(&frame);
            },
        );
    });
    assert!(
        whole > how_many() / 4,
        "only {whole} frames came through: the changes are too crude to test much"
    );
}

#[test]
fn what_was_recorded_is_read_as_it_is() {
    let _alone = alone();
    let corpus = captures::frames();
    let mut kinds = Vec::new();
    assert!(read(&corpus.concat(), || 7, |frame| kinds.push(frame.kind as u8)));
    assert!(corpus.iter().map(|frame| frame[4]).eq(kinds));
}

proptest! {
    #[test]
    fn frames_arrive_whole_however_they_are_cut(
        payload in proptest::collection::vec(any::<u8>(), 0..6000),
        envelope in proptest::collection::vec(any::<u8>(), 0..64),
        buffers in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9000), 0..5),
        piece in 1_usize..10_000,
    ) {
        let _alone = alone();
        let mut bytes = Vec::new();
        for _ in 0..2 {
            let open = begin(&mut bytes, Kind::Request, frame::flag::IDEMPOTENT, &envelope);
            bytes.extend_from_slice(&payload);
            open.finish(&mut bytes, buffers.iter().map(|buffer| (buffer.len(), false)), MAX_FRAME).unwrap();
            bytes.extend(buffers.concat());
        }
        let mut count = 0;
        let whole = read(&bytes, || piece, |frame| {
            count += 1;
            assert_eq!(frame.envelope(), envelope);
            assert_eq!(frame.payload(), payload);
            assert_eq!(frame.buffers, buffers);
        });
        prop_assert!(whole);
        prop_assert_eq!(count, 2);
    }

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _alone = alone();
        read(&bytes, || 64, |frame| read_contents(&frame));
    }
}
