//! How a thread of the engine's own calls the user's code, so that the interpreter can end meanwhile.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{ffi, intern};

use crate::python::coroutine::fresh_context;
use crate::python::forked::Here;

/// `PyObject_Call` as one that may unwind.
type Call = unsafe extern "C-unwind" fn(
    callable: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// The function by an address that the optimiser cannot see through: it would take it for the one that cannot unwind.
fn caller() -> Call {
    type Plain = unsafe extern "C" fn(
        *mut ffi::PyObject,
        *mut ffi::PyObject,
        *mut ffi::PyObject,
    ) -> *mut ffi::PyObject;
    let plain: Plain = ffi::PyObject_Call;
    // SAFETY: the same function, of which more is expected: a caller that lets it unwind lets it do less, too.
    std::hint::black_box(unsafe { std::mem::transmute::<Plain, Call>(plain) })
}

/// Keeps its thread for ever when it is dropped.
struct Stay;

impl Drop for Stay {
    #[cold]
    fn drop(&mut self) {
        loop {
            std::thread::park();
        }
    }
}

/// Calls a function in a context of its own: what it sets there is gone with it.
///
/// Up to Python 3.13 an interpreter that has ended makes a thread that comes back to it exit, by unwinding its stack.
/// That would tear through the engine's frames and abort the process, so the thread stays here instead, holding
/// nothing that others wait for, until the process has ended. A child that the function has forked ends with it.
///
/// # Errors
/// What the function raises.
pub(crate) fn call<'py>(
    function: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    call_in(&fresh_context(function.py())?, function, args, kwargs)
}

/// The same in this context.
///
/// # Errors
/// What the function raises.
pub(crate) fn call_in<'py>(
    context: &Bound<'py, PyAny>,
    function: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = function.py();
    let run = context.getattr(intern!(py, "run"))?;
    let all = PyTuple::new(py, std::iter::once(function.clone()).chain(args.iter()).collect::<Vec<_>>())?;
    let kwargs = kwargs.map_or(std::ptr::null_mut(), Bound::as_ptr);
    let here = Here::now();
    let stay = Stay;
    // SAFETY: a live callable, a tuple, and a dict or null; the result is a new reference, or null with an exception.
    let result = unsafe { caller()(run.as_ptr(), all.as_ptr(), kwargs) };
    std::mem::forget(stay);
    // SAFETY: as above.
    let result = unsafe { Bound::from_owned_ptr_or_err(py, result) };
    here.end_child(py, &result);
    result
}
