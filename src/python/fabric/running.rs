//! Runs a coroutine on the connector's loop: its first step at once, the rest as a task.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::shared::{Shared, helper};
use crate::core::deadline::Deadline;
use crate::python::coroutine;

/// What is to be done when it has ended.
pub(super) trait After: Send + Sync {
    /// When it is to be cancelled, since nobody waits any more.
    fn deadline(&self) -> Option<Deadline>;
    /// It has ended.
    fn ended(self: Box<Self>, py: Python<'_>, outcome: PyResult<Bound<'_, PyAny>>);
}

/// Runs what a function has returned: a coroutine, anything that can be awaited, or the value itself.
pub(super) fn run(
    py: Python<'_>,
    shared: &Arc<Shared>,
    event_loop: &Bound<'_, PyAny>,
    context: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    after: Box<dyn After>,
) {
    match begin(py, event_loop, context, value) {
        Ok(Begun::Ended(outcome)) => after.ended(py, outcome),
        Ok(Begun::Runs(task)) => {
            if let Err(error) = watch(py, shared, event_loop, &task, after) {
                error.display(py);
            }
        }
        Err(error) => after.ended(py, Err(error)),
    }
}

enum Begun<'py> {
    Ended(PyResult<Bound<'py, PyAny>>),
    Runs(Bound<'py, PyAny>),
}

fn begin<'py>(
    py: Python<'py>,
    event_loop: &Bound<'py, PyAny>,
    context: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Begun<'py>> {
    let task = if coroutine::is_one(value)? {
        // One that ends the program would end it for every server, one after the other.
        static CONTAINED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let contained = helper(py, &CONTAINED, "ironbridge._fabric.contained", "contained")?;
        coroutine::start(event_loop, &contained.call1((value,))?, context)?
    } else if value.hasattr(intern!(py, "__await__"))? {
        coroutine::awaited(event_loop, value)?
    } else {
        return Ok(Begun::Ended(Ok(value.clone())));
    };
    if task.call_method0(intern!(py, "done"))?.is_truthy()? {
        return Ok(Begun::Ended(task.call_method0(intern!(py, "result"))));
    }
    Ok(Begun::Runs(task))
}

fn watch(
    py: Python<'_>,
    shared: &Arc<Shared>,
    event_loop: &Bound<'_, PyAny>,
    task: &Bound<'_, PyAny>,
    after: Box<dyn After>,
) -> PyResult<()> {
    let cancelling = match after.deadline() {
        Some(deadline) => {
            let cancel = task.getattr(intern!(py, "cancel"))?;
            let later = (deadline.remaining().as_secs_f64(), cancel);
            Some(event_loop.call_method1(intern!(py, "call_later"), later)?.unbind())
        }
        None => None,
    };
    let number = shared.running.lock().insert(task.clone().unbind());
    let ended = TaskEnded { shared: Arc::clone(shared), number, after: Mutex::new(Some(after)), cancelling };
    task.call_method1(intern!(py, "add_done_callback"), (Bound::new(py, ended)?,)).map(drop)
}

/// Whether it was cancelled.
pub(super) fn is_cancelled(py: Python<'_>, error: &PyErr) -> bool {
    static CANCELLED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CANCELLED
        .import(py, "asyncio", "CancelledError")
        .is_ok_and(|kind: &Bound<'_, PyAny>| error.is_instance(py, kind))
}

/// A handler that had to wait has ended.
#[pyclass(frozen)]
struct TaskEnded {
    shared: Arc<Shared>,
    number: u64,
    after: Mutex<Option<Box<dyn After>>>,
    cancelling: Option<Py<PyAny>>,
}

#[pymethods]
impl TaskEnded {
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let _task = self.shared.running.lock().tasks.remove(&self.number);
        if let Some(cancelling) = &self.cancelling {
            cancelling.call_method0(py, intern!(py, "cancel"))?;
        }
        if let Some(after) = self.after.lock().take() {
            after.ended(py, task.call_method0(intern!(py, "result")));
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.cancelling)
    }
}
