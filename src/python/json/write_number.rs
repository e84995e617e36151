//! Numbers written as Python's `repr` writes them.

use pyo3::ffi;
use pyo3::prelude::*;

use super::refusal::{Outcome, Refusal};
use super::write_text::append;

/// From here on `repr` writes an exponent; below [`SMALLEST_FIXED`], too.
const FIRST_WITH_EXPONENT: f64 = 1e16;
const SMALLEST_FIXED: f64 = 1e-4;

/// An int of 64 bits.
#[inline]
pub(super) fn put_int(out: &mut Vec<u8>, number: i64) {
    append(out, itoa::Buffer::new().format(number).as_bytes());
}

/// A wider int. Its digits are bounded as those of `str(int)` are (`sys.set_int_max_str_digits`), since they take
/// quadratic time.
#[cold]
pub(super) fn put_wide(out: &mut Vec<u8>, number: &Bound<'_, PyAny>) -> Outcome<()> {
    let py = number.py();
    // SAFETY: an int; the result is a new reference to a str.
    let digits = unsafe { Bound::from_owned_ptr_or_opt(py, ffi::PyNumber_ToBase(number.as_ptr(), 10)) };
    let digits = digits.ok_or_else(|| Refusal::fetched(py, "an int that cannot be written"))?;
    let digits =
        digits.extract::<&str>().map_err(Refusal::while_doing(py, "an int that cannot be written"))?;
    out.extend_from_slice(digits.as_bytes());
    Ok(())
}

/// A float: the shortest digits that read back as the same.
#[inline]
pub(super) fn put_float(out: &mut Vec<u8>, number: f64) {
    if !number.is_finite() {
        let name: &[u8] = match number {
            f64::INFINITY => b"Infinity",
            f64::NEG_INFINITY => b"-Infinity",
            _ => b"NaN",
        };
        return out.extend_from_slice(name);
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(number).as_bytes();
    let size = number.abs();
    if size == 0.0 || (SMALLEST_FIXED..FIRST_WITH_EXPONENT).contains(&size) {
        append(out, text);
    } else {
        put_with_exponent(out, text);
    }
}

/// The same digits with an exponent as `repr` writes it: with a sign, and two digits at least.
fn put_with_exponent(out: &mut Vec<u8>, text: &[u8]) {
    let text = text.strip_prefix(b"-").inspect(|_| out.push(b'-')).unwrap_or(text);
    let Some(split) = text.iter().position(|&byte| byte == b'e') else { return put_small(out, text) };
    let (mantissa, exponent) = text.split_at(split);
    let exponent = exponent.get(1..).unwrap_or_default();
    let (sign, digits) = match exponent {
        [b'-', digits @ ..] => (b'-', digits),
        [b'+', digits @ ..] => (b'+', digits),
        digits => (b'+', digits),
    };
    out.extend_from_slice(mantissa);
    out.extend_from_slice(&[b'e', sign]);
    if digits.len() < 2 {
        out.push(b'0');
    }
    out.extend_from_slice(digits);
}

/// `0.000012` as `1.2e-05`.
fn put_small(out: &mut Vec<u8>, text: &[u8]) {
    let digits = text.strip_prefix(b"0.").unwrap_or(text);
    let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
    let Some((&first, rest)) = digits.get(zeros..).and_then(<[u8]>::split_first) else { return };
    out.push(first);
    if !rest.is_empty() {
        out.push(b'.');
        out.extend_from_slice(rest);
    }
    let exponent = zeros + 1;
    out.extend_from_slice(if exponent < 10 { b"e-0" } else { b"e-" });
    out.extend_from_slice(itoa::Buffer::new().format(exponent).as_bytes());
}
