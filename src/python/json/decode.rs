//! JSON → Python values, built while they are read. The bytes may come from anyone: nothing is allocated that the
//! bytes at hand do not justify, and nothing is entered deeper than the limit.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::keys::Kept;
use super::refusal::{Outcome, Refusal};
use crate::core::error::Fate;
use crate::core::limits::Limits;

/// Reads the one value that `bytes` are.
///
/// # Errors
/// `PayloadError` (rejected) says what is wrong, and at which byte.
pub(crate) fn decode<'py>(py: Python<'py>, bytes: &[u8], limits: &Limits) -> PyResult<Bound<'py, PyAny>> {
    let mut decoder = Decoder { py, bytes, at: 0, limits, items: 0, kept: Kept::take(py) };
    let outcome = decoder.value(0).and_then(|value| decoder.finish().map(|()| value));
    decoder.kept.leave(py);
    outcome.map_err(|refusal| refusal.into_error_with(py, Fate::Rejected))
}

/// A cursor over the bytes.
pub(super) struct Decoder<'a, 'py> {
    pub(super) py: Python<'py>,
    pub(super) bytes: &'a [u8],
    /// Where the next byte is.
    pub(super) at: usize,
    limits: &'a Limits,
    items: usize,
    pub(super) kept: Box<Kept>,
}

impl<'py> Decoder<'_, 'py> {
    /// Reads any value. `depth` is how many containers it is in.
    fn value(&mut self, depth: usize) -> Outcome<Bound<'py, PyAny>> {
        let py = self.py;
        match self.next() {
            Some(b'"') => self.text(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'{') => self.dict(depth),
            Some(b'[') => self.list(depth),
            Some(b'n') => self.word(b"null").map(|()| py.None().into_bound(py)),
            // SAFETY: both live as long as the interpreter.
            Some(b't') => {
                self.word(b"true").map(|()| unsafe { Bound::from_borrowed_ptr(py, ffi::Py_True()) })
            }
            // SAFETY: as above.
            Some(b'f') => {
                self.word(b"false").map(|()| unsafe { Bound::from_borrowed_ptr(py, ffi::Py_False()) })
            }
            Some(b'N') => self.word(b"NaN").and_then(|()| self.float(f64::NAN)),
            Some(b'I') => self.word(b"Infinity").and_then(|()| self.float(f64::INFINITY)),
            _ => Err(self.expected("a value")),
        }
    }

    /// The byte here.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is no space.
    #[inline]
    fn next(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other,
            }
        }
    }

    /// A word of the language.
    #[inline]
    pub(super) fn word(&mut self, word: &[u8]) -> Outcome<()> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.expected("a value"))
        }
    }

    fn finish(&mut self) -> Outcome<()> {
        if self.next().is_none() { Ok(()) } else { Err(self.wrong("more follows after the value")) }
    }

    /// Steps into a container.
    #[inline]
    fn enter(&mut self, depth: usize) -> Outcome<()> {
        if depth >= self.limits.max_depth {
            return Err(
                self.wrong(format!("nested deeper than {} levels (max_depth)", self.limits.max_depth))
            );
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn count(&mut self, items: usize) -> Outcome<()> {
        self.items += items;
        if self.items > self.limits.max_items {
            return Err(self.wrong(format!("more than {} items (max_items)", self.limits.max_items)));
        }
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Outcome<Bound<'py, PyAny>> {
        self.enter(depth)?;
        let first = self.kept.items.len();
        if self.next() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                self.count(1)?;
                let item = self.value(depth + 1)?;
                self.kept.items.push(item.unbind());
                match self.next() {
                    Some(b',') => self.at += 1,
                    Some(b']') => break self.at += 1,
                    _ => return Err(self.expected("',' or ']'")),
                }
            }
        }
        let len = self.kept.items.len() - first;
        // SAFETY: attached.
        let list = made(self.py, unsafe { ffi::PyList_New(len.cast_signed()) }, "a list")?;
        for (index, item) in self.kept.items.drain(first..).enumerate() {
            // SAFETY: a new list of that many empty slots, which takes the reference.
            unsafe { ffi::PyList_SetItem(list.as_ptr(), index.cast_signed(), item.into_ptr()) };
        }
        Ok(list)
    }

    fn dict(&mut self, depth: usize) -> Outcome<Bound<'py, PyAny>> {
        self.enter(depth)?;
        let dict = PyDict::new(self.py);
        if self.next() == Some(b'}') {
            self.at += 1;
            return Ok(dict.into_any());
        }
        loop {
            self.count(2)?;
            if self.next() != Some(b'"') {
                return Err(self.expected("a key in quotes"));
            }
            let key = self.key()?;
            if self.next() != Some(b':') {
                return Err(self.expected("':'"));
            }
            self.at += 1;
            let value = self.value(depth + 1)?;
            // SAFETY: a dict; it takes its own references. A key that comes again gets the later value.
            if unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) } != 0 {
                return Err(Refusal::fetched(self.py, "a key that a dict cannot have"));
            }
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b'}') => break self.at += 1,
                _ => return Err(self.expected("',' or '}'")),
            }
        }
        Ok(dict.into_any())
    }

    /// The refusal of what is here, where something else belongs.
    #[cold]
    pub(super) fn expected(&self, what: &str) -> Box<Refusal> {
        match self.bytes.get(self.at..) {
            None | Some([]) => self.wrong(format!("the text ends where {what} belongs")),
            Some([0xef, 0xbb, 0xbf, ..]) if self.at == 0 => {
                self.wrong("a byte order mark, which does not belong here")
            }
            Some([byte @ 0x21..0x7f, ..]) => {
                self.wrong(format!("{what} belongs here, not {:?}", char::from(*byte)))
            }
            Some([byte, ..]) => self.wrong(format!("{what} belongs here, not the byte {byte:#04x}")),
        }
    }

    #[cold]
    pub(super) fn wrong(&self, what: impl AsRef<str>) -> Box<Refusal> {
        Refusal::new(format!("JSON that cannot be read: {}, at byte {}", what.as_ref(), self.at))
    }
}

/// A new object from an ABI function, which sets an exception when there is none.
#[inline]
pub(super) fn made<'py>(
    py: Python<'py>,
    pointer: *mut ffi::PyObject,
    doing: &str,
) -> Outcome<Bound<'py, PyAny>> {
    // SAFETY: every caller passes what an ABI function has just returned to own.
    unsafe { Bound::from_owned_ptr_or_opt(py, pointer) }.ok_or_else(|| Refusal::fetched(py, doing))
}
