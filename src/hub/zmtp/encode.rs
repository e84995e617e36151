//! What is written: each function appends to the bytes that will be sent.

use super::flag;

/// The longest header of a frame.
pub const HEADER: usize = 9;

/// The header of a message of one frame. The same bytes are what was received, when its sender wrote it the
/// shortest way.
#[inline]
pub fn header(out: &mut Vec<u8>, length: usize) {
    begin(out, 0, length);
}

/// A message of one frame: these parts joined.
#[inline]
pub fn message(out: &mut Vec<u8>, body_parts: &[&[u8]]) {
    header(out, body_parts.iter().map(|part| part.len()).sum());
    for part in body_parts {
        out.extend_from_slice(part);
    }
}

/// Asks for messages that begin so; the spelling that peers of every 3.x understand.
pub fn subscribe(out: &mut Vec<u8>, prefix: &[u8]) {
    message(out, &[&[1], prefix]);
}

/// Takes one [`subscribe`] back.
pub fn cancel(out: &mut Vec<u8>, prefix: &[u8]) {
    message(out, &[&[0], prefix]);
}

/// Asks for a [`pong`]; a peer that hears nothing more for `time_to_live` (tenths of a second, 0 for ever) may give
/// this side up. At most 16 bytes of context come back.
pub fn ping(out: &mut Vec<u8>, time_to_live: u16, context: &[u8]) {
    command(out, b"PING", &[&time_to_live.to_be_bytes(), context.get(..16).unwrap_or(context)]);
}

/// Answers a ping.
pub fn pong(out: &mut Vec<u8>, context: &[u8]) {
    command(out, b"PONG", &[context.get(..16).unwrap_or(context)]);
}

/// Why the connection ends: at most 255 bytes of it.
pub fn error(out: &mut Vec<u8>, reason: &str) {
    let mut length = reason.len().min(255);
    while !reason.is_char_boundary(length) {
        length -= 1;
    }
    let reason = reason.as_bytes().get(..length).unwrap_or_default();
    command(out, b"ERROR", &[&[u8::try_from(length).unwrap_or(0)], reason]);
}

/// A command: its name, then these parts.
pub(super) fn command(out: &mut Vec<u8>, name: &[u8], parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    begin(out, flag::COMMAND, 1 + name.len() + length);
    out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(name);
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[inline]
fn begin(out: &mut Vec<u8>, flags: u8, length: usize) {
    if let Ok(short) = u8::try_from(length) {
        out.extend_from_slice(&[flags, short]);
    } else {
        let [a, b, c, d, e, f, g, h] = (length as u64).to_be_bytes();
        out.extend_from_slice(&[flags | flag::LONG, a, b, c, d, e, f, g, h]);
    }
}
