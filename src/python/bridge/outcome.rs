//! What a reply says: a value, or the failure as an exception.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::bridge::frame::{Frame, ReplyEnvelope};
use crate::core::error::{Code, Error};
use crate::core::limits::Limits;
use crate::python::errors::raise;
use crate::python::value::{Classes, InBuffer, decode};

/// The value of a reply, or its failure.
pub(super) fn of_reply<'py>(
    py: Python<'py>,
    mut frame: Frame<InBuffer>,
    classes: &Classes,
    limits: &Limits,
) -> PyResult<Bound<'py, PyAny>> {
    let envelope = ReplyEnvelope::read(frame.envelope()).map_err(|error| raise(py, &error))?;
    let buffers = std::mem::take(&mut frame.buffers);
    of_message(py, &envelope, frame.payload(), buffers, classes, limits)
}

/// The same for a reply whose envelope has been read.
pub(super) fn of_message<'py>(
    py: Python<'py>,
    envelope: &ReplyEnvelope,
    payload: &[u8],
    buffers: Vec<InBuffer>,
    classes: &Classes,
    limits: &Limits,
) -> PyResult<Bound<'py, PyAny>> {
    let value = decode(py, payload, buffers, classes, limits)?;
    if envelope.code == Code::Ok {
        return Ok(value);
    }
    Err(failure(&value, envelope))
}

/// The exception for a failure that a service tells.
fn failure(detail: &Bound<'_, PyAny>, envelope: &ReplyEnvelope) -> PyErr {
    let py = detail.py();
    let build = || -> PyResult<PyErr> {
        static FROM_WIRE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let from_wire = FROM_WIRE.import(py, "ironbridge.errors", "from_wire")?;
        let detail = detail.cast::<PyDict>()?;
        let message = match detail.get_item("message")? {
            Some(message) => message.str()?.to_string(),
            None => String::new(),
        };
        let arguments = (envelope.code as u16, envelope.fate as u8, message, detail);
        Ok(PyErr::from_value(from_wire.call1(arguments)?))
    };
    build().unwrap_or_else(|_| {
        let error = Error::new(envelope.code, "the service told of a failure in a way that cannot be read");
        raise(py, &error.with_fate(envelope.fate))
    })
}
