//! A call, as what Python awaits: a coroutine without a frame. It begins when it is first awaited.

mod local;
mod plan;
mod remote;

use parking_lot::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use super::host;
use local::Local;
use remote::Remote;

pub(super) use local::is_cancelled;
pub(super) use plan::{Plan, choose};

/// A call.
#[pyclass(frozen, weakref, name = "MeshCall", module = "ironbridge._engine")]
pub(super) struct MeshCall(Mutex<State>);

enum State {
    New(Box<Plan>),
    Local(Box<Local>),
    Remote(Box<Remote>),
    /// A plain handler runs on a thread.
    Works(Py<PyAny>),
    /// It is being driven now.
    Driven,
    Over,
}

/// How one step of a call ended: it waits, or has come to something.
enum Stepped<'py> {
    Waits(Bound<'py, PyAny>, State),
    Ended(PyResult<Bound<'py, PyAny>>),
}

#[pymethods]
impl MeshCall {
    fn __await__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stepped = match std::mem::replace(&mut *self.0.lock(), State::Driven) {
            State::New(plan) => plan.begin(py),
            State::Local(local) => {
                let taken = host::step(local.coroutine.bind(py));
                local.went(py, taken)
            }
            State::Remote(remote) => Ok(remote.came(py)),
            State::Works(future) => Ok(Stepped::Ended(future.bind(py).call_method0(intern!(py, "result")))),
            State::Driven => return Err(PyRuntimeError::new_err("the call is awaited already")),
            State::Over => {
                *self.0.lock() = State::Over;
                return Err(PyRuntimeError::new_err("a call can be awaited once"));
            }
        };
        self.told(stepped)
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
        let stepped = match std::mem::replace(&mut *self.0.lock(), State::Driven) {
            State::Local(local) => {
                let taken = host::throw(local.coroutine.bind(py), error);
                local.went(py, taken)
            }
            State::Remote(remote) => {
                remote.cancel();
                Ok(Stepped::Ended(Err(error)))
            }
            _ => Ok(Stepped::Ended(Err(error))),
        };
        self.told(stepped)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match std::mem::replace(&mut *self.0.lock(), State::Over) {
            State::Local(local) => local.coroutine.call_method0(py, intern!(py, "close")).map(drop),
            State::Remote(remote) => {
                remote.cancel();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(state) = self.0.try_lock() else { return Ok(()) };
        match &*state {
            State::New(plan) => {
                visit.call(&plan.params)?;
                visit.call(&plan.parent)?;
                visit.call(&plan.context)
            }
            State::Local(local) => {
                visit.call(&local.coroutine)?;
                visit.call(&local.context)?;
                visit.call(&local.parent)
            }
            State::Remote(remote) => {
                visit.call(&remote.slot.future)?;
                visit.call(&remote.parent)
            }
            _ => Ok(()),
        }
    }
}

impl MeshCall {
    #[inline]
    fn told<'py>(&self, stepped: PyResult<Stepped<'py>>) -> PyResult<Bound<'py, PyAny>> {
        match stepped {
            Ok(Stepped::Waits(awaited, state)) => {
                *self.0.lock() = state;
                Ok(awaited)
            }
            Ok(Stepped::Ended(Ok(value))) => {
                *self.0.lock() = State::Over;
                Err(PyStopIteration::new_err((value.unbind(),)))
            }
            Ok(Stepped::Ended(Err(error))) | Err(error) => {
                *self.0.lock() = State::Over;
                Err(error)
            }
        }
    }
}
