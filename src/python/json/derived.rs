//! Values of classes that derive from the types of JSON, and keys that are no text: written as the library does.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::encode::Encoder;
use super::refusal::{Outcome, Refusal};
use super::unwritten::{refuse, refuse_key};

/// What a class of its own may have done wrong.
const UNLISTED: &str = "its items cannot be listed";

impl Encoder<'_> {
    /// An instance of a class of its own that derives from a type of JSON: a scalar is written as that type would be,
    /// whatever its own `str` says; a container says itself what its items are.
    #[cold]
    #[inline(never)]
    pub(super) fn derived(&mut self, value: &Bound<'_, PyAny>, depth: usize) -> Outcome<()> {
        let pointer = value.as_ptr();
        // SAFETY: a live object's type is read; then it is what each reader wants.
        unsafe {
            if ffi::PyUnicode_Check(pointer) != 0 {
                return self.text(value);
            }
            if ffi::PyLong_Check(pointer) != 0 {
                return self.integer(value);
            }
            if ffi::PyFloat_Check(pointer) != 0 {
                self.float(ffi::PyFloat_AsDouble(pointer));
                return Ok(());
            }
            if ffi::PyList_Check(pointer) != 0 || ffi::PyTuple_Check(pointer) != 0 {
                self.enter(depth)?;
                let items = Bound::from_owned_ptr_or_opt(value.py(), ffi::PySequence_List(pointer));
                let items = items.ok_or_else(|| Refusal::fetched(value.py(), UNLISTED))?;
                return self.list(&items, depth + 1);
            }
            if ffi::PyDict_Check(pointer) != 0 {
                self.enter(depth)?;
                return self.mapping(value, depth + 1);
            }
        }
        Err(refuse(value))
    }

    /// A dict of a class of its own.
    fn mapping(&mut self, dict: &Bound<'_, PyAny>, depth: usize) -> Outcome<()> {
        let py = dict.py();
        // SAFETY: a dict; the result is a new reference to a list.
        let items = unsafe {
            if ffi::PyDict_Size(dict.as_ptr()) == 0 {
                self.out.extend_from_slice(b"{}");
                return Ok(());
            }
            Bound::from_owned_ptr_or_opt(py, ffi::PyMapping_Items(dict.as_ptr()))
        };
        let items = items.ok_or_else(|| Refusal::fetched(py, UNLISTED))?;
        self.count(items.len().unwrap_or(0).saturating_mul(2))?;
        self.out.push(b'{');
        for pair in items.try_iter().map_err(Refusal::while_doing(py, UNLISTED))? {
            let pair = pair.map_err(Refusal::while_doing(py, UNLISTED))?;
            let pair = pair.cast::<PyTuple>().ok().filter(|pair| pair.len() == 2);
            let pair = pair.ok_or_else(|| Refusal::new("its items() are not pairs"))?;
            let item = |index| pair.get_item(index).map_err(Refusal::while_doing(py, UNLISTED));
            self.pair(&item(0)?, &item(1)?, depth)?;
            self.out.push(b',');
        }
        self.close();
        Ok(())
    }

    /// A key that is no text is written as one.
    pub(super) fn key(&mut self, key: &Bound<'_, PyAny>) -> Outcome<()> {
        let pointer = key.as_ptr();
        // SAFETY: a live object's type is read; then it is what each reader wants.
        unsafe {
            if ffi::PyUnicode_Check(pointer) != 0 {
                return self.text(key);
            }
            self.out.push(b'"');
            if ffi::PyFloat_Check(pointer) != 0 {
                self.float(ffi::PyFloat_AsDouble(pointer));
            } else if pointer == ffi::Py_None() {
                self.out.extend_from_slice(b"null");
            } else if ffi::PyBool_Check(pointer) != 0 {
                self.boolean(key.as_borrowed());
            } else if ffi::PyLong_Check(pointer) != 0 {
                self.integer(key)?;
            } else {
                return Err(refuse_key(key));
            }
        }
        self.out.push(b'"');
        Ok(())
    }
}
