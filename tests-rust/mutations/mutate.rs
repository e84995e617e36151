//! Changes that know where a frame's fields are.

use crate::trials::Chance;

const LENGTHS: [u32; 12] = [0, 1, 2, 7, 8, 23, 24, 4096, 1 << 20, (1 << 20) + 1, 0x7fff_ffff, u32::MAX];
/// Beginnings of msgpack values that promise much.
const PROMISES: [&[u8]; 6] = [
    &[0xdd, 0xff, 0xff, 0xff, 0xff],
    &[0xdf, 0xff, 0xff, 0xff, 0xff],
    &[0xc6, 0xff, 0xff, 0xff, 0xff],
    &[0xdb, 0x7f, 0xff, 0xff, 0xff],
    &[0x91; 40],
    &[0xc1],
];

/// One frame, changed in up to three ways.
pub(crate) fn mutated(frame: &[u8], other: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    for _ in 0..chance.below(4) {
        change(&mut bytes, other, chance);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], chance: &mut Chance) {
    let (length, at) = (bytes.len(), chance.below(bytes.len().max(1)));
    match chance.below(12) {
        _ if length < 8 => bytes.extend_from_slice(other),
        0 => bytes[at] ^= 1 << chance.below(8),
        1 => bytes[at] = *chance.pick(&[0, 1, 0x7f, 0x80, 0xff]),
        2 => put_length(bytes, 0, *chance.pick(&LENGTHS)),
        3 => {
            // The right length, or nearly.
            let near = u32::try_from(length - 8 + chance.below(3)).unwrap().saturating_sub(1);
            put_length(bytes, 0, near);
        }
        4 => bytes[4] = u8::try_from(chance.below(14)).unwrap(),
        5 => bytes[5] ^= *chance.pick(&[0x80, 1, 2, 4, 0xff]),
        6 => {
            let envelope = u16::try_from(chance.pick(&LENGTHS) & 0xffff).unwrap();
            bytes[6..8].copy_from_slice(&envelope.to_le_bytes());
        }
        7 => {
            // A table of buffers where none was: lengths, then their count.
            let count = *chance.pick(&[0_u16, 1, 3, 1024, 1025, 0xffff]);
            for _ in 0..count.min(4) {
                bytes.extend_from_slice(&chance.pick(&LENGTHS).to_le_bytes());
            }
            bytes.extend_from_slice(&count.to_le_bytes());
            bytes[5] |= 0x80;
            let head = u32::try_from(bytes.len() - 8).unwrap();
            put_length(bytes, 0, head);
        }
        8 => bytes.truncate(at),
        9 => {
            let promise = chance.pick(&PROMISES);
            bytes.splice(at..at, promise.iter().copied());
            let head = u32::try_from(bytes.len() - 8).unwrap();
            put_length(bytes, 0, head);
        }
        10 if length >= 12 => put_length(bytes, at.min(length - 4), *chance.pick(&LENGTHS)),
        _ => {
            bytes.truncate(at);
            bytes.extend_from_slice(&other[chance.below(other.len())..]);
        }
    }
}

fn put_length(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}
