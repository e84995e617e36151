//! A call that waits for its answer: a future of the loop's, and where the answer is left.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use super::codec::Codec;
use super::shared::Shared;
use super::streaming;
use crate::mesh::node::{Answer, Failure, FailureKind, Outcome};
use crate::python::errors::raise;

/// Whoever waits for a call.
pub(super) struct Waiter(Arc<Slot>);

/// Where the answer is left.
pub(super) struct Slot {
    pub(super) future: Py<PyAny>,
    outcome: Mutex<Option<Box<Outcome>>>,
    /// The stream that it is, whose parts may be there before its caller is.
    stream: Mutex<Option<Py<PyAny>>>,
}

impl Waiter {
    /// One that wakes a future. The answer is in the slot.
    pub(super) fn new(future: Py<PyAny>) -> (Self, Arc<Slot>) {
        let slot = Arc::new(Slot { future, outcome: Mutex::new(None), stream: Mutex::new(None) });
        (Self(Arc::clone(&slot)), slot)
    }

    /// On the loop's thread: the answer is here.
    #[inline]
    pub(super) fn tell(self, py: Python<'_>, shared: &Shared, outcome: Box<Outcome>) {
        if let Outcome::Stream(number, _) = &*outcome {
            *self.0.stream.lock() = streaming::incoming(py, shared, *number).ok();
        }
        *self.0.outcome.lock() = Some(outcome);
        // One that was cancelled wants nothing.
        let _ = self.0.future.call_method1(py, intern!(py, "set_result"), (py.None(),));
    }
}

/// What a call came to, and the meta that came with it.
type Came<'py> = (PyResult<Bound<'py, PyAny>>, Option<Bound<'py, PyDict>>);

impl Slot {
    /// What the call came to: the value, and the meta that came with it.
    ///
    /// # Errors
    /// What its handler raised, or the engine has to tell.
    pub(super) fn value<'py>(&self, py: Python<'py>, shared: &Arc<Shared>) -> PyResult<Came<'py>> {
        let Some(outcome) = self.outcome.lock().take() else {
            return Ok((Err(failed(py, &Failure::closed())?), None));
        };
        let codec = &shared.codec;
        let meta = |answer: &Answer| answer.meta().map(|raw| codec.decode_dict(py, Some(raw))).transpose();
        Ok(match *outcome {
            Outcome::Result(answer) => (codec.decode_or_none(py, answer.data()), meta(&answer)?),
            Outcome::Stream(number, answer) => {
                let stream = match self.stream.lock().take() {
                    Some(stream) => stream,
                    None => streaming::incoming(py, shared, number)?,
                };
                (Ok(stream.into_bound(py)), meta(&answer)?)
            }
            Outcome::Error(answer) => (Err(error_of(py, codec, &answer)?), meta(&answer)?),
            Outcome::Failed(failure) => (Err(failed(py, &failure)?), None),
        })
    }
}

trait Closed {
    fn closed() -> Self;
}

impl Closed for Failure {
    fn closed() -> Self {
        Self { kind: FailureKind::Closed, action: "".into(), node: None }
    }
}

/// The error that a node has answered.
fn error_of(py: Python<'_>, codec: &Codec, answer: &Answer) -> PyResult<PyErr> {
    static FROM_WIRE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let from_wire = FROM_WIRE.import(py, "ironbridge._mesh.errors", "from_wire")?;
    let told = codec.decode_or_none(py, answer.data())?;
    Ok(PyErr::from_value(from_wire.call1((told, answer.sender()))?))
}

/// The error for what the engine tells of a call.
#[cold]
pub(super) fn failed(py: Python<'_>, failure: &Failure) -> PyResult<PyErr> {
    static OF_ENGINE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let of_engine = OF_ENGINE.import(py, "ironbridge._mesh.errors", "of_engine")?;
    let name = match failure.kind {
        FailureKind::NotFound => "ServiceNotFoundError",
        FailureKind::NotAvailable => "ServiceNotAvailableError",
        FailureKind::TimedOut => "RequestTimeoutError",
        FailureKind::Rejected | FailureKind::Closed | FailureKind::Broken => "RequestRejectedError",
        FailureKind::Disconnected => "BrokerDisconnectedError",
        FailureKind::QueueFull => "QueueIsFullError",
    };
    Ok(PyErr::from_value(of_engine.call1((name, &*failure.action, failure.node.as_deref()))?))
}

/// The exception for an engine's error.
#[cold]
pub(super) fn refused(py: Python<'_>, error: &crate::core::error::Error) -> PyErr {
    raise(py, error)
}
