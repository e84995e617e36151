//! Engine errors as Python exceptions of `ironbridge.errors`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::core::error::Error;

/// The exception for an engine error. The class is chosen in Python (`ironbridge.errors.from_wire`),
/// which is imported when the first error is raised.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    build(py, error).unwrap_or_else(|failure| failure)
}

fn build(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    static FROM_WIRE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let from_wire = FROM_WIRE.import(py, "ironbridge.errors", "from_wire")?;
    let arguments = (error.code as u16, error.fate as u8, error.message.as_str(), py.None());
    Ok(PyErr::from_value(from_wire.call1(arguments)?))
}
