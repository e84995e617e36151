//! A child that user code has forked, and that comes back from there to a thread of the engine's. It is a copy of that
//! one thread: it must serve none of its parent's callers, so there it ends, as a program that has run to its end.

use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;

use crate::core::platform::fork::generation;

/// Remembers which process it is.
#[derive(Clone, Copy)]
pub(crate) struct Here(u64);

impl Here {
    pub(crate) fn now() -> Self {
        Self(generation())
    }

    /// Ends the process if it is a child that was forked since, with the status that `outcome` asks for.
    #[inline]
    pub(crate) fn end_child<T>(self, py: Python<'_>, outcome: &PyResult<T>) {
        if self.0 != generation() {
            end(py, outcome.as_ref().err());
        }
    }

    /// Whether this is still that process.
    pub(crate) fn is_same(self) -> bool {
        self.0 == generation()
    }
}

#[cold]
fn end(py: Python<'_>, error: Option<&PyErr>) -> ! {
    let status = error.map_or(0, |error| status(py, error));
    for stream in ["stdout", "stderr"] {
        // What cannot be written now never can.
        let _ = py.import("sys").and_then(|sys| sys.getattr(stream)?.call_method0("flush"));
    }
    // SAFETY: ends the process; nothing of the parent's is run or freed.
    unsafe { libc::_exit(status) }
}

/// As the interpreter has it: `sys.exit()`'s argument, or 1 for a failure, which is printed.
fn status(py: Python<'_>, error: &PyErr) -> i32 {
    if !error.is_instance_of::<PySystemExit>(py) {
        error.print(py);
        return 1;
    }
    match error.value(py).getattr("code") {
        Ok(code) if code.is_none() => 0,
        Ok(code) => code.extract().unwrap_or(1),
        Err(_) => 1,
    }
}
