//! A call that waits for its reply.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

use crate::core::deadline::Deadline;
use crate::core::error::Fate;

use super::{Link, Manner, Outcome};

/// A call that waits for its reply.
pub(super) struct Waiter {
    pub(super) future: Py<PyAny>,
    pub(super) name: Arc<str>,
    pub(super) manner: Manner,
    pub(super) outcome: Outcome,
    pub(super) deadline: Deadline,
    /// An idempotent call's request, to be sent again.
    pub(super) again: Option<Vec<u8>>,
    /// It was sent before, over a connection that has ended: it may have run.
    pub(super) sent_before: bool,
}

impl Waiter {
    /// What has become of the call, by what has become of its last try.
    pub(super) fn fate(&self, last: Fate) -> Fate {
        if self.sent_before { Fate::Unknown } else { last }
    }

    pub(super) fn resolve(self, py: Python<'_>, value: PyResult<Bound<'_, PyAny>>) {
        let future = self.future.bind(py);
        let resolved = match value {
            Ok(value) => set_result(future, &value),
            Err(error) => future.call_method1(intern!(py, "set_exception"), (error.into_value(py),)),
        };
        // A future that is done already was cancelled: nobody waits.
        drop(resolved);
    }
}

/// `future.set_result(value)` without a bound method and a tuple in between: this runs once per call.
fn set_result<'py>(future: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = future.py();
    let name = intern!(py, "set_result");
    // SAFETY: three live objects, and the null that ends them; the result is a new reference or an error.
    unsafe {
        let none = std::ptr::null_mut::<pyo3::ffi::PyObject>();
        let result =
            pyo3::ffi::PyObject_CallMethodObjArgs(future.as_ptr(), name.as_ptr(), value.as_ptr(), none);
        Bound::from_owned_ptr_or_err(py, result)
    }
}

/// A class of replies whose cancelling this link hears of.
pub(super) fn reply_class<'py>(link: &Bound<'py, Link>) -> PyResult<Bound<'py, PyAny>> {
    static BASE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = link.py();
    let base = BASE.import(py, "ironbridge._bridge.reply", "Reply")?;
    let members = PyDict::new(py);
    members.set_item("_link", link)?;
    py.get_type::<PyType>().call1(("Reply", (base,), members))
}
