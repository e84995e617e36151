//! From one serializer to the other: what nodes tell of themselves is kept as JSON, whatever it came as.

use std::io::Write;

use rmp::Marker;

use super::msgpack::{self, header};
use crate::core::json;

/// Deeper values are refused.
const DEEPEST: usize = 128;

/// The JSON of a MessagePack value, as Moleculer would have written it: bytes as a `Buffer` object, other types of
/// MessagePack's own as null. `None` when it is malformed, too deep, or has names that are no texts.
#[must_use]
pub fn to_json(raw: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(raw.len() * 2);
    let end = put(&mut out, raw, DEEPEST)?;
    (end == raw.len()).then_some(out)
}

/// Writes the value that `raw` begins with; tells its extent.
fn put(out: &mut Vec<u8>, raw: &[u8], deeper: usize) -> Option<usize> {
    let head = header(raw)?;
    let begin = head.start.checked_add(head.length)?;
    if deeper == 0 || begin > raw.len() {
        return None;
    }
    let whole = raw.get(..begin)?;
    match Marker::from_u8(*raw.first()?) {
        Marker::True => out.extend_from_slice(b"true"),
        Marker::False => out.extend_from_slice(b"false"),
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            json::write_text(out, msgpack::text(whole)?);
        }
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => put_bytes(out, whole.get(head.start..)?),
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
            return put_nest(out, raw, begin, head.values, deeper, [b'[', b']']);
        }
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
            return put_nest(out, raw, begin, head.values / 2, deeper, [b'{', b'}']);
        }
        Marker::U64 => {
            let digits = whole.get(1..)?.try_into().ok()?;
            out.extend_from_slice(itoa::Buffer::new().format(u64::from_be_bytes(digits)).as_bytes());
        }
        Marker::I64 => {
            let digits = whole.get(1..)?.try_into().ok()?;
            out.extend_from_slice(itoa::Buffer::new().format(i64::from_be_bytes(digits)).as_bytes());
        }
        // Writing to a vector cannot fail.
        _ => match msgpack::number(whole) {
            Some(number) => drop(write!(out, "{number}")),
            None => out.extend_from_slice(b"null"),
        },
    }
    Some(begin)
}

fn put_nest(
    out: &mut Vec<u8>,
    raw: &[u8],
    begin: usize,
    count: u64,
    deeper: usize,
    [open, close]: [u8; 2],
) -> Option<usize> {
    let mut at = begin;
    out.push(open);
    for place in 0..count {
        if place > 0 {
            out.push(b',');
        }
        if open == b'{' {
            let name = raw.get(at..)?;
            let length = msgpack::extent(name)?;
            json::write_text(out, msgpack::text(name.get(..length)?)?);
            out.push(b':');
            at += length;
        }
        at += put(out, raw.get(at..)?, deeper - 1)?;
    }
    out.push(close);
    Some(at)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(b"{\"type\":\"Buffer\",\"data\":[");
    for (place, byte) in bytes.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(itoa::Buffer::new().format(*byte).as_bytes());
    }
    out.extend_from_slice(b"]}");
}

/// The MessagePack of a JSON value; `None` when it is none.
#[must_use]
pub fn to_msgpack(raw: &[u8]) -> Option<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(raw).ok()?;
    rmp_serde::to_vec(&value).ok()
}
