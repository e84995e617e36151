//! Texts read: most are a run of bytes that end in a quote.

use pyo3::ffi;
use pyo3::prelude::*;

use super::decode::Decoder;
use super::refusal::{Outcome, Refusal};
use super::scan;
use super::write_text::append;

impl<'a, 'py> Decoder<'a, 'py> {
    /// The text that begins here, with its quote.
    #[inline]
    pub(super) fn text(&mut self) -> Outcome<Bound<'py, PyAny>> {
        match self.run() {
            Some(bytes) => self.build(bytes),
            None => self.escaped(),
        }
    }

    /// The same for a key.
    #[inline]
    pub(super) fn key(&mut self) -> Outcome<Bound<'py, PyAny>> {
        let start = self.at;
        let Some(bytes) = self.run() else { return self.escaped() };
        let py = self.py;
        match self.kept.key(py, bytes, || build(py, bytes).ok_or(())) {
            Ok(key) => Ok(key),
            Err(()) => Err(self.not_text(start + 1)),
        }
    }

    /// What stands between this quote and the next, if nothing in there needs a second look. Else the cursor stays.
    #[inline]
    fn run(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at + 1..)?;
        let (run, rest) = rest.split_at_checked(scan::plain(rest))?;
        if rest.first() != Some(&b'"') {
            return None;
        }
        self.at += run.len() + 2;
        Some(run)
    }

    #[inline]
    fn build(&mut self, bytes: &[u8]) -> Outcome<Bound<'py, PyAny>> {
        build(self.py, bytes).ok_or_else(|| self.not_text(self.at - bytes.len() - 1))
    }

    /// A text with escapes, or one that is broken.
    #[inline(never)]
    fn escaped(&mut self) -> Outcome<Bound<'py, PyAny>> {
        self.at += 1;
        let start = self.at;
        let mut text = std::mem::take(&mut self.kept.text);
        text.clear();
        let built = self.unescape(&mut text).and_then(|lone| {
            let built = if lone { self.build_with_surrogates(&text, start) } else { build(self.py, &text) };
            built.ok_or_else(|| self.not_text(start))
        });
        self.kept.text = text;
        built
    }

    /// Reads to the quote that ends the text. Whether there was half of a surrogate pair, which UTF-8 cannot spell:
    /// then `text` has it in the three bytes that would be its own.
    fn unescape(&mut self, text: &mut Vec<u8>) -> Outcome<bool> {
        let mut lone = false;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let (plain, rest) = rest.split_at_checked(scan::plain(rest)).unwrap_or_default();
            append(text, plain);
            self.at += plain.len();
            match rest.first() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(lone);
                }
                Some(b'\\') => lone |= self.escape(text)?,
                Some(_) => return Err(self.wrong("a control character inside a text")),
                None => return Err(self.wrong("a text without an end")),
            }
        }
    }

    /// One escape. Whether it is half of a surrogate pair, and the other half does not follow.
    fn escape(&mut self, text: &mut Vec<u8>) -> Outcome<bool> {
        let plain = match self.bytes.get(self.at + 1) {
            Some(&same @ (b'"' | b'\\' | b'/')) => same,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => return self.unit(text),
            _ => return Err(self.wrong("an escape that does not exist")),
        };
        text.push(plain);
        self.at += 2;
        Ok(false)
    }

    /// One escaped unit of UTF-16, or two that are a pair.
    fn unit(&mut self, text: &mut Vec<u8>) -> Outcome<bool> {
        let Some(unit) = self.hex(self.at) else {
            return Err(self.wrong("an escape without its four digits"));
        };
        self.at += 6;
        let mut point = u32::from(unit);
        if let 0xd800..=0xdbff = unit
            && let Some(low @ 0xdc00..=0xdfff) = self.hex(self.at)
        {
            self.at += 6;
            point = 0x1_0000 + ((point & 0x3ff) << 10 | u32::from(low & 0x3ff));
        }
        let mut buffer = [0; 4];
        match char::from_u32(point) {
            Some(letter) => text.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes()),
            None => {
                let [high, low] = unit.to_be_bytes();
                text.extend_from_slice(&[0xed, 0x80 | (high & 0xf) << 2 | low >> 6, 0x80 | low & 0x3f]);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The unit of the escape at `at`.
    fn hex(&self, at: usize) -> Option<u16> {
        let [b'\\', b'u', digits @ ..] = self.bytes.get(at..at + 6)? else { return None };
        digits.iter().try_fold(0, |unit, &digit| {
            let digit = char::from(digit).to_digit(16)?;
            Some(unit << 4 | u16::try_from(digit).ok()?)
        })
    }

    /// What was read must be UTF-8 in spite of the laxer reading.
    fn build_with_surrogates(&self, text: &[u8], start: usize) -> Option<Bound<'py, PyAny>> {
        let read = self.bytes.get(start..self.at)?;
        if std::str::from_utf8(read).is_err() {
            return None;
        }
        // SAFETY: attached, and `text` are that many bytes; the result is a new reference.
        unsafe {
            let len = text.len().cast_signed();
            let text = ffi::PyUnicode_DecodeUTF8(text.as_ptr().cast(), len, c"surrogatepass".as_ptr());
            Bound::from_owned_ptr_or_opt(self.py, text)
        }
    }

    /// The refusal of a text from `start` on that could not be built.
    #[cold]
    fn not_text(&mut self, start: usize) -> Box<Refusal> {
        let valid = match std::str::from_utf8(self.bytes.get(start..).unwrap_or_default()) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let broken = start + valid;
        match PyErr::take(self.py) {
            Some(error) if broken >= self.at => {
                Refusal::raised(self.py, "a text that cannot be built", error)
            }
            _ => {
                self.at = broken;
                self.wrong("a text that is not UTF-8")
            }
        }
    }
}

/// A str; `None`, with a Python exception set, when the bytes are no UTF-8.
#[inline]
fn build<'py>(py: Python<'py>, bytes: &[u8]) -> Option<Bound<'py, PyAny>> {
    // SAFETY: attached, and `bytes` are that many; the result is a new reference.
    unsafe {
        let text = ffi::PyUnicode_FromStringAndSize(bytes.as_ptr().cast(), bytes.len().cast_signed());
        Bound::from_owned_ptr_or_opt(py, text)
    }
}
