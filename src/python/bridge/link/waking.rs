//! How those who wait for a reply are woken.
//!
//! asyncio has the loop call each of them in its next turn, which costs more than the rest of a call. A task is
//! nothing that minds: while the loop itself calls us and no task runs, its next step is taken at once.

use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use pyo3::{ffi, intern};

use crate::core::platform::fork::generation;

use super::reply::{Callback, Callbacks, Ends, Reply};

/// One occasion on which replies end.
pub(super) struct Waking<'a, 'py> {
    py: Python<'py>,
    ends: &'a Ends,
    at_once: bool,
    /// What ends the loop: `KeyboardInterrupt` or `SystemExit`, from a task.
    ending: Option<PyErr>,
}

impl<'a, 'py> Waking<'a, 'py> {
    /// Everybody is called in the loop's next turn: we are called by who knows whom.
    pub(super) fn later(py: Python<'py>, ends: &'a Ends) -> Self {
        Self { py, ends, at_once: false, ending: None }
    }

    /// The loop calls us: tasks go on at once, unless the loop is being debugged, which times each callback.
    pub(super) fn in_callback(py: Python<'py>, ends: &'a Ends) -> PyResult<Self> {
        static CURRENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let event_loop = ends.event_loop.bind(py);
        let nested = !CURRENT.import(py, "asyncio", "current_task")?.call1((event_loop,))?.is_none();
        let debugged = event_loop.call_method0(intern!(py, "get_debug"))?.is_truthy()?;
        // Who has put another class in its place has loops run inside each other's callbacks.
        static ASYNCIO: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
        let asyncio = ASYNCIO.get_or_try_init(py, || py.import("asyncio").map(Bound::unbind))?.bind(py);
        let own = asyncio.getattr(intern!(py, "Task"))?.is(native_task(py)?);
        Ok(Self { py, ends, at_once: own && !nested && !debugged, ending: None })
    }

    pub(super) fn py(&self) -> Python<'py> {
        self.py
    }

    /// Whether the loop is about to end.
    pub(super) fn is_over(&self) -> bool {
        self.ending.is_some()
    }

    /// What has to be raised to the loop, once all are woken.
    pub(super) fn finish(self) -> PyResult<()> {
        self.ending.map_or(Ok(()), Err)
    }

    /// Calls those who wait for this reply.
    pub(super) fn wake(&mut self, reply: &Bound<'py, Reply>, callbacks: Callbacks, succeeded: bool) {
        for callback in callbacks.into_iter() {
            if self.at_once && is_wakeup(callback.function.bind(self.py)) {
                let with = if succeeded { self.ends.done.bind(self.py) } else { reply.as_any() };
                if let Err(error) = run(&callback, with, self.ends) {
                    self.failed(error);
                }
            } else {
                // A loop that is closed calls nobody any more.
                drop(call_later(reply, &callback));
            }
        }
    }

    /// As the loop does with a callback that raises.
    fn failed(&mut self, error: PyErr) {
        let py = self.py;
        if !error.is_instance_of::<PyException>(py) {
            self.at_once = false;
            self.ending.get_or_insert(error);
            return;
        }
        let tell = || -> PyResult<()> {
            let context = PyDict::new(py);
            context.set_item("message", "Exception in the wake-up of a task")?;
            context.set_item("exception", error.into_value(py))?;
            let event_loop = self.ends.event_loop.bind(py);
            event_loop.call_method1(intern!(py, "call_exception_handler"), (context,)).map(drop)
        };
        if let Err(error) = tell() {
            error.write_unraisable(py, None);
        }
    }
}

/// Has the loop call it in its next turn.
pub(super) fn call_later(reply: &Bound<'_, Reply>, callback: &Callback) -> PyResult<()> {
    let py = reply.py();
    let options = PyDict::new(py);
    options.set_item(intern!(py, "context"), &callback.context)?;
    let arguments = (&callback.function, reply);
    reply.get().event_loop().call_method(py, intern!(py, "call_soon"), arguments, Some(&options)).map(drop)
}

thread_local! {
    /// The loop in whose callback this thread wakes a task, null outside, and the process: a child that a task has
    /// forked may run a loop of its own.
    static WAKING: Cell<(*mut ffi::PyObject, u64)> = const { Cell::new((std::ptr::null_mut(), 0)) };
}

/// The loop that runs on this thread.
pub(crate) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let (here, process) = WAKING.get();
    if !here.is_null() && process == generation() {
        // SAFETY: whoever put it there holds it until it is taken away.
        return Ok(unsafe { Bound::from_borrowed_ptr(py, here) });
    }
    // Up to Python 3.11 it asks the system for the process's number each time.
    RUNNING.import(py, "asyncio", "get_running_loop")?.call0()
}

/// `context.run(function, with)`, as the loop would, without a bound method and a tuple in between.
fn run(callback: &Callback, with: &Bound<'_, PyAny>, ends: &Ends) -> PyResult<()> {
    let py = with.py();
    let name = intern!(py, "run");
    let outer = WAKING.replace((ends.event_loop.as_ptr(), generation()));
    // SAFETY: four live objects, and the null that ends them; the result is a new reference or an error.
    let result = unsafe {
        let none = std::ptr::null_mut::<ffi::PyObject>();
        let result = ffi::PyObject_CallMethodObjArgs(
            callback.context.as_ptr(),
            name.as_ptr(),
            callback.function.as_ptr(),
            with.as_ptr(),
            none,
        );
        Bound::from_owned_ptr_or_err(py, result)
    };
    WAKING.set(outer);
    result.map(drop)
}

/// Whether this is how a task of asyncio's own is woken. Anything else might count on being called by the loop.
fn is_wakeup(function: &Bound<'_, PyAny>) -> bool {
    /// The native function behind it, once seen.
    static WAKEUP: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
    let pointer = function.as_ptr();
    // SAFETY: a live object; what belongs to a native function is asked of one only.
    let code = unsafe {
        if ffi::Py_TYPE(pointer) != &raw mut ffi::PyCFunction_Type {
            return false;
        }
        match ffi::PyCFunction_GetFunction(pointer) {
            Some(code) => code as *mut (),
            None => return false,
        }
    };
    if code == WAKEUP.load(Ordering::Relaxed) {
        return true;
    }
    let found = belongs_to_task(function).unwrap_or(false);
    if found {
        WAKEUP.store(code, Ordering::Relaxed);
    }
    found
}

fn belongs_to_task(function: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = function.py();
    let owner = function.getattr(intern!(py, "__self__"))?;
    let name = function.getattr(intern!(py, "__name__"))?;
    Ok(owner.get_type().is(native_task(py)?) && name.eq("task_wakeup")?)
}

/// asyncio's own class of tasks, as long as nobody has put another in its place.
fn native_task(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static TASK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    TASK.import(py, "_asyncio", "Task")
}
