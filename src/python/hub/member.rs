//! A service's place at a hub, on its asyncio loop: what is heard is read, decoded and handed to the service's own
//! code on the loop's thread; what is said leaves once per turn of the loop.

mod acting;
mod codec;
mod handlers;
mod hearing;
mod leaving;
mod saying;
mod state;
mod waiting;

use std::time::Duration;

use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::core::error::{Code, Error};
use crate::core::limits::Limits;
use crate::core::platform::fork::generation;
use crate::core::secret::Secret;
use crate::hub::endpoint::Endpoint;
use crate::hub::limits::HubLimits;
use crate::hub::member::{Config, Member, MemberLimits, View};
use crate::hub::message::{BROADCAST, Instance, check_name};
use crate::python::errors::raise;

use codec::Codec;
use handlers::Handlers;
use state::State;

/// One service at a hub.
#[pyclass(frozen, weakref, name = "HubMember", module = "ironbridge._engine")]
pub(super) struct HubMember {
    member: Member,
    codec: Codec,
    limits: Limits,
    bounds: MemberLimits,
    made_in: u64,
    /// Never held across code that may run Python's.
    state: Mutex<State>,
}

#[pymethods]
impl HubMember {
    #[new]
    #[pyo3(signature = (*, name, sender, receiver, actions, hooks, dumps=None, loads=None, host="auto", secret=None, options=None))]
    #[expect(clippy::too_many_arguments, reason = "all are named where it is called")]
    fn new(
        py: Python<'_>,
        name: &str,
        sender: &str,
        receiver: &str,
        actions: &Bound<'_, PyDict>,
        hooks: &Bound<'_, PyDict>,
        dumps: Option<Py<PyAny>>,
        loads: Option<Py<PyAny>>,
        host: &str,
        secret: Option<&str>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let wrong = |error: Error| raise(py, &error);
        let mut bounds = MemberLimits::from_env().map_err(wrong)?;
        if let Some(options) = options {
            for (option, value) in options.iter() {
                let option: String = option.extract()?;
                bounds.set(&option, value.extract()?).map_err(wrong)?;
            }
        }
        let limits = Limits::from_env().map_err(wrong)?;
        let (names, handlers) = Handlers::new(actions, hooks)?;
        let mut codec = Codec::new(dumps, loads);
        let instance = Instance::random().map_err(wrong)?;
        let presence = codec.presence(py, name, &names, instance, bounds.beat)?;
        let view = View::new(name, &names, instance, bounds.beat, bounds.max_services).map_err(wrong)?;
        let secret =
            secret.map(|secret| Secret::from_text("hub's secret", secret)).transpose().map_err(wrong)?;
        let sender = Endpoint::parse(sender).map_err(wrong)?;
        let receiver = Endpoint::parse(receiver).map_err(wrong)?;
        let host = match host {
            "auto" => Some(HubLimits::from_env().map_err(wrong)?),
            "never" => None,
            other => {
                let text = format!("hub={other:?} is neither \"auto\" nor \"never\"");
                return Err(raise(py, &Error::new(Code::Configuration, text)));
            }
        };
        let config = Config {
            name: name.to_owned(),
            actions: names,
            instance,
            presence,
            sender,
            receiver,
            secret,
            beat: bounds.beat,
            max_message: bounds.max_message,
            outbox_bytes: bounds.outbox_bytes,
            outbox_messages: bounds.outbox_messages,
            handshake_timeout: limits.handshake_timeout,
            host,
        };
        Ok(Self {
            member: Member::new(config).map_err(wrong)?,
            codec,
            limits,
            bounds,
            made_in: generation(),
            state: Mutex::new(State::new(handlers, view)),
        })
    }

    /// Tells this running service apart from others of its name.
    #[getter]
    fn instance(&self) -> String {
        self.member.config().instance.as_str().to_owned()
    }

    /// Whether this process runs the hub, for this service and all others.
    #[getter]
    fn hosting(&self, py: Python<'_>) -> bool {
        py.detach(|| self.member.hosted()).is_some()
    }

    /// What the user should know of the hub that this process runs, if it runs it.
    #[getter]
    fn warnings(&self, py: Python<'_>) -> Vec<String> {
        py.detach(|| self.member.warnings())
    }

    /// Begins to join the hub. The future is done when the own registration has come back.
    fn open<'py>(this: &Bound<'py, Self>, event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = this.py();
        let member = this.get();
        member.check(py)?;
        let opened = event_loop.call_method0(intern!(py, "create_future"))?;
        let context = py.import("contextvars")?.call_method0(intern!(py, "copy_context"))?;
        {
            let mut state = member.state.lock();
            if state.event_loop.is_some() {
                return Err(PyRuntimeError::new_err("the service has been opened already"));
            }
            state.event_loop = Some(event_loop.clone().unbind());
            state.thread = Some(std::thread::current().id());
            state.context = Some(context.unbind());
            state.opened = Some(opened.clone().unbind());
        }
        let bell = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(member.member.bell()));
        event_loop.call_method1(intern!(py, "add_reader"), (bell, this.getattr(intern!(py, "_noticed"))?))?;
        member.member.start().map_err(|error| raise(py, &error))?;
        Ok(opened)
    }

    /// To every other service. `None`, or a future when it must wait for room.
    fn broadcast<'py>(
        this: &Bound<'py, Self>,
        data: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Self::say(this, BROADCAST, data)
    }

    /// Asks whoever has the action, and wants no answer.
    fn request<'py>(
        this: &Bound<'py, Self>,
        action: &str,
        data: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        check_name("action", action).map_err(|error| raise(this.py(), &error))?;
        Self::say(this, action.as_bytes(), data)
    }

    /// To every process of the service of that name.
    fn respond<'py>(
        this: &Bound<'py, Self>,
        service: &str,
        data: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        check_name("service", service).map_err(|error| raise(this.py(), &error))?;
        Self::say(this, service.as_bytes(), data)
    }

    /// Asks whoever has the action; the future becomes the first answer.
    #[pyo3(signature = (action, data, timeout=None))]
    fn call<'py>(
        this: &Bound<'py, Self>,
        action: &str,
        data: &Bound<'py, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::ask(this, action, data, timeout, false)
    }

    /// Asks whoever has the action; the future becomes a list of `(service, answer or exception)`.
    #[pyo3(signature = (action, data, timeout=None))]
    fn call_all<'py>(
        this: &Bound<'py, Self>,
        action: &str,
        data: &Bound<'py, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::ask(this, action, data, timeout, true)
    }

    /// Who is at the hub.
    fn services<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let seen: Vec<_> = self.state.lock().view.roster.all().cloned().collect();
        let services = PyList::empty(py);
        for seen in seen {
            let service = PyDict::new(py);
            service.set_item("name", &seen.service)?;
            service.set_item("instance", seen.instance.map(|instance| instance.as_str().to_owned()))?;
            service.set_item("actions", &seen.actions)?;
            service.set_item("last_seen", seen.last.elapsed().as_secs_f64())?;
            service.set_item("native", seen.instance.is_some())?;
            services.append(service)?;
        }
        Ok(services)
    }

    /// What it has sent, heard and dropped.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.check_process(py)?;
        let (sent, waiting, connected) = {
            let outbox = self.member.outbox();
            (outbox.left(), outbox.waiting(), outbox.is_connected())
        };
        let (counts, calls, running, held) = {
            let state = self.state.lock();
            (state.counts, state.view.calls.len(), state.running.len(), state.held.len())
        };
        let stats = PyDict::new(py);
        stats.set_item("connected", connected)?;
        stats.set_item("joined", counts.joined)?;
        stats.set_item("sent", sent)?;
        stats.set_item("waiting", waiting + held as u64)?;
        stats.set_item("unconfirmed", counts.unconfirmed)?;
        stats.set_item("received", counts.received)?;
        stats.set_item("malformed", counts.malformed)?;
        stats.set_item("refused", counts.refused)?;
        stats.set_item("failed", counts.failed)?;
        stats.set_item("running", running)?;
        stats.set_item("calls", calls)?;
        let hub = py.detach(|| self.member.hosted());
        stats.set_item("hub", hub.map(|hub| super::server::told(py, &hub)).transpose()?)?;
        Ok(stats)
    }

    /// Something was told by the thread that keeps the connection.
    #[pyo3(name = "_noticed")]
    fn noticed(this: &Bound<'_, Self>) -> PyResult<()> {
        Self::take_notices(this)?;
        this.get().exit()
    }

    /// Something was heard.
    #[pyo3(name = "_readable")]
    fn readable(this: &Bound<'_, Self>) -> PyResult<()> {
        Self::hear(this)?;
        this.get().exit()
    }

    /// Sends what this turn had to say.
    #[pyo3(name = "_flush")]
    fn flush(&self) {
        self.state.lock().flush_is_due = false;
        self.member.flush();
    }

    /// A deadline has come.
    #[pyo3(name = "_expire")]
    fn expire(this: &Bound<'_, Self>) -> PyResult<()> {
        Self::take_overdue(this)
    }

    /// Leaves: handlers that run end, what waits is sent, within `grace` seconds. The future becomes what was left
    /// over: `{"unsent": …, "cancelled": …}`.
    fn drain<'py>(this: &Bound<'py, Self>, grace: f64) -> PyResult<Bound<'py, PyAny>> {
        Self::leave(this, Duration::from_secs_f64(grace.clamp(0.0, 1e6)))
    }

    /// Ends at once.
    fn close(this: &Bound<'_, Self>) -> PyResult<()> {
        Self::end(this)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.codec.visit(&visit)?;
        self.state.try_lock().map_or(Ok(()), |state| state.visit(&visit))
    }

    fn __clear__(&self) {
        let taken = self.state.try_lock().map(|mut state| state.empty());
        drop(taken);
    }
}

impl HubMember {
    /// # Errors
    /// When it cannot be used any more, or not in this process.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        self.check_process(py)?;
        let (closed, thread) = {
            let state = self.state.lock();
            (state.closed, state.thread)
        };
        if closed {
            return Err(raise(py, &Error::new(Code::ServiceUnavailable, "the service was stopped")));
        }
        if thread.is_some_and(|thread| thread != std::thread::current().id()) {
            let text = "a service is used on its event loop's thread: from another one, call \
                        asyncio.run_coroutine_threadsafe(...) or loop.call_soon_threadsafe(...)";
            return Err(raise(py, &Error::new(Code::Configuration, text)));
        }
        Ok(())
    }

    /// # Errors
    /// In a forked child.
    fn check_process(&self, py: Python<'_>) -> PyResult<()> {
        if self.made_in != generation() {
            let text = "this service was made before the process was forked: make one in the child";
            return Err(raise(py, &Error::new(Code::Configuration, text)));
        }
        Ok(())
    }

    fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.state.lock().event_loop {
            Some(event_loop) => Ok(event_loop.bind(py).clone()),
            None => {
                let text = "the service is not running yet: await run() first, or use it in `async with`";
                Err(raise(py, &Error::new(Code::ServiceUnavailable, text)))
            }
        }
    }
}
