//! Contexts without variables, one for each call: what a call sets in its own is gone with it.

use std::cell::Cell;

use pyo3::ffi;
use pyo3::prelude::*;

use crate::python::coroutine::fresh_context;

thread_local! {
    /// One that this thread's last call has left as it was.
    static SPARE: Cell<Option<Py<PyAny>>> = const { Cell::new(None) };
}

/// One as good as new.
#[inline]
pub(super) fn take(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    match SPARE.take() {
        Some(spare) => Ok(spare.into_bound(py)),
        None => fresh_context(py),
    }
}

/// The call is over: the next may have it, if nobody can tell it from a new one.
#[inline]
pub(super) fn give_back(context: Bound<'_, PyAny>) {
    let pointer = context.as_ptr();
    // SAFETY: a live context. A token of a variable that was set and set back holds on to it, and would still fit.
    let as_new = unsafe { ffi::Py_REFCNT(pointer) == 1 && ffi::PyObject_Size(pointer) == 0 };
    if as_new {
        SPARE.set(Some(context.unbind()));
    }
}
