//! Runs handlers on the loop without a task for each: a task stands ready, and the handler's first step is taken as
//! if in it. One that ends in that step, as most do, leaves the task to the next; one that waits takes it along.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PyStopIteration, PySystemExit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::{PyTraverseError, PyVisit, ffi};

use super::shared::Shared;
use crate::python::coroutine;

/// What is to be done when a handler has ended.
pub(super) type After = Box<dyn FnOnce(Python<'_>, PyResult<Bound<'_, PyAny>>) + Send + Sync>;

/// A task that has not begun, with its context.
pub(super) struct Spare {
    task: Py<PyAny>,
    host: Py<Host>,
    context: Py<PyAny>,
    /// Begins it.
    begin: Py<PyAny>,
}

/// How a step ended.
pub(super) enum Step<'py> {
    /// It waits for this.
    Waits(Bound<'py, PyAny>),
    /// It has ended.
    Ended(PyResult<Bound<'py, PyAny>>),
}

/// Takes one step of a coroutine.
#[inline]
pub(super) fn step<'py>(coroutine: &Bound<'py, PyAny>) -> Step<'py> {
    let py = coroutine.py();
    let mut result = std::ptr::null_mut();
    // SAFETY: a live iterator, None, and a place for what comes; each result but an error is a new reference.
    unsafe {
        match ffi::PyIter_Send(coroutine.as_ptr(), ffi::Py_None(), &raw mut result) {
            ffi::PySendResult::PYGEN_NEXT => Step::Waits(Bound::from_owned_ptr(py, result)),
            ffi::PySendResult::PYGEN_RETURN => Step::Ended(Ok(Bound::from_owned_ptr(py, result))),
            ffi::PySendResult::PYGEN_ERROR => Step::Ended(Err(PyErr::fetch(py))),
        }
    }
}

/// Raises an exception within a coroutine.
pub(super) fn throw<'py>(coroutine: &Bound<'py, PyAny>, error: PyErr) -> Step<'py> {
    let py = coroutine.py();
    match coroutine.call_method1(intern!(py, "throw"), (error.into_value(py),)) {
        Ok(awaited) => Step::Waits(awaited),
        Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
            Step::Ended(error.value(py).getattr(intern!(py, "value")))
        }
        Err(error) => Step::Ended(Err(error)),
    }
}

/// The coroutine of such a task: it runs the handler's.
#[pyclass(frozen, name = "MeshHost", module = "ironbridge._engine")]
pub(super) struct Host(Mutex<Hosted>);

#[derive(Default)]
struct Hosted {
    coroutine: Option<Py<PyAny>>,
    /// What the first step waits for, until the task has begun.
    first: Option<Py<PyAny>>,
    /// How the first step ended.
    ended: Option<PyResult<Py<PyAny>>>,
}

impl Host {
    fn coroutine(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.0.lock().coroutine.as_ref().map(|coroutine| coroutine.clone_ref(py))
    }

    /// What a step came to, as a coroutine's methods tell it.
    fn told<'py>(&self, py: Python<'py>, step: Step<'py>) -> PyResult<Bound<'py, PyAny>> {
        match step {
            Step::Waits(awaited) => Ok(awaited),
            Step::Ended(Ok(value)) => Err(PyStopIteration::new_err((value.unbind(),))),
            Step::Ended(Err(error)) => Err(contained(py, error)),
        }
    }
}

#[pymethods]
impl Host {
    fn __await__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(first) = self.0.lock().first.take() {
            return Ok(first.into_bound(py));
        }
        let Some(coroutine) = self.coroutine(py) else {
            return Err(PyStopIteration::new_err((py.None(),)));
        };
        let taken = step(coroutine.bind(py));
        self.told(py, taken)
    }

    fn send<'py>(&self, py: Python<'py>, _value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.__next__(py)
    }

    #[pyo3(signature = (kind, value=None, traceback=None))]
    fn throw<'py>(
        &self,
        py: Python<'py>,
        kind: Bound<'py, PyAny>,
        value: Option<Bound<'py, PyAny>>,
        traceback: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = traceback;
        let error = PyErr::from_value(value.unwrap_or(kind));
        self.0.lock().first = None;
        let Some(coroutine) = self.coroutine(py) else { return Err(error) };
        let taken = throw(coroutine.bind(py), error);
        self.told(py, taken)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let coroutine = std::mem::take(&mut *self.0.lock()).coroutine;
        coroutine.map_or(Ok(()), |coroutine| coroutine.call_method0(py, intern!(py, "close")).map(drop))
    }

    /// Takes a coroutine's first step as if in the task, within the task's context.
    fn _begin(&self, py: Python<'_>, coroutine: &Bound<'_, PyAny>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        static ENTER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        static LEAVE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let event_loop = task.call_method0(intern!(py, "get_loop"))?;
        ENTER.import(py, "asyncio.tasks", "_enter_task")?.call1((&event_loop, task))?;
        let taken = step(coroutine);
        LEAVE.import(py, "asyncio.tasks", "_leave_task")?.call1((&event_loop, task))?;
        let mut hosted = self.0.lock();
        match taken {
            Step::Waits(awaited) => {
                hosted.first = Some(awaited.unbind());
                hosted.coroutine = Some(coroutine.clone().unbind());
            }
            Step::Ended(outcome) => hosted.ended = Some(outcome.map(Bound::unbind)),
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(hosted) = self.0.try_lock() else { return Ok(()) };
        visit.call(&hosted.coroutine)?;
        visit.call(&hosted.first)
    }
}

/// A handler that ends the program ends itself alone; Ctrl+C ends the loop, as ever.
fn contained(py: Python<'_>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PySystemExit>(py) {
        return error;
    }
    let exited = PyRuntimeError::new_err("the handler has called sys.exit()");
    exited.set_cause(py, Some(error));
    exited
}

impl Spare {
    /// A task of the loop's, in a copy of this context.
    fn new(event_loop: &Bound<'_, PyAny>, base: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = event_loop.py();
        let context = base.call_method0(intern!(py, "copy"))?;
        let host = Bound::new(py, Host(Mutex::default()))?;
        let (task, begin) = coroutine::prepare(event_loop, host.as_any(), &context)?;
        // As long as it has not begun, it is none of the loop's: whoever waits for all tasks would wait for ever.
        registered(&task, "_unregister_task")?;
        // One that is never needed is no accident.
        task.setattr(intern!(py, "_log_destroy_pending"), false)?;
        Ok(Self { task: task.unbind(), host: host.unbind(), context: context.unbind(), begin })
    }
}

/// Makes a task one of those that the loop's users can see, or not.
fn registered(task: &Bound<'_, PyAny>, how: &str) -> PyResult<()> {
    task.py().import("asyncio.tasks")?.getattr(how)?.call1((task,)).map(drop)
}

/// Runs what a function gives: called in a context of its own, with its first step as if in a task. `make` calls it.
///
/// # Errors
/// When the interpreter refuses a task; what a handler raises is given to `after`, but Ctrl+C is raised.
pub(super) fn run(
    py: Python<'_>,
    shared: &Arc<Shared>,
    coroutine: &Bound<'_, PyAny>,
    deadline: Option<(crate::core::deadline::Deadline, After)>,
    after: After,
) -> PyResult<()> {
    let (event_loop, base, spare) = {
        let mut place = shared.place.lock();
        let (Some(event_loop), Some(base)) = (&place.event_loop, &place.context) else {
            return Ok(());
        };
        (event_loop.bind(py).clone(), base.bind(py).clone(), place.spare.take())
    };
    let spare = match spare {
        Some(spare) => spare,
        None => Spare::new(&event_loop, &base)?,
    };
    let host = spare.host.bind(py);
    let begin = host.getattr(intern!(py, "_begin"))?;
    spare.context.bind(py).call_method1(intern!(py, "run"), (begin, coroutine, &spare.task))?;
    let ended = host.get().0.lock().ended.take();
    if let Some(outcome) = ended {
        // What it has set in its context is nobody else's.
        if spare.context.bind(py).eq(&base)? {
            shared.place.lock().spare = Some(spare);
        }
        return match outcome {
            Err(error) if error.is_instance_of::<PyKeyboardInterrupt>(py) => {
                after(py, Err(error.clone_ref(py)));
                Err(error)
            }
            outcome => {
                after(py, outcome.map(|value| value.into_bound(py)).map_err(|error| contained(py, error)));
                Ok(())
            }
        };
    }
    registered(spare.task.bind(py), "_register_task")?;
    let number = shared.running.lock().insert(spare.task.clone_ref(py));
    let expiring = match deadline {
        Some((deadline, expired)) => {
            let expire = Expire { task: spare.task.clone_ref(py), told: Mutex::new(Some(expired)) };
            let later = (deadline.remaining().as_secs_f64(), Bound::new(py, expire)?);
            Some(event_loop.call_method1(intern!(py, "call_later"), later)?.unbind())
        }
        None => None,
    };
    let ended = TaskEnded { shared: Arc::clone(shared), number, after: Mutex::new(Some(after)), expiring };
    spare.task.call_method1(py, intern!(py, "add_done_callback"), (Bound::new(py, ended)?,))?;
    spare.context.bind(py).call_method1(intern!(py, "run"), (spare.begin,)).map(drop)
}

/// A handler's caller waits no longer.
#[pyclass(frozen)]
struct Expire {
    task: Py<PyAny>,
    told: Mutex<Option<After>>,
}

#[pymethods]
impl Expire {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(told) = self.told.lock().take() {
            told(py, Ok(py.None().into_bound(py)));
        }
        self.task.call_method0(py, intern!(py, "cancel")).map(drop)
    }
}

/// A handler that had to wait has ended.
#[pyclass(frozen)]
struct TaskEnded {
    shared: Arc<Shared>,
    number: u64,
    after: Mutex<Option<After>>,
    expiring: Option<Py<PyAny>>,
}

#[pymethods]
impl TaskEnded {
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let _task = self.shared.running.lock().tasks.remove(&self.number);
        if let Some(expiring) = &self.expiring {
            expiring.call_method0(py, intern!(py, "cancel"))?;
        }
        if let Some(after) = self.after.lock().take() {
            after(py, task.call_method0(intern!(py, "result")));
            self.shared.flush_soon(py, false)?;
        }
        Ok(())
    }
}
