//! What an asynchronous call returns: a future of its loop, none of whose steps runs Python's own code.
//!
//! `await`, `gather`, `wait_for`, `shield` and `timeout` take it as the future that it is (asyncio asks for
//! `_asyncio_future_blocking`, not for a class); `create_task` and `TaskGroup.create_task` as a coroutine.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple};
use pyo3::{ffi, intern};

use super::Link;
use super::waking::{Waking, call_later};

/// The reply of one call. The call leaves at once, awaited or not.
///
/// Cancelling it (or the task that awaits it) cancels the call in the service.
#[pyclass(frozen, weakref, module = "ironbridge._engine")]
pub(crate) struct Reply {
    /// Gives the loop when it is called. A task asks for it each time, and a method would have to be bound first.
    #[pyo3(get)]
    get_loop: Py<PyAny>,
    #[pyo3(get, name = "_loop")]
    event_loop: Py<PyAny>,
    /// A task looks at it to tell `await` from a stray `yield`.
    blocking: AtomicBool,
    /// The call's number on the connection that carries it.
    number: AtomicU64,
    /// Never held across code that may run Python's.
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    /// Who carries the call.
    link: Option<Py<Link>>,
}

enum Stage {
    Pending(Callbacks),
    Finished(Py<PyAny>),
    Failed(Failure),
    /// With what `cancel` was told.
    Cancelled(Option<Py<PyAny>>),
}

struct Failure {
    exception: Py<PyAny>,
    traceback: Option<Py<PyAny>>,
    /// Somebody has seen it.
    retrieved: bool,
}

/// What the replies of one loop share.
pub(super) struct Ends {
    pub(super) event_loop: Py<PyAny>,
    get_loop: Py<PyAny>,
    /// A future of asyncio's own that has succeeded. A task that is woken with it goes on without asking further.
    pub(super) done: Py<PyAny>,
}

/// What to call with the reply, and in which context.
pub(super) struct Callback {
    pub(super) function: Py<PyAny>,
    pub(super) context: Py<PyAny>,
}

/// Nearly always there is one: the task that awaits.
#[derive(Default)]
pub(super) struct Callbacks {
    first: Option<Callback>,
    more: Vec<Callback>,
}

impl Callbacks {
    fn push(&mut self, callback: Callback) {
        match self.first {
            None => self.first = Some(callback),
            Some(_) => self.more.push(callback),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Callback> {
        self.first.iter().chain(&self.more)
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = Callback> {
        self.first.into_iter().chain(self.more)
    }
}

/// How a reply that is done is read.
enum Seen<'py> {
    Pending,
    Value(Bound<'py, PyAny>),
    Raise(PyErr),
}

impl Reply {
    /// A reply that is still to come.
    pub(super) fn new<'py>(link: &Bound<'py, Link>, ends: &Ends) -> PyResult<Bound<'py, Self>> {
        let py = link.py();
        let state = State { stage: Stage::Pending(Callbacks::default()), link: Some(link.clone().unbind()) };
        let reply = Self {
            get_loop: ends.get_loop.clone_ref(py),
            event_loop: ends.event_loop.clone_ref(py),
            blocking: AtomicBool::new(false),
            number: AtomicU64::new(0),
            state: Mutex::new(state),
        };
        Bound::new(py, reply)
    }

    /// The loop that it belongs to.
    #[inline]
    pub(super) fn event_loop(&self) -> &Py<PyAny> {
        &self.event_loop
    }

    /// The call has this number.
    #[inline]
    pub(super) fn set_number(&self, number: u64) {
        self.number.store(number, Ordering::Relaxed);
    }

    /// Another connection carries the call now.
    pub(super) fn carried_by(&self, link: &Bound<'_, Link>) {
        let before = self.state.lock().link.replace(link.clone().unbind());
        drop(before);
    }

    /// It is done. One that is done already was cancelled: nobody waits.
    pub(super) fn end<'py>(
        this: &Bound<'py, Self>,
        outcome: PyResult<Bound<'py, PyAny>>,
        waking: &mut Waking<'_, 'py>,
    ) {
        let py = this.py();
        let stage = match outcome {
            Ok(value) => Stage::Finished(value.unbind()),
            Err(error) => Stage::Failed(Failure::new(py, error)),
        };
        let succeeded = matches!(stage, Stage::Finished(_));
        if let Ok(callbacks) = this.get().finish(stage) {
            waking.wake(this, callbacks, succeeded);
        }
    }

    /// Puts it into its last stage; gives the stage back when it is in one already.
    fn finish(&self, last: Stage) -> Result<Callbacks, Stage> {
        let mut state = self.state.lock();
        if !matches!(state.stage, Stage::Pending(_)) {
            return Err(last);
        }
        let link = state.link.take();
        let before = std::mem::replace(&mut state.stage, last);
        drop(state);
        drop(link);
        match before {
            Stage::Pending(callbacks) => Ok(callbacks),
            other => Err(other),
        }
    }

    #[inline]
    fn see<'py>(&self, py: Python<'py>) -> Seen<'py> {
        let mut state = self.state.lock();
        match &mut state.stage {
            Stage::Pending(_) => Seen::Pending,
            Stage::Finished(value) => Seen::Value(value.bind(py).clone()),
            Stage::Failed(failure) => {
                failure.retrieved = true;
                let (exception, traceback) = (failure.exception.clone_ref(py), failure.traceback.as_ref());
                let traceback = traceback.map(|traceback| traceback.clone_ref(py));
                drop(state);
                // Who awaited it before has written its own steps to the traceback.
                let _ = exception.setattr(py, intern!(py, "__traceback__"), traceback);
                Seen::Raise(PyErr::from_value(exception.into_bound(py)))
            }
            Stage::Cancelled(message) => {
                let message = message.as_ref().map(|message| message.clone_ref(py));
                drop(state);
                Seen::Raise(cancelled_error(py, message))
            }
        }
    }

    /// A step of whoever awaits: null with the value in a `StopIteration`, or with the failure, when it is done.
    #[inline]
    fn step(this: &Bound<'_, Self>) -> *mut ffi::PyObject {
        let py = this.py();
        match this.get().see(py) {
            Seen::Pending => {
                this.get().blocking.store(true, Ordering::Relaxed);
                this.clone().into_ptr()
            }
            Seen::Value(value) => {
                stop_with(&value);
                std::ptr::null_mut()
            }
            Seen::Raise(error) => {
                error.restore(py);
                std::ptr::null_mut()
            }
        }
    }
}

#[pymethods]
impl Reply {
    fn __await__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__(this: &Bound<'_, Self>) -> *mut ffi::PyObject {
        Self::step(this)
    }

    /// One step of a coroutine that awaits this reply.
    fn send(this: &Bound<'_, Self>, _value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = this.py();
        // SAFETY: a new reference, or null with an exception set.
        unsafe { Bound::from_owned_ptr_or_err(py, Self::step(this)) }.map(Bound::unbind)
    }

    /// Ends such a coroutine with an exception, as `coroutine.throw` does.
    #[pyo3(signature = (failure, value=None, traceback=None))]
    fn throw(
        &self,
        failure: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = failure.py();
        let value = value.filter(|value| !value.is_none());
        let exception = match (failure.is_callable(), value) {
            (true, Some(value)) if value.is_instance(failure)? => value.clone(),
            (true, Some(value)) => failure.call1((value,))?,
            (true, None) => failure.call0()?,
            (false, _) => failure.clone(),
        };
        if let Some(traceback) = traceback.filter(|traceback| !traceback.is_none()) {
            exception.setattr(intern!(py, "__traceback__"), traceback)?;
        }
        Err(PyErr::from_value(exception))
    }

    /// Gives such a coroutine up: a call that nobody awaits any more is cancelled.
    fn close(this: &Bound<'_, Self>) -> PyResult<()> {
        let awaited = match &this.get().state.lock().stage {
            Stage::Pending(callbacks) => callbacks.first.is_some(),
            _ => true,
        };
        if !awaited {
            Self::cancel(this, None)?;
        }
        Ok(())
    }

    /// Cancels the call: its coroutine in the service is cancelled, its reply dropped.
    #[pyo3(signature = (msg=None))]
    fn cancel(this: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        let link = this.get().state.lock().link.as_ref().map(|link| link.clone_ref(this.py()));
        let Ok(callbacks) = this.get().finish(Stage::Cancelled(msg)) else { return Ok(false) };
        if let Some(link) = link {
            Link::forget(link.bind(this.py()), this.get().number.load(Ordering::Relaxed))?;
        }
        for callback in callbacks.into_iter() {
            call_later(this, &callback)?;
        }
        Ok(true)
    }

    fn cancelled(&self) -> bool {
        matches!(self.state.lock().stage, Stage::Cancelled(_))
    }

    fn done(&self) -> bool {
        !matches!(self.state.lock().stage, Stage::Pending(_))
    }

    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.see(py) {
            Seen::Pending => Err(invalid_state(py, "Result is not set.")),
            Seen::Value(value) => Ok(value.unbind()),
            Seen::Raise(error) => Err(error),
        }
    }

    fn exception(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        if let Stage::Failed(failure) = &mut self.state.lock().stage {
            failure.retrieved = true;
            return Ok(Some(failure.exception.clone_ref(py)));
        }
        match self.see(py) {
            Seen::Pending => Err(invalid_state(py, "Exception is not set.")),
            Seen::Value(_) => Ok(None),
            Seen::Raise(error) => Err(error),
        }
    }

    /// Has the loop call `callback(reply)` soon after it is done.
    #[pyo3(signature = (callback, *, context=None))]
    fn add_done_callback(
        this: &Bound<'_, Self>,
        callback: Py<PyAny>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let context = match context {
            Some(context) => context,
            None => current_context(this.py())?,
        };
        let callback = Callback { function: callback, context };
        {
            let mut state = this.get().state.lock();
            if let Stage::Pending(callbacks) = &mut state.stage {
                callbacks.push(callback);
                return Ok(());
            }
        }
        call_later(this, &callback)
    }

    /// Takes a callback back; returns how many times it was there.
    fn remove_done_callback(&self, callback: &Bound<'_, PyAny>) -> PyResult<usize> {
        let py = callback.py();
        let take = || match &mut self.state.lock().stage {
            Stage::Pending(callbacks) => std::mem::take(callbacks),
            _ => Callbacks::default(),
        };
        // Comparing runs Python's code.
        let (mut kept, mut removed) = (Callbacks::default(), 0);
        for known in take().into_iter() {
            if known.function.bind(py).eq(callback)? {
                removed += 1;
            } else {
                kept.push(known);
            }
        }
        for added in take().into_iter() {
            kept.push(added);
        }
        if let Stage::Pending(callbacks) = &mut self.state.lock().stage {
            *callbacks = kept;
        }
        Ok(removed)
    }

    #[getter(_asyncio_future_blocking)]
    fn is_blocking(&self) -> bool {
        self.blocking.load(Ordering::Relaxed)
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) {
        self.blocking.store(blocking, Ordering::Relaxed);
    }

    #[getter]
    fn _state(&self) -> &'static str {
        match self.state.lock().stage {
            Stage::Pending(_) => "PENDING",
            Stage::Finished(_) | Stage::Failed(_) => "FINISHED",
            Stage::Cancelled(_) => "CANCELLED",
        }
    }

    #[getter]
    fn _callbacks<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        let state = self.state.lock();
        let Stage::Pending(callbacks) = &state.stage else { return Ok(None) };
        let pairs: Vec<_> = callbacks
            .iter()
            .map(|known| (known.function.clone_ref(py), known.context.clone_ref(py)))
            .collect();
        drop(state);
        if pairs.is_empty() { Ok(None) } else { PyList::new(py, pairs).map(Some) }
    }

    #[getter]
    fn _cancel_message(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        match &self.state.lock().stage {
            Stage::Cancelled(message) => message.as_ref().map(|message| message.clone_ref(py)),
            _ => None,
        }
    }

    fn _make_cancelled_error(&self, py: Python<'_>) -> Py<PyAny> {
        cancelled_error(py, self._cancel_message(py)).into_value(py).into_any()
    }

    fn __repr__(&self) -> String {
        format!("<Reply {}>", self._state().to_lowercase())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Who holds the lock is in the middle of a change, and holds what is in it.
        let Some(state) = self.state.try_lock() else { return Ok(()) };
        visit.call(&self.event_loop)?;
        if let Some(link) = &state.link {
            visit.call(link)?;
        }
        match &state.stage {
            Stage::Pending(callbacks) => {
                for callback in callbacks.iter() {
                    visit.call(&callback.function)?;
                    visit.call(&callback.context)?;
                }
                Ok(())
            }
            Stage::Finished(value) => visit.call(value),
            Stage::Failed(failure) => {
                visit.call(&failure.exception)?;
                failure.traceback.as_ref().map_or(Ok(()), |traceback| visit.call(traceback))
            }
            Stage::Cancelled(message) => message.as_ref().map_or(Ok(()), |message| visit.call(message)),
        }
    }

    fn __clear__(&self) {
        let mut state = self.state.lock();
        let held = (std::mem::replace(&mut state.stage, Stage::Cancelled(None)), state.link.take());
        drop(state);
        drop(held);
    }
}

impl Ends {
    pub(super) fn new(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = event_loop.py();
        let options = PyDict::new(py);
        options.set_item("loop", event_loop)?;
        let done = py.import("asyncio")?.getattr("Future")?.call((), Some(&options))?;
        done.call_method1("set_result", (py.None(),))?;
        let (event_loop, done) = (event_loop.clone().unbind(), done.unbind());
        Ok(Self { get_loop: getter_of(event_loop.bind(py))?, event_loop, done })
    }
}

impl Failure {
    fn new(py: Python<'_>, error: PyErr) -> Self {
        let mut error = error;
        if error.is_instance_of::<PyStopIteration>(py) {
            // Raised in a coroutine it would read as the coroutine's end.
            let text = "StopIteration interacts badly with generators and cannot be raised into a Future";
            let other = PyRuntimeError::new_err(text);
            other.set_cause(py, Some(error));
            error = other;
        }
        let traceback = error.traceback(py).map(|traceback| traceback.into_any().unbind());
        Self { exception: error.into_value(py).into_any(), traceback, retrieved: false }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let Stage::Failed(Failure { exception, retrieved: false, .. }) = &self.state.get_mut().stage else {
            return;
        };
        // As asyncio does for its own: an error must not pass in silence.
        let told = Python::try_attach(|py| {
            let context = PyDict::new(py);
            context.set_item("message", "Reply exception was never retrieved")?;
            context.set_item("exception", exception)?;
            self.event_loop.call_method1(py, intern!(py, "call_exception_handler"), (context,))
        });
        if let Some(Err(error)) = told {
            Python::attach(|py| error.write_unraisable(py, None));
        }
    }
}

/// `raise StopIteration(value)`, as a generator ends.
fn stop_with(value: &Bound<'_, PyAny>) {
    let py = value.py();
    // Python makes the exception from the value when somebody asks; of these two it would make something else.
    if value.is_instance_of::<PyTuple>() || value.is_instance_of::<pyo3::exceptions::PyBaseException>() {
        PyStopIteration::new_err((value.clone().unbind(),)).restore(py);
        return;
    }
    // SAFETY: attached; both are live objects.
    unsafe { ffi::PyErr_SetObject(ffi::PyExc_StopIteration, value.as_ptr()) };
}

/// A function that returns this object.
fn getter_of(object: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    struct Definition(UnsafeCell<ffi::PyMethodDef>);
    // SAFETY: never written to.
    unsafe impl Sync for Definition {}
    unsafe extern "C" fn itself(object: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
        // SAFETY: what the function was made with, alive as long as it is.
        unsafe { ffi::Py_NewRef(object) }
    }
    static GET_LOOP: Definition = Definition(UnsafeCell::new(ffi::PyMethodDef {
        ml_name: c"get_loop".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: itself },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: c"The loop that the reply belongs to.".as_ptr(),
    }));
    // SAFETY: the definition lives for ever; the result is a new reference or an error.
    unsafe {
        let made = ffi::PyCFunction_NewEx(GET_LOOP.0.get(), object.as_ptr(), std::ptr::null_mut());
        Bound::from_owned_ptr_or_err(object.py(), made).map(Bound::unbind)
    }
}

fn cancelled_error(py: Python<'_>, message: Option<Py<PyAny>>) -> PyErr {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let made = CLASS.import(py, "asyncio", "CancelledError").and_then(|class| match message {
        Some(message) => class.call1((message,)),
        None => class.call0(),
    });
    made.map_or_else(|error| error, PyErr::from_value)
}

fn invalid_state(py: Python<'_>, text: &str) -> PyErr {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let made = CLASS.import(py, "asyncio", "InvalidStateError").and_then(|class| class.call1((text,)));
    made.map_or_else(|error| error, PyErr::from_value)
}

fn current_context(py: Python<'_>) -> PyResult<Py<PyAny>> {
    static COPY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    COPY.import(py, "contextvars", "copy_context")?.call0().map(Bound::unbind)
}

/// Makes `create_task` take replies.
pub(super) fn register(py: Python<'_>) -> PyResult<()> {
    static DONE: PyOnceLock<()> = PyOnceLock::new();
    DONE.get_or_try_init(py, || {
        let coroutine = py.import("collections.abc")?.getattr("Coroutine")?;
        coroutine.call_method1("register", (py.get_type::<Reply>(),)).map(drop)
    })
    .copied()
}
