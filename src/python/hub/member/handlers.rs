//! The service's own code: its actions and hooks, run on its loop.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::core::error::{Code, Error};
use crate::hub::message::{Instance, Request};
use crate::python::coroutine;
use crate::python::errors::raise;

use super::HubMember;
use super::codec::{Extra, Failure};
use super::waiting::TOLERANCE;

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
    /// When a caller of ours waits no longer. Originals let an action run on after their time.
    until: Option<Instant>,
}

impl From<Request<'_>> for Asked {
    fn from(request: Request<'_>) -> Self {
        let until = request.timeout.filter(|_| request.to.is_some()).map(|timeout| Instant::now() + timeout);
        Self { id: request.id.into_owned(), to: request.to, until }
    }
}

impl Asked {
    /// Whether nobody waits any more.
    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now() + TOLERANCE)
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

    /// Every function of theirs.
    pub(super) fn all(&self) -> impl Iterator<Item = &Py<PyAny>> {
        let hooks = [
            &self.connect,
            &self.new_service,
            &self.broadcast,
            &self.response,
            &self.service_lost,
            &self.error,
            &self.state,
        ];
        self.actions.iter().map(|(function, _)| function).chain(hooks.into_iter().flatten())
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
            let (Some(event_loop), Some(context), false) = (&state.event_loop, &state.context, state.closed)
            else {
                return Ok(());
            };
            (event_loop.bind(py).clone(), context.bind(py).clone())
        };
        let task = match function.call1(arguments) {
            Ok(value) if value.is_none() => return Self::answer(this, Ok(value), name, asked),
            Ok(value) if coroutine::is_one(&value)? => {
                let context = context.call_method0(intern!(py, "copy"))?;
                coroutine::start(&event_loop, &value, &context)?
            }
            // A future, a task, or what becomes one.
            Ok(value) if value.hasattr(intern!(py, "__await__"))? => coroutine::awaited(&event_loop, &value)?,
            outcome => return Self::answer(this, outcome, name, asked),
        };
        if task.call_method0(intern!(py, "done"))?.is_truthy()? {
            return Self::answer(this, task.call_method0(intern!(py, "result")), name, asked);
        }
        // Nobody works for a caller who has gone.
        let end = match asked.as_ref().and_then(|asked| asked.until) {
            Some(until) => {
                let within = until.saturating_duration_since(Instant::now());
                let cancel = task.getattr(intern!(py, "cancel"))?;
                let later = (within.as_secs_f64(), cancel);
                Some(event_loop.call_method1(intern!(py, "call_later"), later)?.unbind())
            }
            None => None,
        };
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
            end,
        };
        task.call_method1(intern!(py, "add_done_callback"), (Bound::new(py, done)?,))?;
        Ok(())
    }

    /// A handler has ended: its outcome is the answer, if one is wanted.
    pub(super) fn answer<'py>(
        this: &Bound<'py, Self>,
        outcome: PyResult<Bound<'py, PyAny>>,
        name: &str,
        asked: Option<Asked>,
    ) -> PyResult<()> {
        let py = this.py();
        let member = this.get();
        let cancelled = outcome.as_ref().is_err_and(|error| is_cancelled(py, error));
        if let Err(error) = &outcome
            && !cancelled
        {
            Self::failed(this, error, name);
        }
        let Some(asked) = asked else { return Ok(()) };
        if cancelled && asked.is_over() {
            // That is why it was cancelled: its caller's own deadline is what ends the call there.
            return Ok(());
        }
        let none = py.None().into_bound(py);
        let message = match outcome {
            Ok(value) => member.answer_to(&asked, &value, None).or_else(|error| {
                // The answer cannot be written: its caller hears why.
                Self::failed(this, &error, name);
                member.answer_to(&asked, &none, Some(&error))
            })?,
            Err(error) => member.answer_to(&asked, &none, Some(&error))?,
        };
        Self::reply(this, message)
    }

    /// Tells a caller that its request is not run. While the service leaves others may have the action: nothing is
    /// said, and whoever asked hears that it has left.
    pub(super) fn refuse(this: &Bound<'_, Self>, asked: Option<Asked>) -> PyResult<()> {
        let py = this.py();
        let member = this.get();
        let leaves = member.state.lock().leaving.is_some();
        let Some(asked) = asked.filter(|_| !leaves) else { return Ok(()) };
        let most = member.bounds.max_running;
        let text = format!("{most} handlers run already, the limit (IRONBRIDGE_HUB_MAX_RUNNING)");
        let error = raise(py, &Error::new(Code::Overloaded, text));
        Self::reply(this, member.answer_to(&asked, &py.None().into_bound(py), Some(&error))?)
    }

    fn answer_to(&self, asked: &Asked, data: &Bound<'_, PyAny>, error: Option<&PyErr>) -> PyResult<Vec<u8>> {
        let error = error.map(|error| failure(data.py(), error, asked.to.is_some()));
        let extra = Extra::Answer { id: &asked.id, to: asked.to, error: error.as_ref() };
        self.codec.write(self.member.writer(), b"", data, extra, &self.limits)
    }

    /// Tells of a failure in the service's own code.
    pub(super) fn failed(this: &Bound<'_, Self>, error: &PyErr, name: &str) {
        let py = this.py();
        let hook = {
            let mut state = this.get().state.lock();
            if is_exit(py, error) {
                // Not a failure: the program is to end, once this turn has.
                state.exit.get_or_insert_with(|| error.clone_ref(py));
                return;
            }
            state.counts.failed += 1;
            state
                .handlers
                .as_ref()
                .and_then(|handlers| handlers.error.as_ref().map(|hook| hook.clone_ref(py)))
        };
        match hook {
            Some(hook) if name != ERROR_HOOK => {
                Self::run(this, &hook, (error.clone_ref(py).into_value(py), name), ERROR_HOOK, None);
            }
            _ => error.display(py),
        }
    }

    /// Ends the program, if a handler wanted to: `sys.exit()`, or Ctrl+C.
    pub(super) fn exit(&self) -> PyResult<()> {
        let exit = self.state.lock().exit.take();
        exit.map_or(Ok(()), Err)
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

/// Whether the program is to end: asyncio's loops let these through.
fn is_exit(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PySystemExit>(py) || error.is_instance_of::<PyKeyboardInterrupt>(py)
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
    /// What cancels it when its caller's time is up.
    end: Option<Py<PyAny>>,
}

#[pymethods]
impl Done {
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let member = self.member.bind(py);
        let Some((name, asked)) = self.ending.lock().take() else { return Ok(()) };
        if let Some(end) = &self.end {
            end.call_method0(py, intern!(py, "cancel"))?;
        }
        let _task = member.get().state.lock().running.remove(&self.number);
        let outcome = task.call_method0(intern!(py, "result"));
        // The loop has heard of it already, and ends.
        if outcome.as_ref().is_err_and(|error| is_exit(py, error)) {
            return Ok(());
        }
        let ended = HubMember::answer(member, outcome, &name, asked);
        if let Err(error) = ended {
            HubMember::failed(member, &error, &name);
        }
        HubMember::after_handler(member)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.member)?;
        visit.call(&self.end)
    }
}
