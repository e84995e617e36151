//! Runs a coroutine as a task whose first step is taken at once: one that never waits has ended when this returns.

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

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
    if *EAGER.get_or_init(py, || py.version_info() >= (3, 12)) {
        options.set_item(intern!(py, "eager_start"), true)?;
        return class.call((coroutine,), Some(&options));
    }
    // Before 3.12 a task asks its loop to call its first step soon: take that step here instead.
    let step = Bound::new(py, FirstStep::default())?;
    event_loop.setattr(intern!(py, "call_soon"), &step)?;
    let task = class.call((coroutine,), Some(&options));
    event_loop.delattr(intern!(py, "call_soon"))?;
    let task = task?;
    let callback = step.get().0.lock().take();
    if let Some(callback) = callback {
        context.call_method1(intern!(py, "run"), (callback,))?;
    }
    Ok(task)
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

/// Stands in for `call_soon` while a task is made.
#[pyclass(frozen)]
#[derive(Default)]
struct FirstStep(Mutex<Option<Py<PyAny>>>);

#[pymethods]
impl FirstStep {
    #[pyo3(signature = (callback, *_args, **_options))]
    fn __call__(
        &self,
        callback: Py<PyAny>,
        _args: &Bound<'_, PyTuple>,
        _options: Option<&Bound<'_, PyDict>>,
    ) {
        *self.0.lock() = Some(callback);
    }
}
