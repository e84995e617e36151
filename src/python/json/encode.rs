//! Python values → JSON, told by their exact type first. What derives from such a type is in `derived`.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::{Borrowed, Bound};

use super::refusal::{Outcome, Refusal, Step, key_step};
use super::{write_number, write_text};
use crate::core::limits::Limits;

/// Appends `value` as JSON, at most `limits.max_frame` bytes. `at` names it in a refusal, such as `data`.
///
/// # Errors
/// `PayloadError` with the path to what JSON does not have, or is over a limit: `data['x'][3]: a Socket cannot be
/// written as JSON; …`. Then `out` is as it was.
pub(crate) fn encode(
    py: Python<'_>,
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
    limits: &Limits,
    at: &str,
) -> PyResult<()> {
    encode_within(py, value, out, limits, "max_frame", at)
}

/// The same where users know the bound by another name.
///
/// # Errors
/// As [`encode`].
pub(crate) fn encode_within(
    py: Python<'_>,
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
    limits: &Limits,
    bound: &'static str,
    at: &str,
) -> PyResult<()> {
    written(py, value, out, limits, bound, at, false)
}

/// The same as JavaScript writes it: numbers that are not finite are null.
///
/// # Errors
/// As [`encode`].
pub(crate) fn encode_for_javascript(
    py: Python<'_>,
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
    limits: &Limits,
    bound: &'static str,
    at: &str,
) -> PyResult<()> {
    written(py, value, out, limits, bound, at, true)
}

fn written(
    py: Python<'_>,
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
    limits: &Limits,
    bound: &'static str,
    at: &str,
    finite: bool,
) -> PyResult<()> {
    let start = out.len();
    let end = start.saturating_add(limits.max_frame);
    let mut encoder = Encoder { end, out, limits, bound, items: 0, finite };
    let outcome = encoder.value(value, 0).and_then(|()| encoder.room(0));
    outcome.map_err(|refusal| {
        out.truncate(start);
        refusal.under(Step::Root(at.to_owned())).into_error(py)
    })
}

pub(super) struct Encoder<'a> {
    pub(super) out: &'a mut Vec<u8>,
    /// The longest that `out` may become.
    end: usize,
    limits: &'a Limits,
    /// What users call the longest.
    bound: &'static str,
    items: usize,
    /// Numbers that are not finite are null.
    finite: bool,
}

/// Gives one item of a list or tuple, or null past its end.
type Get = unsafe extern "C" fn(*mut ffi::PyObject, ffi::Py_ssize_t) -> *mut ffi::PyObject;

impl Encoder<'_> {
    /// Writes any value, which the caller holds. `depth` is how many containers it is in.
    fn value(&mut self, value: &Bound<'_, PyAny>, depth: usize) -> Outcome<()> {
        if self.simple(value.as_borrowed()) {
            return Ok(());
        }
        let kind = value.get_type_ptr();
        if kind == &raw mut ffi::PyDict_Type {
            self.enter(depth)?;
            self.dict(value, depth + 1)
        } else if kind == &raw mut ffi::PyList_Type {
            self.enter(depth)?;
            self.list(value, depth + 1)
        } else if kind == &raw mut ffi::PyTuple_Type {
            self.enter(depth)?;
            self.tuple(value, depth + 1)
        } else {
            self.derived(value, depth)
        }
    }

    /// Writes what most values are, told by their type's address alone, and whether it did. Nothing here runs Python
    /// code, so that a borrowed value will do; but afterwards, if it did not, that may be gone: some may have run.
    #[inline(always)]
    fn simple(&mut self, value: Borrowed<'_, '_, PyAny>) -> bool {
        let pointer = value.as_ptr();
        // SAFETY: `value` is a live object.
        unsafe {
            let kind = ffi::Py_TYPE(pointer);
            if kind == &raw mut ffi::PyUnicode_Type {
                return self.simple_text(value);
            }
            if kind == &raw mut ffi::PyLong_Type {
                return self.simple_integer(value);
            }
            if kind == &raw mut ffi::PyFloat_Type {
                self.float(ffi::PyFloat_AsDouble(pointer));
                return true;
            }
            if pointer == ffi::Py_None() {
                self.out.extend_from_slice(b"null");
                return true;
            }
            if kind == &raw mut ffi::PyBool_Type {
                self.boolean(value);
                return true;
            }
        }
        false
    }

    /// Refuses to step into a container at `depth` that is one too deep.
    #[inline]
    pub(super) fn enter(&self, depth: usize) -> Outcome<()> {
        if depth < self.limits.max_depth { Ok(()) } else { Err(self.too_deep()) }
    }

    #[cold]
    fn too_deep(&self) -> Box<Refusal> {
        let most = self.limits.max_depth;
        Refusal::new(format!("nested deeper than {most} levels (max_depth); does it contain itself?"))
    }

    /// Counts the items of a container, each of which takes two bytes at least.
    #[inline]
    pub(super) fn count(&mut self, items: usize) -> Outcome<()> {
        self.items = self.items.saturating_add(items);
        if self.items > self.limits.max_items {
            return Err(Refusal::new(format!("more than {} items (max_items)", self.limits.max_items)));
        }
        self.room(items.saturating_mul(2))
    }

    /// Refuses what `more` bytes would make too long. Small items are not weighed one by one.
    #[inline]
    fn room(&self, more: usize) -> Outcome<()> {
        if self.out.len().saturating_add(more) <= self.end { Ok(()) } else { Err(self.too_long()) }
    }

    #[cold]
    fn too_long(&self) -> Box<Refusal> {
        Refusal::new(format!("longer than {} bytes as JSON ({})", self.limits.max_frame, self.bound))
    }

    /// A text that is UTF-8 and no longer than there is room.
    #[inline(always)]
    fn simple_text(&mut self, value: Borrowed<'_, '_, PyAny>) -> bool {
        let mut size = 0;
        // SAFETY: a str; what is returned lives as long as it does.
        let text = unsafe {
            let data = ffi::PyUnicode_AsUTF8AndSize(value.as_ptr(), &raw mut size);
            if data.is_null() {
                // The exception tells of surrogates, which `text` writes.
                ffi::PyErr_Clear();
                return false;
            }
            std::slice::from_raw_parts(data.cast::<u8>(), size.cast_unsigned())
        };
        if text.len() > 0xff && self.room(text.len()).is_err() {
            return false;
        }
        write_text::put(self.out, text);
        true
    }

    #[cold]
    pub(super) fn text(&mut self, value: &Bound<'_, PyAny>) -> Outcome<()> {
        if self.simple_text(value.as_borrowed()) {
            return Ok(());
        }
        write_text::put_with_surrogates(self.out, value)?;
        self.room(0)
    }

    /// An int of 64 bits.
    #[inline(always)]
    fn simple_integer(&mut self, value: Borrowed<'_, '_, PyAny>) -> bool {
        let mut overflow = 0;
        // SAFETY: an int.
        let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(value.as_ptr(), &raw mut overflow) };
        if overflow == 0 {
            write_number::put_int(self.out, number);
        }
        overflow == 0
    }

    #[cold]
    pub(super) fn integer(&mut self, value: &Bound<'_, PyAny>) -> Outcome<()> {
        if self.simple_integer(value.as_borrowed()) {
            Ok(())
        } else {
            write_number::put_wide(self.out, value)
        }
    }

    #[inline]
    pub(super) fn float(&mut self, number: f64) {
        if self.finite && !number.is_finite() {
            return self.out.extend_from_slice(b"null");
        }
        write_number::put_float(self.out, number);
    }

    #[inline]
    pub(super) fn boolean(&mut self, value: Borrowed<'_, '_, PyAny>) {
        // SAFETY: a pointer is compared.
        let is_true = value.as_ptr() == unsafe { ffi::Py_True() };
        let word: &[u8] = if is_true { b"true" } else { b"false" };
        self.out.extend_from_slice(word);
    }

    pub(super) fn list(&mut self, list: &Bound<'_, PyAny>, depth: usize) -> Outcome<()> {
        // SAFETY: a list.
        let len = unsafe { ffi::PyList_Size(list.as_ptr()) };
        self.sequence(list, len.cast_unsigned(), ffi::PyList_GetItem, depth)
    }

    fn tuple(&mut self, tuple: &Bound<'_, PyAny>, depth: usize) -> Outcome<()> {
        // SAFETY: a tuple.
        let len = unsafe { ffi::PyTuple_Size(tuple.as_ptr()) };
        self.sequence(tuple, len.cast_unsigned(), ffi::PyTuple_GetItem, depth)
    }

    #[inline]
    fn sequence(&mut self, items: &Bound<'_, PyAny>, len: usize, get: Get, depth: usize) -> Outcome<()> {
        let py = items.py();
        self.count(len)?;
        self.out.push(b'[');
        for index in 0..len {
            if index > 0 {
                self.out.push(b',');
            }
            // SAFETY: `get` belongs to the type of `items`, which is held, and checks the index: a list may shrink
            // while an item's own code runs.
            let item = || unsafe {
                let item = get(items.as_ptr(), index.cast_signed());
                Borrowed::from_ptr_or_opt(py, item).ok_or_else(|| changed(py))
            };
            if !self.simple(item()?) {
                // Held from here on, and fetched again: see `simple`.
                let item = item()?.to_owned();
                self.value(&item, depth).map_err(|refusal| refusal.under(Step::Index(index)))?;
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn dict(&mut self, dict: &Bound<'_, PyAny>, depth: usize) -> Outcome<()> {
        let py = dict.py();
        // SAFETY: a dict.
        let len = unsafe { ffi::PyDict_Size(dict.as_ptr()) }.cast_unsigned();
        self.count(len.saturating_mul(2))?;
        self.out.push(b'{');
        let (mut written, mut position) = (0, 0);
        // SAFETY: the dict is held, and the references are borrowed from it.
        let next = |position: &mut ffi::Py_ssize_t| unsafe {
            let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
            let more = ffi::PyDict_Next(dict.as_ptr(), position, &raw mut key, &raw mut value) != 0;
            more.then(|| (Borrowed::from_ptr(py, key), Borrowed::from_ptr(py, value)))
        };
        loop {
            let (mut again, start) = (position, self.out.len());
            let Some((key, value)) = next(&mut position) else { break };
            written += 1;
            if !self.simple_pair(key, value) {
                // Held from here on, and fetched again: see `simple`.
                self.out.truncate(start);
                let (key, value) = next(&mut again).ok_or_else(|| changed(py))?;
                self.pair(&key.to_owned(), &value.to_owned(), depth)?;
            }
            self.out.push(b',');
        }
        // A dict that changes meanwhile is noticed by its count.
        if written != len {
            return Err(changed(py));
        }
        self.close();
        Ok(())
    }

    /// Ends a dict, with its brace in the place of the last comma.
    #[inline]
    pub(super) fn close(&mut self) {
        match self.out.last_mut() {
            Some(last @ b',') => *last = b'}',
            _ => self.out.push(b'}'),
        }
    }

    #[inline]
    fn simple_pair(&mut self, key: Borrowed<'_, '_, PyAny>, value: Borrowed<'_, '_, PyAny>) -> bool {
        // SAFETY: a live object's type is read.
        let plain = unsafe { ffi::Py_TYPE(key.as_ptr()) } == &raw mut ffi::PyUnicode_Type;
        if !plain || !self.simple_text(key) {
            return false;
        }
        self.out.push(b':');
        self.simple(value)
    }

    pub(super) fn pair(
        &mut self,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        depth: usize,
    ) -> Outcome<()> {
        self.key(key).map_err(|refusal| refusal.under(Step::Item))?;
        self.out.push(b':');
        self.value(value, depth).map_err(|refusal| refusal.under(key_step(key)))
    }
}

/// A container whose size changed while its items were written.
#[cold]
fn changed(py: Python<'_>) -> Box<Refusal> {
    // A failed look-up has set an IndexError.
    drop(PyErr::take(py));
    Refusal::new("it was changed while it was being encoded")
}
