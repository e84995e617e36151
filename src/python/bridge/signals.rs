//! Ctrl+C during a wait: the engine asks now and then, and what a signal's handler raised is kept for the caller.

use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::core::error::{Code, Error};
use crate::python::errors::raise;

/// What signal handlers raised during one operation.
#[derive(Default)]
pub(super) struct Signals {
    raised: Mutex<Option<PyErr>>,
}

impl Signals {
    /// Runs what signals have come for (on the main thread); `true` when a handler raised.
    pub(super) fn look(&self) -> bool {
        match Python::attach(|py| py.check_signals()) {
            Ok(()) => false,
            Err(error) => {
                *self.raised.lock() = Some(error);
                true
            }
        }
    }

    /// The exception for an engine error: the handler's own, when that is why the operation ended.
    pub(super) fn raise(&self, py: Python<'_>, error: &Error) -> PyErr {
        let raised = if error.code == Code::Cancelled { self.raised.lock().take() } else { None };
        raised.unwrap_or_else(|| raise(py, error))
    }
}
