//! The service's own code: its actions and hooks, run on its loop.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use crate::hub::message::{Instance, Request};
use crate::python::coroutine;

use super::HubMember;
use super::codec::{Extra, Failure};

/// What the service does.
pub(super) struct Handlers {
    /// By number; what to call and how it is named where something fails.
    pub(super) actions: Vec<(Py<PyAny>, String)>,
    pub(super) connect: Option<Py<PyAny>>,
    pub(super) new_service: Option<Py<PyAny>>,
    pub(super) broadcast: Option<Py<PyAny>>,
    pub(super) response: Option<Py<PyAny>>,
    pub(super) service_lost: Option<Py<PyAny>>,
    pub(super) error: Option<Py<PyAny>>,
    pub(super) state: Option<Py<PyAny>>,
}

/// Whoever wants an answer, and under which number.
pub(super) struct Asked {
    id: Vec<u8>,
    to: Option<Instance>,
}

impl From<Request<'_>> for Asked {
    fn from(request: Request<'_>) -> Self {
        Self { id: request.id.into_owned(), to: request.to }
    }
}

impl Handlers {
    /// Takes them as Python gives them; the actions' names come beside, in the order of their numbers.
    pub(super) fn new(
        actions: &Bound<'_, PyDict>,
        hooks: &Bound<'_, PyDict>,
    ) -> PyResult<(Vec<String>, Self)> {
        let mut names = Vec::with_capacity(actions.len());
        let mut known = Vec::with_capacity(actions.len());
        for (name, function) in actions.iter() {
            let name: String = name.extract()?;
            known.push((function.unbind(), format!("action {name:?}")));
            names.push(name);
        }
        let hook = |name: &str| -> PyResult<Option<Py<PyAny>>> {
            Ok(hooks.get_item(name)?.filter(|hook| !hook.is_none()).map(Bound::unbind))
        };
        let handlers = Self {
            actions: known,
            connect: hook("connect")?,
            new_service: hook("new_service")?,
            broadcast: hook("broadcast")?,
            response: hook("response")?,
            service_lost: hook("service_lost")?,
            error: hook("error")?,
            state: hook("state")?,
        };
        Ok((names, handlers))
    }
}

impl HubMember {
    /// Runs a handler's first step, and the rest as a task.
    pub(super) fn run<'py>(
        this: &Bound<'py, Self>,
        function: &Py<PyAny>,
        arguments: impl pyo3::call::PyCallArgs<'py>,
        name: &str,
        asked: Option<Asked>,
    ) {
        let py = this.py();
        if let Err(error) = Self::try_run(this, function.bind(py), arguments, name, asked) {
            Self::failed(this, &error, name);
        }
    }

    fn try_run<'py>(
        this: &Bound<'py, Self>,
        function: &Bound<'py, PyAny>,
        arguments: impl pyo3::call::PyCallArgs<'py>,
        name: &str,
        asked: Option<Asked>,
    ) -> PyResult<()> {
        let py = this.py();
        let member = this.get();
        let (event_loop, context) = {
            let state = member.state.lock();
            let (Some(event_loop), Some(context)) = (&state.event_loop, &state.context) else {
                return Ok(());
            };
            (event_loop.bind(py).clone(), context.bind(py).clone())
        };
        let outcome = function.call1(arguments);
        let coroutine = match outcome {
            Ok(coroutine) if coroutine.is_none() => return Self::finish(this, Ok(coroutine), name, asked),
            Ok(coroutine) if coroutine.hasattr(intern!(py, "send"))? => coroutine,
            other => return Self::finish(this, other, name, asked),
        };
        let context = context.call_method0(intern!(py, "copy"))?;
        let task = coroutine::start(&event_loop, &coroutine, &context)?;
        if task.call_method0(intern!(py, "done"))?.is_truthy()? {
            return Self::finish(this, task.call_method0(intern!(py, "result")), name, asked);
        }
        let number = {
            let mut state = member.state.lock();
            state.started += 1;
            let number = state.started;
            state.running.insert(number, task.clone().unbind());
            number
        };
        let done = Done {
            member: this.clone().unbind(),
            number,
            ending: Mutex::new(Some((name.to_owned(), asked))),
        };
        task.call_method1(intern!(py, "add_done_callback"), (Bound::new(py, done)?,))?;
        Ok(())
    }

    /// A handler has ended: its outcome is the answer, if one is wanted.
    fn finish<'py>(
        this: &Bound<'py, Self>,
        outcome: PyResult<Bound<'py, PyAny>>,
        name: &str,
        asked: Option<Asked>,
    ) -> PyResult<()> {
        let py = this.py();
        let member = this.get();
        if let Err(error) = &outcome
            && !is_cancelled(py, error)
        {
            Self::failed(this, error, name);
        }
        let Some(Asked { id, to }) = asked else { return Ok(()) };
        let write = |data: &Bound<'py, PyAny>, error: Option<&Failure>| {
            let extra = Extra::Answer { id: &id, to, error };
            member.codec.write(member.member.writer(), b"", data, extra, &member.limits)
        };
        let none = py.None().into_bound(py);
        let message = match outcome {
            Ok(value) => write(&value, None).or_else(|error| {
                // The answer cannot be written: its caller hears why.
                Self::failed(this, &error, name);
                write(&none, Some(&failure(py, &error, to.is_some())))
            })?,
            Err(error) => write(&none, Some(&failure(py, &error, to.is_some())))?,
        };
        Self::reply(this, message)
    }

    /// Tells of a failure in the service's own code.
    pub(super) fn failed(this: &Bound<'_, Self>, error: &PyErr, name: &str) {
        let py = this.py();
        let hook = {
            let mut state = this.get().state.lock();
            state.counts.failed += 1;
            state
                .handlers
                .as_ref()
                .and_then(|handlers| handlers.error.as_ref().map(|hook| hook.clone_ref(py)))
        };
        let Some(hook) = hook else {
            error.clone_ref(py).print(py);
            return;
        };
        if name == ERROR_HOOK {
            error.clone_ref(py).print(py);
            return;
        }
        Self::run(this, &hook, (error.clone_ref(py).into_value(py), name), ERROR_HOOK, None);
    }

    /// Calls a hook, if there is one.
    pub(super) fn tell_state(this: &Bound<'_, Self>, handlers: &Arc<Handlers>, state: &str) {
        if let Some(hook) = &handlers.state {
            Self::run(this, hook, (state,), "on_state", None);
        }
    }
}

/// A failure of the hook that failures are told to is told to nobody.
const ERROR_HOOK: &str = "on_error";

/// Whether the service's end, or its own code, cancelled a handler: that is no failure.
fn is_cancelled(py: Python<'_>, error: &PyErr) -> bool {
    static CANCELLED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CANCELLED
        .import(py, "asyncio", "CancelledError")
        .is_ok_and(|kind: &Bound<'_, PyAny>| error.is_instance(py, kind))
}

/// What an exception tells; `all` of it only to ours.
fn failure(py: Python<'_>, error: &PyErr, all: bool) -> Failure {
    let kind = error.get_type(py);
    let name = |attribute: &str| {
        kind.getattr(attribute).and_then(|name| name.extract::<String>()).unwrap_or_default()
    };
    let text = error.value(py).str().map_or_else(|_| error.to_string(), |text| text.to_string());
    let mut failure = Failure { kind: name("__qualname__"), text, ..Failure::default() };
    if all {
        failure.module = name("__module__");
        failure.traceback = error
            .traceback(py)
            .and_then(|traceback| traceback.format().ok())
            .map(|traceback| format!("{traceback}{}: {}", failure.kind, failure.text))
            .unwrap_or_default();
    }
    failure
}

/// A handler that had to wait has ended.
#[pyclass(frozen)]
struct Done {
    member: Py<HubMember>,
    number: u64,
    ending: Mutex<Option<(String, Option<Asked>)>>,
}

#[pymethods]
impl Done {
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let member = self.member.bind(py);
        let Some((name, asked)) = self.ending.lock().take() else { return Ok(()) };
        let _task = member.get().state.lock().running.remove(&self.number);
        let ended = HubMember::finish(member, task.call_method0(intern!(py, "result")), &name, asked);
        if let Err(error) = ended {
            HubMember::failed(member, &error, &name);
        }
        HubMember::after_handler(member)
    }
}

/// One argument more than a pair: so that a hook's arguments are made in one go.
pub(super) fn arguments<'py>(
    py: Python<'py>,
    service: &str,
    data: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyTuple>> {
    (service, data).into_pyobject(py)
}
