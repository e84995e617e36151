//! The first 64 bytes of each side.

use crate::core::error::{Code, Error, Result};

/// The length of a greeting.
pub(super) const GREETING: usize = 64;
/// What tells a peer that ZMTP 3 is spoken, so that it says all of its own.
pub(super) const UP_TO_VERSION: usize = VERSION + 1;
/// What anyone may do.
pub(super) const NULL: &[u8] = b"NULL";
/// What those may do who prove that they know the hub's secret: see `proof`.
pub(super) const SECRET: &[u8] = b"IRONBRIDGE-HMAC";

const VERSION: usize = 10;
const MECHANISM: usize = 12;
const AS_SERVER: usize = 32;

/// A greeting of ours.
pub(super) fn write(mechanism: &[u8], as_server: bool) -> [u8; GREETING] {
    let mut bytes = [0; GREETING];
    let mut put = |at: usize, part: &[u8]| {
        for (place, byte) in bytes.iter_mut().skip(at).zip(part) {
            *place = *byte;
        }
    };
    put(0, &[0xff]);
    put(9, &[0x7f, 3, 1]);
    put(MECHANISM, mechanism);
    put(AS_SERVER, &[u8::from(as_server)]);
    bytes
}

/// Whether these first bytes can become a greeting; the rest of them need not be there yet.
pub(super) fn check_beginning(bytes: &[u8]) -> Result<()> {
    let other = |found: &str| {
        Error::protocol(format!(
            "the peer does not speak ZMTP 3 ({found}): give the address of a ZeroMQ socket, and libzmq 4 or newer"
        ))
    };
    if bytes.first().is_some_and(|byte| *byte != 0xff) {
        return Err(other("its first byte is not that of a greeting"));
    }
    if bytes.get(9).is_some_and(|byte| byte & 1 == 0) {
        return Err(other("what it says is no greeting, or one of ZMTP 1"));
    }
    match bytes.get(VERSION) {
        Some(major) if *major < 3 => Err(other(&format!("its version is {major}"))),
        _ => Ok(()),
    }
}

/// What a peer's greeting says: its minor version, when it is one whose mechanism is ours too.
pub(super) fn read(bytes: &[u8], ours: &[u8], as_server: bool) -> Result<u8> {
    check_beginning(bytes)?;
    let field = bytes.get(MECHANISM..AS_SERVER).unwrap_or_default();
    let name = field.split(|byte| *byte == 0).next().unwrap_or_default();
    if name == ours {
        // A later major version speaks 3.1 with us.
        return Ok(if bytes.get(VERSION) == Some(&3) {
            bytes.get(VERSION + 1).copied().unwrap_or(0)
        } else {
            1
        });
    }
    let (code, text) = if ours == SECRET && as_server {
        (
            Code::Authentication,
            "the peer does not prove that it knows the hub's secret: give it the same".to_owned(),
        )
    } else if ours == SECRET {
        (
            Code::Authentication,
            "the hub asks for no secret, and here is one: give both sides the same".to_owned(),
        )
    } else if name == SECRET {
        (Code::Authentication, "the peer has a secret, and here is none: give both sides the same".to_owned())
    } else {
        let name: String = String::from_utf8_lossy(name).escape_debug().collect();
        (Code::Protocol, format!("the peer asks for the mechanism {name:?}, and a hub has NULL"))
    };
    Err(Error::new(code, text))
}
