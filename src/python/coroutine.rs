//! Runs a coroutine as a task whose first step is taken at once: one that never waits has ended when this returns.

use std::cell::Cell;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCFunction, PyDict, PyType};

/// A task of this loop, in this context, whose first step has been run. To be called on the loop's thread, in
/// none of its tasks.
pub(crate) fn start<'py>(
    event_loop: &Bound<'py, PyAny>,
    coroutine: &Bound<'py, PyAny>,
    context: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    static TASK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static EAGER: PyOnceLock<bool> = PyOnceLock::new();
    let py = event_loop.py();
    let class = TASK.import(py, "asyncio", "Task")?;
    let options = PyDict::new(py);
    options.set_item(intern!(py, "loop"), event_loop)?;
    options.set_item(intern!(py, "context"), context)?;
    // Making up a name for each costs more than anything else that a task does at its beginning.
    options.set_item(intern!(py, "name"), intern!(py, "ironbridge-handler"))?;
    if *EAGER.get_or_init(py, || py.version_info() >= (3, 12)) {
        options.set_item(intern!(py, "eager_start"), true)?;
        return class.call((coroutine,), Some(&options));
    }
    // Before 3.12 a task asks its loop to call its first step soon: take that step here instead.
    static STAND_IN: PyOnceLock<Py<PyCFunction>> = PyOnceLock::new();
    let stand_in = STAND_IN.get_or_try_init(py, || wrap_pyfunction!(first_step, py).map(Bound::unbind))?;
    event_loop.setattr(intern!(py, "call_soon"), stand_in)?;
    let task = class.call((coroutine,), Some(&options));
    event_loop.delattr(intern!(py, "call_soon"))?;
    let callback = FIRST_STEP.take();
    let task = task?;
    if let Some(callback) = callback {
        context.call_method1(intern!(py, "run"), (callback,))?;
    }
    Ok(task)
}

/// A task of this loop, in this context, that has not begun, and what begins it.
#[cfg(feature = "mesh")]
pub(crate) fn prepare<'py>(
    event_loop: &Bound<'py, PyAny>,
    coroutine: &Bound<'py, PyAny>,
    context: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyAny>, Py<PyAny>)> {
    static TASK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static STAND_IN: PyOnceLock<Py<PyCFunction>> = PyOnceLock::new();
    let py = event_loop.py();
    let options = PyDict::new(py);
    options.set_item(intern!(py, "loop"), event_loop)?;
    options.set_item(intern!(py, "context"), context)?;
    options.set_item(intern!(py, "name"), intern!(py, "ironbridge-handler"))?;
    let stand_in = STAND_IN.get_or_try_init(py, || wrap_pyfunction!(first_step, py).map(Bound::unbind))?;
    event_loop.setattr(intern!(py, "call_soon"), stand_in)?;
    let task = TASK.import(py, "asyncio", "Task")?.call((coroutine,), Some(&options));
    event_loop.delattr(intern!(py, "call_soon"))?;
    let begin = FIRST_STEP.take();
    let begin = begin.ok_or_else(|| {
        pyo3::exceptions::PyRuntimeError::new_err("this event loop's tasks begin by themselves")
    })?;
    Ok((task?, begin))
}

/// Whether a value is a coroutine: Python's own, or what behaves as one.
pub(crate) fn is_one(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    static COROUTINE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = value.py();
    let class = COROUTINE.import(py, "types", "CoroutineType")?;
    Ok(value.get_type().is(class) || value.is_instance(&abstract_class(py)?)?)
}

fn abstract_class(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static ABSTRACT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    ABSTRACT.import(py, "collections.abc", "Coroutine").cloned()
}

/// The task that waits for whatever can be awaited.
pub(crate) fn awaited<'py>(
    event_loop: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    static ENSURE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = value.py();
    let options = PyDict::new(py);
    options.set_item(intern!(py, "loop"), event_loop)?;
    ENSURE.import(py, "asyncio", "ensure_future")?.call((value,), Some(&options))
}

/// A context without variables.
pub(crate) fn fresh_context(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static CONTEXT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CONTEXT.import(py, "contextvars", "Context")?.call0()
}

thread_local! {
    /// What the task that is being made on this thread wants to be called soon.
    static FIRST_STEP: Cell<Option<Py<PyAny>>> = const { Cell::new(None) };
}

/// Stands in for `call_soon` while a task is made.
#[pyfunction]
#[pyo3(signature = (callback, *, context=None))]
fn first_step(callback: Py<PyAny>, context: Option<&Bound<'_, PyAny>>) {
    let _ = context;
    FIRST_STEP.set(Some(callback));
}
