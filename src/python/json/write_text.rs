//! Texts written: quotes, backslashes and control characters escaped, everything else as the UTF-8 it is.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::refusal::{Outcome, Refusal};
use super::scan;

/// Writes a text of UTF-8.
#[inline]
pub(super) fn put(out: &mut Vec<u8>, text: &[u8]) {
    let plain = scan::plain(text);
    if plain < text.len() {
        out.push(b'"');
        put_escaped(out, text, plain);
        return out.push(b'"');
    }
    out.reserve(text.len() + 2);
    // SAFETY: there is room for the text and its quotes.
    unsafe {
        let to = out.as_mut_ptr().add(out.len());
        to.write(b'"');
        copy(text, to.add(1));
        to.add(1 + text.len()).write(b'"');
        out.set_len(out.len() + text.len() + 2);
    }
}

/// Appends bytes of which there are mostly few.
#[inline]
pub(super) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len());
    // SAFETY: there is room for them.
    unsafe {
        copy(bytes, out.as_mut_ptr().add(out.len()));
        out.set_len(out.len() + bytes.len());
    }
}

/// Copies bytes: up to two words without a call, in halves that overlap.
///
/// # Safety
/// There is room for `from.len()` bytes at `to`, which are none of `from`.
#[inline]
unsafe fn copy(from: &[u8], to: *mut u8) {
    let len = from.len();
    let from = from.as_ptr();
    // SAFETY: told above; no half goes past the end.
    unsafe {
        match len {
            17.. => to.copy_from_nonoverlapping(from, len),
            8..=16 => {
                let halves =
                    (from.cast::<u64>().read_unaligned(), from.add(len - 8).cast::<u64>().read_unaligned());
                to.cast::<u64>().write_unaligned(halves.0);
                to.add(len - 8).cast::<u64>().write_unaligned(halves.1);
            }
            4..=7 => {
                let halves =
                    (from.cast::<u32>().read_unaligned(), from.add(len - 4).cast::<u32>().read_unaligned());
                to.cast::<u32>().write_unaligned(halves.0);
                to.add(len - 4).cast::<u32>().write_unaligned(halves.1);
            }
            1..=3 => {
                to.write(from.read());
                to.add(len / 2).write(from.add(len / 2).read());
                to.add(len - 1).write(from.add(len - 1).read());
            }
            0 => {}
        }
    }
}

/// What stands behind the backslash of each special byte; `u` where four digits follow.
const ESCAPES: [u8; 0x60] = {
    let mut escapes = [b'u'; 0x60];
    escapes[0x08] = b'b';
    escapes[b'\t' as usize] = b't';
    escapes[b'\n' as usize] = b'n';
    escapes[0x0c] = b'f';
    escapes[b'\r' as usize] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes
};

/// The same when the byte at `plain` needs an escape.
fn put_escaped(out: &mut Vec<u8>, mut text: &[u8], mut plain: usize) {
    out.reserve(text.len() + text.len() / 8);
    loop {
        let (before, rest) = text.split_at(plain);
        append(out, before);
        let Some((&special, rest)) = rest.split_first() else { return };
        match ESCAPES.get(usize::from(special)) {
            Some(&letter) if letter != b'u' => out.extend_from_slice(&[b'\\', letter]),
            _ => put_unit(out, u16::from(special)),
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
