//! Ctrl+C during a wait: the engine asks now and then, and what a signal's handler raised is kept for the caller.

use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::core::error::{Code, Error};
use crate::python::errors::raise;

pub(super) fn is_main_thread() -> bool {
    rustix::thread::gettid() == rustix::process::getpid()
}

/// What signal handlers raised during one operation.
#[derive(Default)]
pub(crate) struct Signals {
    raised: Mutex<Option<PyErr>>,
    given_up: Option<Py<PyAny>>,
}

impl Signals {
    /// For an operation on a thread that no signal reaches: `given_up` tells whether it is still wanted.
    pub(crate) fn or_given_up(given_up: Option<&Py<PyAny>>, py: Python<'_>) -> Self {
        Self { given_up: given_up.map(|given_up| given_up.clone_ref(py)), ..Self::default() }
    }

    /// Whether there is anything to look for: signals' handlers run on the main thread only.
    pub(crate) fn must_look(&self) -> bool {
        self.given_up.is_some() || is_main_thread()
    }

    /// Runs what signals have come for (on the main thread); `true` once a handler has raised, or once the
    /// operation is given up.
    pub(crate) fn look(&self) -> bool {
        if self.raised.lock().is_some() {
            return true;
        }
        match Python::try_attach(|py| py.check_signals().and_then(|()| self.is_given_up(py))) {
            Some(Ok(given_up)) => given_up,
            Some(Err(error)) => {
                *self.raised.lock() = Some(error);
                true
            }
            // The interpreter is at its end, and this is the thread that ends it (a finaliser has called).
            None if is_main_thread() => true,
            // It has ended without waiting for this thread, which the end of the process takes along.
            None => loop {
                std::thread::park();
            },
        }
    }

    fn is_given_up(&self, py: Python<'_>) -> PyResult<bool> {
        self.given_up.as_ref().map_or(Ok(false), |given_up| given_up.call0(py)?.is_truthy(py))
    }

    /// The exception for an engine error: the handler's own, when that is why the operation ended.
    pub(crate) fn raise(&self, py: Python<'_>, error: &Error) -> PyErr {
        let raised = if error.code == Code::Cancelled { self.raised.lock().take() } else { None };
        raised.unwrap_or_else(|| raise(py, error))
    }
}
