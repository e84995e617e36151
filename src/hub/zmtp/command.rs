//! Commands, and the properties that some of them hold.

use super::Role;
use crate::core::error::{Error, Result};

/// A command's name and the rest of it.
pub(super) fn split(body: &[u8]) -> Result<(&[u8], &[u8])> {
    let named = || {
        let (length, rest) = body.split_first()?;
        rest.split_at_checked(usize::from(*length))
    };
    match named() {
        Some((name, rest)) if !name.is_empty() => Ok((name, rest)),
        _ => Err(Error::protocol("a command without a whole name")),
    }
}

/// What a peer says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Properties<'a> {
    pub(super) socket_type: Option<&'a [u8]>,
    pub(super) identity: &'a [u8],
}

impl<'a> Properties<'a> {
    /// Reads all properties; those of unknown names are passed over.
    pub(super) fn read(mut bytes: &'a [u8]) -> Result<Self> {
        let mut found = Self::default();
        while !bytes.is_empty() {
            let (name, value, rest) =
                property(bytes).ok_or_else(|| Error::protocol("a property that is cut off"))?;
            if name.eq_ignore_ascii_case(b"Socket-Type") {
                found.socket_type = Some(value);
            } else if name.eq_ignore_ascii_case(b"Identity") {
                if value.len() > LONGEST_IDENTITY {
                    return Err(Error::protocol("an identity of more than 255 bytes"));
                }
                found.identity = value;
            }
            bytes = rest;
        }
        Ok(found)
    }

    /// Appends the properties of a socket of ours.
    pub(super) fn write(out: &mut Vec<u8>, role: Role, identity: &[u8]) {
        let identity = identity.get(..LONGEST_IDENTITY).unwrap_or(identity);
        for (name, value) in [("Socket-Type", role.name().as_bytes()), ("Identity", identity)] {
            out.push(u8::try_from(name.len()).unwrap_or(0));
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(0).to_be_bytes());
            out.extend_from_slice(value);
        }
    }
}

const LONGEST_IDENTITY: usize = 255;

/// A property's name and value, and what follows it.
fn property(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some((name, value, rest))
}

/// The reason in an `ERROR` command, for people.
pub(super) fn reason(body: &[u8]) -> String {
    let told =
        body.split_first().map_or(&[][..], |(length, rest)| rest.get(..usize::from(*length)).unwrap_or(rest));
    String::from_utf8_lossy(told).chars().filter(|character| !character.is_control()).collect()
}
