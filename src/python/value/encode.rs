//! Python values → msgpack. The types that most values are made of are told by their type's address alone; the
//! rest is in [`super::rare`].

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use pyo3::{Borrowed, Bound};

use super::buffers::{Export, MAX_OUT_OF_BAND, OutBuffer};
use super::refusal::{Outcome, Refusal, Step, key_step};
use super::wire::{self, ext};
use crate::core::limits::Limits;

/// What a payload is written into.
pub(crate) struct Encoder<'a> {
    pub(super) out: &'a mut Vec<u8>,
    buffers: &'a mut Vec<OutBuffer>,
    limits: &'a Limits,
    items: usize,
    /// Bytes in `buffers`.
    beside: usize,
    /// Equal values give equal bytes: dicts and sets are sorted, nothing travels out of band.
    pub(super) canonical: bool,
    /// Nothing but what msgpack itself has, so that any of its readers reads it; see [`super::stock`].
    pub(super) stock: bool,
}

/// Writes one value. `at` names it in a refusal, such as `result`.
///
/// # Errors
/// `PayloadError` with the path to what cannot cross, or is over a limit.
pub(crate) fn encode(
    py: Python<'_>,
    value: &Bound<'_, PyAny>,
    encoder: &mut Encoder<'_>,
    at: &str,
) -> PyResult<()> {
    encoder
        .value(value.as_borrowed(), 0)
        .and_then(|()| encoder.finish())
        .map_err(|refusal| refusal.under(Step::Root(at.to_owned())).into_error(py))
}

/// Writes the payload of a request: the array of the positional arguments and, unless there are none, the map of
/// the keyword arguments.
///
/// # Errors
/// As [`encode`]; the path begins with `args[…]` or `kwargs[…]`.
pub(crate) fn encode_arguments(
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
    encoder: &mut Encoder<'_>,
) -> PyResult<()> {
    encoder.arguments(args, kwargs).map_err(|refusal| refusal.into_error(args.py()))
}

impl<'a> Encoder<'a> {
    /// Appends to `out` and `buffers`. After a refusal both hold part of a value: drop it.
    pub(crate) fn new(out: &'a mut Vec<u8>, buffers: &'a mut Vec<OutBuffer>, limits: &'a Limits) -> Self {
        Self { out, buffers, limits, items: 0, beside: 0, canonical: false, stock: false }
    }

    pub(super) fn arguments(
        &mut self,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> Outcome<()> {
        let root = |name: &str| Step::Root(name.to_owned());
        // The arguments themselves are on the surface: their own items are at depth 0.
        self.sequence(args.as_any().as_borrowed(), args.len(), ffi::PyTuple_GetItem, 0)
            .map_err(|refusal| refusal.under(root("args")))?;
        match kwargs {
            Some(kwargs) if !kwargs.is_empty() => self
                .pairs(kwargs.as_any().as_borrowed(), 0)
                .map_err(|refusal| refusal.under(root("kwargs")))?,
            _ => {}
        }
        self.finish()
    }

    /// Writes any value. `depth` is how many containers it is in.
    #[inline]
    pub(super) fn value(&mut self, value: Borrowed<'_, '_, PyAny>, depth: usize) -> Outcome<()> {
        let pointer = value.as_ptr();
        // SAFETY: `value` is a live object. Scalars are read without running any Python code; what may run some
        // holds a reference of its own.
        unsafe {
            let kind = ffi::Py_TYPE(pointer);
            if kind == &raw mut ffi::PyUnicode_Type {
                return self.text(value);
            }
            if kind == &raw mut ffi::PyLong_Type {
                return self.integer(value);
            }
            if kind == &raw mut ffi::PyFloat_Type {
                wire::put_float(self.out, ffi::PyFloat_AsDouble(pointer));
                return Ok(());
            }
            if pointer == ffi::Py_None() {
                self.out.push(wire::NIL);
                return Ok(());
            }
            if kind == &raw mut ffi::PyBool_Type {
                self.out.push(if pointer == ffi::Py_True() { wire::TRUE } else { wire::FALSE });
                return Ok(());
            }
            if kind == &raw mut ffi::PyDict_Type {
                return self.deeper(value, depth, Self::pairs);
            }
            if kind == &raw mut ffi::PyList_Type {
                return self.deeper(value, depth, Self::list);
            }
            if kind == &raw mut ffi::PyTuple_Type {
                return self.deeper(value, depth, Self::tuple);
            }
            if kind == &raw mut ffi::PyBytes_Type {
                return self.bytes(value.cast_unchecked::<PyBytes>());
            }
        }
        self.rare(value, depth)
    }

    /// Writes a container, held while its items are written.
    fn deeper<'py>(
        &mut self,
        value: Borrowed<'_, 'py, PyAny>,
        depth: usize,
        write: impl FnOnce(&mut Self, Borrowed<'_, 'py, PyAny>, usize) -> Outcome<()>,
    ) -> Outcome<()> {
        self.descend(depth)?;
        let held = value.to_owned();
        write(self, held.as_borrowed(), depth + 1)
    }

    /// Refuses to enter a container at `depth` that is one too deep.
    #[inline]
    pub(super) fn descend(&self, depth: usize) -> Outcome<()> {
        if depth < self.limits.max_depth { Ok(()) } else { Err(self.too_deep()) }
    }

    #[cold]
    fn too_deep(&self) -> Box<Refusal> {
        Refusal::new(format!(
            "nested deeper than {} levels (max_depth); does it contain itself?",
            self.limits.max_depth
        ))
    }

    /// Counts the items of a container.
    #[inline]
    pub(super) fn count(&mut self, items: usize) -> Outcome<()> {
        self.items = self.items.saturating_add(items);
        if self.items > self.limits.max_items {
            return Err(Refusal::new(format!("more than {} items (max_items)", self.limits.max_items)));
        }
        self.room(items)
    }

    /// Refuses what `more` bytes would make too long.
    #[inline]
    pub(super) fn room(&self, more: usize) -> Outcome<()> {
        if self.out.len() + self.beside + more <= self.limits.max_frame {
            Ok(())
        } else {
            Err(self.too_long())
        }
    }

    #[cold]
    fn too_long(&self) -> Box<Refusal> {
        Refusal::new(format!(
            "longer than {} bytes with what is beside it (max_frame)",
            self.limits.max_frame
        ))
    }

    /// The last check: small items are not weighed one by one.
    #[inline]
    fn finish(&self) -> Outcome<()> {
        self.room(0)
    }

    #[inline]
    pub(super) fn text(&mut self, value: Borrowed<'_, '_, PyAny>) -> Outcome<()> {
        let mut size = 0;
        // SAFETY: a str; what is returned lives as long as it does.
        unsafe {
            let data = ffi::PyUnicode_AsUTF8AndSize(value.as_ptr(), &raw mut size);
            if data.is_null() {
                return self.surrogates(value);
            }
            let bytes = std::slice::from_raw_parts(data.cast::<u8>(), size.cast_unsigned());
            if bytes.len() > 0xff {
                self.room(bytes.len())?;
            }
            wire::put_str(self.out, bytes);
        }
        Ok(())
    }

    #[inline]
    fn integer(&mut self, value: Borrowed<'_, '_, PyAny>) -> Outcome<()> {
        let mut overflow = 0;
        // SAFETY: an int.
        let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(value.as_ptr(), &raw mut overflow) };
        if overflow == 0 {
            wire::put_int(self.out, number);
            Ok(())
        } else {
            self.wide_integer(value, overflow > 0)
        }
    }

    fn bytes(&mut self, value: Borrowed<'_, '_, PyBytes>) -> Outcome<()> {
        let bytes = value.as_bytes();
        if self.goes_beside(bytes.len()) {
            return self.put_beside(OutBuffer::from_bytes(&value));
        }
        self.room(bytes.len())?;
        wire::put_bytes(self.out, bytes);
        Ok(())
    }

    /// Whether a buffer of this length travels out of band.
    pub(super) fn goes_beside(&self, len: usize) -> bool {
        len >= self.limits.out_of_band
            && !self.canonical
            && !self.stock
            && self.buffers.len() < MAX_OUT_OF_BAND
    }

    /// Puts a buffer beside the payload, and its number in its place.
    pub(super) fn put_beside(&mut self, buffer: OutBuffer) -> Outcome<()> {
        self.room(buffer.len())?;
        self.beside += buffer.len();
        #[expect(clippy::cast_possible_truncation, reason = "fewer than MAX_OUT_OF_BAND")]
        let index = self.buffers.len() as u32;
        self.buffers.push(buffer);
        wire::put_ext(self.out, ext::OUT_OF_BAND, &index.to_be_bytes());
        Ok(())
    }

    /// Writes the bytes of an export: beside the payload when they are many, else as msgpack bytes.
    pub(super) fn exported(&mut self, export: Export, mutable: bool) -> Outcome<()> {
        if self.goes_beside(export.len()) {
            return self.put_beside(OutBuffer::from_export(export, mutable));
        }
        self.room(export.len())?;
        wire::put_bytes(self.out, export.contiguous());
        Ok(())
    }

    fn list(&mut self, list: Borrowed<'_, '_, PyAny>, depth: usize) -> Outcome<()> {
        // SAFETY: a list.
        let len = unsafe { ffi::PyList_Size(list.as_ptr()) };
        self.sequence(list, len.cast_unsigned(), ffi::PyList_GetItem, depth)
    }

    fn tuple(&mut self, tuple: Borrowed<'_, '_, PyAny>, depth: usize) -> Outcome<()> {
        // SAFETY: a tuple.
        let len = unsafe { ffi::PyTuple_Size(tuple.as_ptr()) }.cast_unsigned();
        if self.stock {
            return self.sequence(tuple, len, ffi::PyTuple_GetItem, depth);
        }
        let open = wire::open_ext(self.out, ext::TUPLE, wire::expected(len, depth));
        self.sequence(tuple, len, ffi::PyTuple_GetItem, depth)?;
        wire::close_ext(self.out, open);
        Ok(())
    }

    /// The items of a list or tuple, of which `get` gives one, or null past its end.
    #[inline]
    fn sequence(
        &mut self,
        items: Borrowed<'_, '_, PyAny>,
        len: usize,
        get: unsafe extern "C" fn(*mut ffi::PyObject, ffi::Py_ssize_t) -> *mut ffi::PyObject,
        depth: usize,
    ) -> Outcome<()> {
        self.count(len)?;
        wire::put_array(self.out, len);
        for index in 0..len {
            // SAFETY: `get` belongs to the type of `items`, which is held, and checks the index: a list may shrink
            // while an item's own code runs. The item is borrowed only until `value` returns.
            let item = unsafe {
                let item = get(items.as_ptr(), index.cast_signed());
                Borrowed::from_ptr_or_opt(items.py(), item).ok_or_else(|| changed(items.py()))?
            };
            self.value(item, depth).map_err(|refusal| refusal.under(Step::Index(index)))?;
        }
        Ok(())
    }

    /// A dict as a map.
    pub(super) fn pairs(&mut self, dict: Borrowed<'_, '_, PyAny>, depth: usize) -> Outcome<()> {
        if self.canonical {
            return self.sorted_pairs(dict, depth);
        }
        // SAFETY: a dict.
        let len = unsafe { ffi::PyDict_Size(dict.as_ptr()) }.cast_unsigned();
        self.count(2 * len)?;
        wire::put_map(self.out, len);
        let mut written = 0;
        self.each_pair(dict, |encoder, key, value| {
            written += 1;
            encoder.pair(key, value, depth)
        })?;
        if written == len { Ok(()) } else { Err(changed(dict.py())) }
    }

    #[inline]
    pub(super) fn pair(
        &mut self,
        key: Borrowed<'_, '_, PyAny>,
        value: Borrowed<'_, '_, PyAny>,
        depth: usize,
    ) -> Outcome<()> {
        // Held: code of either (an enum's, a collected object's) might take the pair out of the dict, and a
        // refusal shows the key.
        let (key, value) = (key.to_owned(), value.to_owned());
        if self.stock {
            super::stock::check_key(&key)?;
        }
        self.value(key.as_borrowed(), depth).map_err(|refusal| refusal.under(Step::Item))?;
        self.value(value.as_borrowed(), depth).map_err(|refusal| refusal.under(key_step(&key)))
    }

    /// Calls `visit` with each pair of a dict.
    #[inline]
    pub(super) fn each_pair<'py>(
        &mut self,
        dict: Borrowed<'_, 'py, PyAny>,
        mut visit: impl FnMut(&mut Self, Borrowed<'_, 'py, PyAny>, Borrowed<'_, 'py, PyAny>) -> Outcome<()>,
    ) -> Outcome<()> {
        let (mut position, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the dict is held; both references are borrowed until `visit` takes its own. A dict that changes size meanwhile is noticed by its count.
        unsafe {
            while ffi::PyDict_Next(dict.as_ptr(), &raw mut position, &raw mut key, &raw mut value) != 0 {
                let py = dict.py();
                visit(self, Borrowed::from_ptr(py, key), Borrowed::from_ptr(py, value))?;
            }
        }
        Ok(())
    }
}

/// A container whose size changed while its items were written.
#[cold]
pub(super) fn changed(py: Python<'_>) -> Box<Refusal> {
    // A failed look-up has set an IndexError.
    drop(PyErr::take(py));
    Refusal::new("it was changed while it was being encoded")
}
