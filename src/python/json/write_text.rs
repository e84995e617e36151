//! Texts written: quotes, backslashes and control characters escaped, everything else as the UTF-8 it is.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::refusal::{Outcome, Refusal};
use super::scan;

/// Writes a text of UTF-8.
#[inline]
pub(super) fn put(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let plain = scan::plain(text);
    if plain == text.len() {
        append(out, text);
    } else {
        put_escaped(out, text, plain);
    }
    out.push(b'"');
}

/// Appends bytes, of which there are mostly few: those are moved in two words at most, with no call.
#[inline]
pub(super) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = bytes.len();
    if len > 16 {
        return out.extend_from_slice(bytes);
    }
    out.reserve(16);
    // SAFETY: there is room for as many as are there, and the halves overlap where there are fewer than two words.
    unsafe {
        let (from, to) = (bytes.as_ptr(), out.as_mut_ptr().add(out.len()));
        if len >= 8 {
            let (first, last) =
                (from.cast::<u64>().read_unaligned(), from.add(len - 8).cast::<u64>().read_unaligned());
            to.cast::<u64>().write_unaligned(first);
            to.add(len - 8).cast::<u64>().write_unaligned(last);
        } else if len >= 4 {
            let (first, last) =
                (from.cast::<u32>().read_unaligned(), from.add(len - 4).cast::<u32>().read_unaligned());
            to.cast::<u32>().write_unaligned(first);
            to.add(len - 4).cast::<u32>().write_unaligned(last);
        } else {
            for (index, &byte) in bytes.iter().enumerate() {
                to.add(index).write(byte);
            }
        }
        out.set_len(out.len() + len);
    }
}

/// The same when the byte at `plain` needs an escape.
fn put_escaped(out: &mut Vec<u8>, mut text: &[u8], mut plain: usize) {
    loop {
        let (before, rest) = text.split_at(plain);
        out.extend_from_slice(before);
        let Some((&special, rest)) = rest.split_first() else { return };
        match special {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            other => put_unit(out, u16::from(other)),
        }
        text = rest;
        plain = scan::plain(text);
    }
}

/// Writes a str that holds lone surrogates, which no UTF-8 has: they are escaped, and arrive as they were.
#[cold]
pub(super) fn put_with_surrogates(out: &mut Vec<u8>, text: &Bound<'_, PyAny>) -> Outcome<()> {
    let py = text.py();
    // UnicodeEncodeError, of the encoding without them.
    drop(PyErr::take(py));
    // SAFETY: a str; the result is a new reference to bytes.
    let encoded = unsafe {
        let bytes =
            ffi::PyUnicode_AsEncodedString(text.as_ptr(), c"utf-8".as_ptr(), c"surrogatepass".as_ptr());
        Bound::from_owned_ptr_or_opt(py, bytes)
            .ok_or_else(|| Refusal::fetched(py, "a text that cannot be read"))?
    };
    let encoded = encoded.cast::<PyBytes>().map_err(|_| Refusal::new("a text that cannot be read"))?;
    let mut rest = encoded.as_bytes();
    out.push(b'"');
    // Of all that UTF-8 can spell, only surrogates are three bytes that begin so.
    while let Some(at) = rest.windows(3).position(|bytes| bytes[0] == 0xed && bytes[1] >= 0xa0) {
        let (before, found) = rest.split_at(at);
        put_escaped(out, before, scan::plain(before));
        let [_, second, third, after @ ..] = found else { break };
        put_unit(out, 0xd000 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f));
        rest = after;
    }
    put_escaped(out, rest, scan::plain(rest));
    out.push(b'"');
    Ok(())
}

/// One unit of UTF-16 as an escape.
fn put_unit(out: &mut Vec<u8>, unit: u16) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        out.push(DIGITS[usize::from(unit >> shift & 0xf)]);
    }
}
