//! How something that was begun ends: as a future on the loop's thread, as a value anywhere else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::codec;
use super::connector::{FabricConnector, SUBSCRIPTION};
use super::shared::{Event, Shared, helper};
use crate::core::done::Done;
use crate::core::error::{Code, Error, Result};
use crate::fabric::calls::Reply;
use crate::fabric::connector::Leftover;
use crate::fabric::wire::Kind;
use crate::python::ending;
use crate::python::errors::raise;
use crate::python::mailbox::Slot;
use crate::python::signals::Signals;

/// What came of it.
pub(super) enum Told {
    Nothing,
    Reply(Reply),
    Leftover(Leftover),
    Count(u32),
    Queue(u32, u32),
}

impl From<u32> for Told {
    fn from(count: u32) -> Self {
        Self::Count(count)
    }
}

impl From<(u32, u32)> for Told {
    fn from((messages, consumers): (u32, u32)) -> Self {
        Self::Queue(messages, consumers)
    }
}

impl From<()> for Told {
    fn from((): ()) -> Self {
        Self::Nothing
    }
}

impl From<Reply> for Told {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

impl From<Leftover> for Told {
    fn from(leftover: Leftover) -> Self {
        Self::Leftover(leftover)
    }
}

/// A future, and what is to become of it.
pub(super) struct Ended {
    future: Py<PyAny>,
    outcome: Result<Told>,
    /// What it is the end of.
    what: Box<str>,
}

impl Ended {
    /// On the loop's thread. A future that was cancelled wants nothing. Gives a failure that nobody awaits, and of what.
    pub(super) fn tell(self, py: Python<'_>, shared: &Shared) -> Option<(PyErr, Box<str>)> {
        let future = self.future.bind(py);
        // The connector was closed: that is no failure of theirs.
        let ended = self.what.starts_with(SUBSCRIPTION)
            && self.outcome.as_ref().is_err_and(|error| error.code == Code::ServiceUnavailable);
        let outcome = match self.outcome {
            Ok(told) => told.value(py, shared),
            Err(error) => Err(raise(py, &error)),
        };
        match outcome {
            Ok(value) => {
                let _ = future.call_method1(intern!(py, "set_result"), (value,));
                None
            }
            Err(error) => {
                let unawaited = is_unawaited(future);
                let set =
                    future.call_method1(intern!(py, "set_exception"), (error.clone_ref(py).into_value(py),));
                if !unawaited || set.is_err() {
                    return None;
                }
                // It is told here; whoever awaits it later gets it all the same.
                let _ = future.setattr(intern!(py, "_log_traceback"), false);
                (!ended).then_some((error, self.what))
            }
        }
    }
}

/// Whether nobody waits for a future now.
fn is_unawaited(future: &Bound<'_, PyAny>) -> bool {
    let callbacks = future.getattr(intern!(future.py(), "_callbacks"));
    callbacks.and_then(|callbacks| callbacks.is_truthy()).is_ok_and(|any| !any)
}

impl Told {
    pub(super) fn value<'py>(self, py: Python<'py>, shared: &Shared) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Nothing => Ok(py.None().into_bound(py)),
            Self::Reply(reply) => value_of(py, &reply, shared),
            Self::Count(count) => Ok(count.into_pyobject(py)?.into_any()),
            Self::Queue(messages, consumers) => Ok((messages, consumers).into_pyobject(py)?.into_any()),
            Self::Leftover(left) => Ok((left.data, left.logs, left.calls).into_pyobject(py)?.into_any()),
        }
    }
}

/// What a call returned.
///
/// # Errors
/// What it raised.
fn value_of<'py>(py: Python<'py>, reply: &Reply, shared: &Shared) -> PyResult<Bound<'py, PyAny>> {
    let value = codec::decode(py, &reply.body, reply.content_type.as_deref(), &shared.limits).inspect_err(
        |error| {
            // The method has run, whatever it answered.
            let _ = error.value(py).setattr(intern!(py, "fate"), "executed");
        },
    )?;
    if reply.kind == Kind::Result {
        return Ok(value);
    }
    static OF_REPLY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let of_reply = helper(py, &OF_REPLY, "ironbridge._fabric.failures", "of_reply")?;
    Err(PyErr::from_value(of_reply.call1((value,))?))
}

/// Begins something and gives what it comes to: an awaitable on the loop's thread, the value itself on others, which
/// wait without the GIL. `until` bounds such a wait, where the engine has no deadline of its own for it; `give_up` is
/// called when a signal ended it.
///
/// # Errors
/// What `begin` refuses, and on other threads what it comes to.
pub(super) fn begin<'py, T: Into<Told> + Send + 'static>(
    py: Python<'py>,
    shared: &Arc<Shared>,
    what: &str,
    until: Option<Duration>,
    begin: impl FnOnce(Done<T>) -> Result<u64>,
    give_up: impl FnOnce(u64),
) -> PyResult<Bound<'py, PyAny>> {
    if shared.is_on_loop() {
        return begin_on_loop(py, shared, what, begin);
    }
    let slot = Arc::new(Slot::new());
    let filled = Arc::clone(&slot);
    let done = Done::new(move |outcome: Result<T>| drop(filled.fill(outcome.map(Into::into))));
    let number = begin(done).map_err(|error| raise(py, &error))?;
    let until = until.map(|time| Instant::now() + time);
    let outcome = match slot.wait(py, until, &Signals::default()) {
        Ok(Some(Ok(told))) => told.value(py, shared),
        Ok(Some(Err(error))) => Err(raise(py, &error)),
        Ok(None) => {
            give_up(number);
            Err(raise(py, &Error::new(Code::DeadlineExceeded, "it was not done in time")))
        }
        Err(error) => {
            give_up(number);
            Err(error)
        }
    };
    if outcome.is_err() {
        ending::outlast(py);
    }
    outcome
}

fn begin_on_loop<'py, T: Into<Told> + Send + 'static>(
    py: Python<'py>,
    shared: &Arc<Shared>,
    what: &str,
    begin: impl FnOnce(Done<T>) -> Result<u64>,
) -> PyResult<Bound<'py, PyAny>> {
    let Some(future) = new_future(py, shared)? else {
        return Err(raise(py, &Error::new(Code::ServiceUnavailable, NOT_OPEN)));
    };
    tell_future(py, shared, what, &future, begin)?;
    Ok(future)
}

/// Begins something, whose end is the future's.
fn tell_future<T: Into<Told> + Send + 'static>(
    py: Python<'_>,
    shared: &Arc<Shared>,
    what: &str,
    future: &Bound<'_, PyAny>,
    begin: impl FnOnce(Done<T>) -> Result<u64>,
) -> PyResult<u64> {
    let (kept, teller, what) = (future.clone().unbind(), Arc::clone(shared), Box::from(what));
    let done = Done::new(move |outcome: Result<T>| {
        let outcome = outcome.map(Into::into);
        drop(teller.mailbox.push(Event::Ended(Ended { future: kept, outcome, what })));
    });
    begin(done).or_else(|error| {
        // Nobody gets it: what it is told is told to nobody.
        future.call_method0(intern!(py, "cancel"))?;
        Err(raise(py, &error))
    })
}

/// The same for a call, which ends when its future is cancelled.
///
/// # Errors
/// As [`begin`].
pub(super) fn begin_call<'py>(
    py: Python<'py>,
    shared: &Arc<Shared>,
    what: &str,
    connector: &Py<FabricConnector>,
    call: impl FnOnce(Done<Reply>) -> Result<u64>,
    give_up: impl FnOnce(u64),
) -> PyResult<Bound<'py, PyAny>> {
    if !shared.is_on_loop() {
        return begin(py, shared, what, None, call, give_up);
    }
    static FUTURE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = helper(py, &FUTURE, "ironbridge._fabric.calling", "CallFuture")?;
    let event_loop = shared.place.lock().event_loop.as_ref().map(|event_loop| event_loop.clone_ref(py));
    let future = class.call1((connector, event_loop))?;
    let number = tell_future(py, shared, what, &future, call)?;
    future.setattr(intern!(py, "number"), number)?;
    Ok(future)
}

/// What is told of a connector that was never opened.
pub(super) const NOT_OPEN: &str =
    "the connector is not open: await open() first, or use it in a `with` or `async with` block";

fn new_future<'py>(py: Python<'py>, shared: &Shared) -> PyResult<Option<Bound<'py, PyAny>>> {
    let event_loop = shared.place.lock().event_loop.as_ref().map(|event_loop| event_loop.bind(py).clone());
    event_loop.map(|event_loop| event_loop.call_method0(intern!(py, "create_future"))).transpose()
}

/// Done already, and can be awaited all the same.
#[pyclass(frozen, name = "Ready", module = "ironbridge._engine")]
pub(super) struct Ready(Py<PyAny>);

impl Ready {
    pub(super) fn new(value: Py<PyAny>) -> Self {
        Self(value)
    }
}

#[pymethods]
impl Ready {
    #[new]
    fn make(value: Py<PyAny>) -> Self {
        Self(value)
    }

    fn __await__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<()> {
        Err(pyo3::exceptions::PyStopIteration::new_err((self.0.clone_ref(py),)))
    }
}
