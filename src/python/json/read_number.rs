//! Numbers read: an int unless there is a point or an exponent.

use pyo3::ffi;
use pyo3::prelude::*;

use super::decode::{Decoder, made};
use super::refusal::{Outcome, Refusal};

/// Up to so many digits fit an int of 64 bits with a sign.
const DIGITS_OF_I64: usize = 18;
/// Integers up to here are exact as floats, and so are the powers of ten of the table: one rounding is left.
const EXACT: u64 = 1 << 53;
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

impl<'py> Decoder<'_, 'py> {
    /// The number that begins here.
    pub(super) fn number(&mut self) -> Outcome<Bound<'py, PyAny>> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let mut digits = 0;
        let first = self.at;
        match self.peek() {
            // No digit follows a leading zero.
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(&mut digits),
            Some(b'I') if negative => {
                self.word(b"Infinity")?;
                return self.float(f64::NEG_INFINITY);
            }
            _ => return Err(self.expected("a digit")),
        }
        let mut count = self.at - first;
        let mut point = 0;
        let mut is_float = false;
        if self.peek() == Some(b'.') {
            is_float = true;
            self.at += 1;
            let first = self.at;
            self.digits(&mut digits);
            point = self.at - first;
            count += point;
            if point == 0 {
                return Err(self.expected("a digit"));
            }
        }
        let mut is_short = count <= DIGITS_OF_I64;
        if let Some(b'e' | b'E') = self.peek() {
            (is_float, is_short) = (true, false);
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            if !matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.expected("a digit"));
            }
            self.digits(&mut 0);
        }
        if !is_float {
            return if is_short { self.int(signed(digits, negative)) } else { self.wide(start) };
        }
        match POWERS.get(point) {
            Some(power) if is_short && digits <= EXACT => {
                #[expect(clippy::cast_precision_loss, reason = "exact")]
                let size = digits as f64 / power;
                self.float(if negative { -size } else { size })
            }
            _ => self.long_float(start),
        }
    }

    /// Steps over digits, and appends them to `number`, which is right while there are not too many.
    #[inline]
    fn digits(&mut self, number: &mut u64) {
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            *number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
    }

    #[inline]
    fn int(&self, number: i64) -> Outcome<Bound<'py, PyAny>> {
        // SAFETY: attached.
        made(self.py, unsafe { ffi::PyLong_FromLongLong(number) }, "an integer")
    }

    #[inline]
    pub(super) fn float(&self, number: f64) -> Outcome<Bound<'py, PyAny>> {
        // SAFETY: attached.
        made(self.py, unsafe { ffi::PyFloat_FromDouble(number) }, "a float")
    }

    /// What was read from `start`, which is ASCII.
    fn read_from(&self, start: usize) -> &str {
        self.bytes.get(start..self.at).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    fn long_float(&self, start: usize) -> Outcome<Bound<'py, PyAny>> {
        match self.read_from(start).parse::<f64>() {
            Ok(number) => self.float(number),
            Err(_) => Err(self.wrong("not a number")),
        }
    }

    /// An int of any size. Its digits are bounded as those of `int(str)` are (`sys.set_int_max_str_digits`), since
    /// they take quadratic time.
    fn wide(&self, start: usize) -> Outcome<Bound<'py, PyAny>> {
        let text = self.read_from(start);
        if let Ok(number) = text.parse::<i64>() {
            return self.int(number);
        }
        let terminated = [text.as_bytes(), b"\0"].concat();
        // SAFETY: zero-terminated digits, which are copied.
        let number = unsafe { ffi::PyLong_FromString(terminated.as_ptr().cast(), std::ptr::null_mut(), 10) };
        // SAFETY: what the function has just returned to own.
        unsafe { Bound::from_owned_ptr_or_opt(self.py, number) }.ok_or_else(|| {
            Refusal::fetched(self.py, &format!("JSON that cannot be read: the integer at byte {start}"))
        })
    }
}

#[inline]
fn signed(digits: u64, negative: bool) -> i64 {
    let size = digits.cast_signed();
    if negative { -size } else { size }
}
