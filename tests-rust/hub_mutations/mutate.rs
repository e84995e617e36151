//! Changes that know where a frame's fields are.

use ironbridge::hub::zmtp::{cancel, error, message, ping, pong, subscribe};

use crate::trials::Chance;

const LENGTHS: [u64; 12] =
    [0, 1, 2, 255, 256, 4096, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, 1 << 32, 1 << 46, u64::MAX];

/// Frames of every kind that a hub or a member sees, each right.
pub(crate) fn frames() -> Vec<Vec<u8>> {
    let body = |fill: fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        fill(&mut out);
        out
    };
    vec![
        body(|out| message(out, &[b"<r>:{\"s\": \"Db\", \"a\": [\"save\", \"load\"]}"])),
        body(|out| {
            message(out, &[b"<r>:{\"s\":\"Db\",\"a\":[\"save\"],\"i\":\"0123456789abcdef\",\"v\":1}"])
        }),
        body(|out| message(out, &[b"<b>:{\"s\": \"Db\", \"d\": [1, 2.5, null, \"x\"]}"])),
        body(|out| message(out, &[b"save:{\"s\":\"A\",\"d\":{},\"i\":\"01\",\"c\":7,\"t\":2999}"])),
        body(|out| message(out, &[b"<c>0123456789abcdef:{\"s\":\"Db\",\"i\":\"01\",\"c\":7,\"d\":null}"])),
        body(|out| message(out, &[b"<e>0123456789abcdef:{\"n\":1}"])),
        body(|out| message(out, &[b"<p>:{\"s\":\"A\",\"i\":\"01\",\"a\":[],\"k\":\"gone\",\"t\":1000}"])),
        body(|out| message(out, &[&[b'x'; 300]])),
        body(|out| message(out, &[])),
        body(|out| subscribe(out, b"<r>")),
        body(|out| subscribe(out, b"")),
        body(|out| cancel(out, b"<r>")),
        [&[4, 14][..], b"\x09SUBSCRIBEnews"].concat(),
        [&[4, 11][..], b"\x06CANCELnews"].concat(),
        body(|out| ping(out, 100, b"abc")),
        body(|out| pong(out, b"abc")),
        body(|out| error(out, "enough")),
        [&[1, 3][..], b"one", &[0, 3], b"two"].concat(),
    ]
}

/// Bytes, changed in up to three ways.
pub(crate) fn mutated(bytes: &[u8], other: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..chance.below(4) {
        change(&mut bytes, other, chance);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], chance: &mut Chance) {
    let (length, at) = (bytes.len(), chance.below(bytes.len().max(1)));
    match chance.below(10) {
        _ if length < 2 => bytes.extend_from_slice(other),
        0 => bytes[at] ^= 1 << chance.below(8),
        1 => bytes[at] = *chance.pick(&[0, 1, 0x7f, 0x80, 0xff]),
        // Flags, also of frames that follow another.
        2 => bytes[0] = u8::try_from(chance.below(16)).unwrap(),
        3 => bytes[1] = bytes[1].wrapping_add(*chance.pick(&[1, 2, 0xff, 0x80])),
        4 => {
            // The same frame with a long length, right or not.
            let length = if chance.below(2) == 0 { u64::from(bytes[1]) } else { *chance.pick(&LENGTHS) };
            bytes[0] |= 2;
            bytes.splice(1..2, length.to_be_bytes());
        }
        5 => bytes.truncate(at),
        6 => {
            let run = chance.below(64);
            bytes.splice(at..at, std::iter::repeat_n(*chance.pick(&[0, 4, 6, 0xff]), run));
        }
        7 => bytes[2..].fill(*chance.pick(&[0, 0xff, b':', b'<', b'"'])),
        8 => {
            let from = chance.below(other.len().max(1));
            bytes.splice(at..at, other[from.min(other.len())..].iter().copied());
        }
        _ => {
            bytes.truncate(at);
            bytes.extend_from_slice(other);
        }
    }
}
