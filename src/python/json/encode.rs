//! Python values → JSON, told by their exact type first; what derives from such a type is in [`Encoder::derived`].

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::{Borrowed, Bound};

use super::refusal::{Outcome, Refusal, Step, key_step};
use super::unwritten::{refuse, refuse_key};
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
    let start = out.len();
    let mut encoder = Encoder { end: start.saturating_add(limits.max_frame), out, limits, items: 0 };
    let outcome = encoder.value(value.as_borrowed(), 0).and_then(|()| encoder.room(0));
    outcome.map_err(|refusal| {
        out.truncate(start);
        refusal.under(Step::Root(at.to_owned())).into_error(py)
    })
}

struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    /// The longest that `out` may become.
    end: usize,
    limits: &'a Limits,
    items: usize,
}

/// Gives one item of a list or tuple, or null past its end.
type Get = unsafe extern "C" fn(*mut ffi::PyObject, ffi::Py_ssize_t) -> *mut ffi::PyObject;

impl Encoder<'_> {
    /// Writes any value. `depth` is how many containers it is in.
    #[inline]
    fn value(&mut self, value: Borrowed<'_, '_, PyAny>, depth: usize) -> Outcome<()> {
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
                write_number::put_float(self.out, ffi::PyFloat_AsDouble(pointer));
                return Ok(());
            }
            if pointer == ffi::Py_None() {
                self.out.extend_from_slice(b"null");
                return Ok(());
            }
            if kind == &raw mut ffi::PyBool_Type {
                self.boolean(value);
                return Ok(());
            }
            if kind == &raw mut ffi::PyDict_Type {
                return self.deeper(value, depth, Self::dict);
            }
            if kind == &raw mut ffi::PyList_Type {
                return self.deeper(value, depth, Self::list);
            }
            if kind == &raw mut ffi::PyTuple_Type {
                return self.deeper(value, depth, Self::tuple);
            }
        }
        self.derived(&value.to_owned(), depth)
    }

    /// An instance of a class of its own that derives from a type of JSON: written as that type, whatever its own
    /// `str` says.
    #[cold]
    #[inline(never)]
    fn derived(&mut self, value: &Bound<'_, PyAny>, depth: usize) -> Outcome<()> {
        let (pointer, borrowed) = (value.as_ptr(), value.as_borrowed());
        // SAFETY: a live object's type is read; then it is what each reader wants.
        unsafe {
            if ffi::PyUnicode_Check(pointer) != 0 {
                return self.text(borrowed);
            }
            if ffi::PyLong_Check(pointer) != 0 {
                return self.integer(borrowed);
            }
            if ffi::PyFloat_Check(pointer) != 0 {
                write_number::put_float(self.out, ffi::PyFloat_AsDouble(pointer));
                return Ok(());
            }
            if ffi::PyList_Check(pointer) != 0 {
                return self.deeper(borrowed, depth, Self::list);
            }
            if ffi::PyTuple_Check(pointer) != 0 {
                return self.deeper(borrowed, depth, Self::tuple);
            }
            if ffi::PyDict_Check(pointer) != 0 {
                return self.deeper(borrowed, depth, Self::mapping);
            }
        }
        Err(refuse(value))
    }

    /// Writes a container, held while its items are written.
    #[inline]
    fn deeper<'py>(
        &mut self,
        value: Borrowed<'_, 'py, PyAny>,
        depth: usize,
        write: impl FnOnce(&mut Self, Borrowed<'_, 'py, PyAny>, usize) -> Outcome<()>,
    ) -> Outcome<()> {
        if depth >= self.limits.max_depth {
            return Err(self.too_deep());
        }
        let held = value.to_owned();
        write(self, held.as_borrowed(), depth + 1)
    }

    #[cold]
    fn too_deep(&self) -> Box<Refusal> {
        let most = self.limits.max_depth;
        Refusal::new(format!("nested deeper than {most} levels (max_depth); does it contain itself?"))
    }

    /// Counts the items of a container, each of which takes two bytes at least.
    #[inline]
    fn count(&mut self, items: usize) -> Outcome<()> {
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
        Refusal::new(format!("longer than {} bytes as JSON (max_frame)", self.limits.max_frame))
    }

    #[inline]
    fn text(&mut self, value: Borrowed<'_, '_, PyAny>) -> Outcome<()> {
        let mut size = 0;
        // SAFETY: a str; what is returned lives as long as it does.
        let text = unsafe {
            let data = ffi::PyUnicode_AsUTF8AndSize(value.as_ptr(), &raw mut size);
            if data.is_null() {
                return write_text::put_with_surrogates(self.out, &value.to_owned());
            }
            std::slice::from_raw_parts(data.cast::<u8>(), size.cast_unsigned())
        };
        if text.len() > 0xff {
            self.room(text.len())?;
        }
        write_text::put(self.out, text);
        Ok(())
    }

    #[inline]
    fn integer(&mut self, value: Borrowed<'_, '_, PyAny>) -> Outcome<()> {
        let mut overflow = 0;
        // SAFETY: an int.
        let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(value.as_ptr(), &raw mut overflow) };
        if overflow == 0 {
            write_number::put_int(self.out, number);
            Ok(())
        } else {
            write_number::put_wide(self.out, &value.to_owned())
        }
    }

    #[inline]
    fn boolean(&mut self, value: Borrowed<'_, '_, PyAny>) {
        // SAFETY: a pointer is compared.
        let is_true = value.as_ptr() == unsafe { ffi::Py_True() };
        self.out.extend_from_slice(if is_true { b"true" } else { b"false" });
    }

    fn list(&mut self, list: Borrowed<'_, '_, PyAny>, depth: usize) -> Outcome<()> {
        // SAFETY: a list.
        let len = unsafe { ffi::PyList_Size(list.as_ptr()) };
        self.sequence(list, len.cast_unsigned(), ffi::PyList_GetItem, depth)
    }

    fn tuple(&mut self, tuple: Borrowed<'_, '_, PyAny>, depth: usize) -> Outcome<()> {
        // SAFETY: a tuple.
        let len = unsafe { ffi::PyTuple_Size(tuple.as_ptr()) };
        self.sequence(tuple, len.cast_unsigned(), ffi::PyTuple_GetItem, depth)
    }

    #[inline]
    fn sequence(
        &mut self,
        items: Borrowed<'_, '_, PyAny>,
        len: usize,
        get: Get,
        depth: usize,
    ) -> Outcome<()> {
        self.count(len)?;
        self.out.push(b'[');
        for index in 0..len {
            if index > 0 {
                self.out.push(b',');
            }
            // SAFETY: `get` belongs to the type of `items`, which is held, and checks the index: a list may shrink
            // while an item's own code runs. The item is borrowed only until `value` returns.
            let item = unsafe {
                let item = get(items.as_ptr(), index.cast_signed());
                Borrowed::from_ptr_or_opt(items.py(), item).ok_or_else(|| changed(items.py()))?
            };
            self.value(item, depth).map_err(|refusal| refusal.under(Step::Index(index)))?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn dict(&mut self, dict: Borrowed<'_, '_, PyAny>, depth: usize) -> Outcome<()> {
        let py = dict.py();
        // SAFETY: a dict.
        let len = unsafe { ffi::PyDict_Size(dict.as_ptr()) }.cast_unsigned();
        self.count(len.saturating_mul(2))?;
        self.out.push(b'{');
        let mut written = 0;
        let (mut position, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the dict is held; both references are borrowed until `pair` takes its own. A dict that changes
        // size meanwhile is noticed by its count.
        while unsafe { ffi::PyDict_Next(dict.as_ptr(), &raw mut position, &raw mut key, &raw mut value) } != 0
        {
            // SAFETY: as above.
            let (key, value) = unsafe { (Borrowed::from_ptr(py, key), Borrowed::from_ptr(py, value)) };
            self.pair(key, value, written == 0, depth)?;
            written += 1;
        }
        self.out.push(b'}');
        if written == len { Ok(()) } else { Err(changed(py)) }
    }

    /// A dict of a class of its own, which says itself what its items are.
    fn mapping(&mut self, dict: Borrowed<'_, '_, PyAny>, depth: usize) -> Outcome<()> {
        let py = dict.py();
        // SAFETY: a dict; the result is a new reference to a list.
        let items = unsafe {
            if ffi::PyDict_Size(dict.as_ptr()) == 0 {
                self.out.extend_from_slice(b"{}");
                return Ok(());
            }
            Bound::from_owned_ptr_or_opt(py, ffi::PyMapping_Items(dict.as_ptr()))
        };
        let items = items.ok_or_else(|| Refusal::fetched(py, "its items cannot be listed"))?;
        self.count(items.len().unwrap_or(0).saturating_mul(2))?;
        self.out.push(b'{');
        let doing = "its items cannot be listed";
        for (index, pair) in items.try_iter().map_err(Refusal::while_doing(py, doing))?.enumerate() {
            let pair = pair.map_err(Refusal::while_doing(py, doing))?;
            let pair = pair.cast::<pyo3::types::PyTuple>().ok().filter(|pair| pair.len() == 2);
            let pair = pair.ok_or_else(|| Refusal::new("its items() are not pairs"))?;
            let item = |index| pair.get_borrowed_item(index).map_err(Refusal::while_doing(py, doing));
            self.pair(item(0)?, item(1)?, index == 0, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    #[inline]
    fn pair(
        &mut self,
        key: Borrowed<'_, '_, PyAny>,
        value: Borrowed<'_, '_, PyAny>,
        first: bool,
        depth: usize,
    ) -> Outcome<()> {
        if !first {
            self.out.push(b',');
        }
        // Held: code of either might take the pair out of the dict, and a refusal shows the key.
        let (key, value) = (key.to_owned(), value.to_owned());
        if key.get_type_ptr() == &raw mut ffi::PyUnicode_Type {
            self.text(key.as_borrowed())?;
        } else {
            self.key(&key)?;
        }
        self.out.push(b':');
        self.value(value.as_borrowed(), depth).map_err(|refusal| refusal.under(key_step(&key)))
    }

    /// A key that is no plain text is written as one.
    #[cold]
    fn key(&mut self, key: &Bound<'_, PyAny>) -> Outcome<()> {
        let (pointer, borrowed) = (key.as_ptr(), key.as_borrowed());
        // SAFETY: a live object's type is read; then it is what each reader wants.
        unsafe {
            if ffi::PyUnicode_Check(pointer) != 0 {
                return self.text(borrowed);
            }
            self.out.push(b'"');
            if ffi::PyFloat_Check(pointer) != 0 {
                write_number::put_float(self.out, ffi::PyFloat_AsDouble(pointer));
            } else if pointer == ffi::Py_None() {
                self.out.extend_from_slice(b"null");
            } else if ffi::PyBool_Check(pointer) != 0 {
                self.boolean(borrowed);
            } else if ffi::PyLong_Check(pointer) != 0 {
                self.integer(borrowed)?;
            } else {
                return Err(refuse_key(key).under(Step::Item));
            }
        }
        self.out.push(b'"');
        Ok(())
    }
}

/// A container whose size changed while its items were written.
#[cold]
fn changed(py: Python<'_>) -> Box<Refusal> {
    // A failed look-up has set an IndexError.
    drop(PyErr::take(py));
    Refusal::new("it was changed while it was being encoded")
}
