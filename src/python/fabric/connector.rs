//! A connector, from Python.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::codec::Codec;
use super::options::{self, Given, GivenRetention, GivenSubscription};
use super::queues::{GivenMessage, GivenQueue};
use super::serving::Served;
use super::shared::{Event, Place, Running, Shared, Telling};
use super::subscribing::{Ack, Registered, Subscriber};
use super::waiting::{self, NOT_OPEN};
use crate::core::done::Done;
use crate::core::error::{Code, Error};
use crate::core::limits::Limits;
use crate::core::platform::fork::generation;
use crate::fabric::config::Config;
use crate::fabric::connector::Connector;
use crate::fabric::consume::{Consuming, QueueSpec};
use crate::fabric::data::{self, Envelope};
use crate::fabric::logs::{self, Following};
use crate::fabric::names;
use crate::fabric::presence::{self, Filter};
use crate::fabric::serve::{Method, Registration};
use crate::python::errors::raise;
use crate::python::mailbox::Mailbox;
use crate::python::workers::Workers;

/// One connection to a broker, for one service.
#[pyclass(frozen, weakref, name = "FabricConnector", module = "ironbridge._engine")]
pub(super) struct FabricConnector {
    config: Config,
    shared: Arc<Shared>,
    engine: Mutex<Option<Arc<Connector>>>,
    /// `on_state(state, error)`.
    on_state: Py<PyAny>,
    /// `on_error(error, place)`.
    on_error: Py<PyAny>,
    made_in: u64,
}

#[pymethods]
impl FabricConnector {
    #[new]
    fn new(
        py: Python<'_>,
        given: Given,
        bounds: &Bound<'_, PyDict>,
        on_state: Py<PyAny>,
        on_error: Py<PyAny>,
    ) -> PyResult<Self> {
        let config = given.config(bounds)?;
        let (codec, fallback) = given.codec().map_err(|error| raise(py, &error))?;
        let mailbox = Mailbox::new().map_err(|error| {
            raise(py, &Error::io(Code::Configuration, "making a connector's bell", &error))
        })?;
        let mut values = Limits::from_env().map_err(|error| raise(py, &error))?;
        values.max_frame = config.limits.max_message;
        let shared = Shared {
            mailbox,
            workers: Workers::new(given.workers),
            codec,
            fallback,
            limits: values,
            place: Mutex::new(Place::default()),
            ending: AtomicBool::new(false),
            running: Mutex::new(Running::default()),
        };
        let engine = Mutex::new(None);
        Ok(Self { config, shared: Arc::new(shared), engine, on_state, on_error, made_in: generation() })
    }

    /// `DOMAIN.TYPE.ID`.
    #[getter]
    fn fqn(&self) -> String {
        self.config.identity.fqn()
    }

    /// The exchange for data.
    #[getter]
    fn data_exchange(&self) -> &str {
        &self.config.names.data_exchange
    }

    /// Seconds that its end may take.
    #[getter]
    fn grace(&self) -> f64 {
        self.config.limits.grace.as_secs_f64()
    }

    /// The broker, without the password.
    #[getter]
    fn address(&self) -> String {
        self.config.address.to_string()
    }

    /// Whether the connection stands now.
    #[getter]
    fn connected(&self) -> bool {
        self.engine.lock().as_ref().is_some_and(|engine| engine.is_connected())
    }

    /// Whether this is the thread of the loop that it was opened on.
    #[getter]
    fn on_loop(&self) -> bool {
        self.shared.is_on_loop()
    }

    /// On the loop's thread: has it watch what the engine tells.
    fn attach(this: &Bound<'_, Self>, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = this.py();
        let connector = this.get();
        connector.check_process(py)?;
        let context = py.import("contextvars")?.call_method0(intern!(py, "copy_context"))?;
        let told = this.getattr(intern!(py, "_told"))?;
        event_loop.call_method1(intern!(py, "add_reader"), (connector.shared.mailbox.fd(), told))?;
        *connector.shared.place.lock() = Place {
            event_loop: Some(event_loop.clone().unbind()),
            thread: Some(std::thread::current().id()),
            context: Some(context.unbind()),
        };
        Ok(())
    }

    /// Connects. Comes to an end when the connection stands, or never will.
    fn open<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.check_process(py)?;
        let telling = Arc::new(Telling(Arc::clone(&self.shared)));
        let open = |done: Done<()>| {
            let mut engine = self.engine.lock();
            if engine.is_some() {
                return Err(Error::new(Code::Configuration, "the connector is open already"));
            }
            *engine = Some(Connector::open(self.config.clone(), telling, done)?);
            Ok(0)
        };
        waiting::begin(py, &self.shared, "open()", None, open, |_| {})
    }

    /// Ends within `grace` seconds. Comes to what was left over: `(data, logs, calls)`.
    fn close<'py>(&self, py: Python<'py>, grace: f64) -> PyResult<Bound<'py, PyAny>> {
        self.check_process(py)?;
        let engine = self.engine.lock().clone();
        let grace = Duration::from_secs_f64(grace.clamp(0.0, 1e6));
        let close = |done| {
            match engine {
                Some(engine) => engine.close(grace, done),
                None => done.end(Ok(crate::fabric::connector::Leftover::default())),
            }
            Ok(0)
        };
        waiting::begin(py, &self.shared, "close()", None, close, |_| {})
    }

    /// On the loop's thread, after `close`: handlers that still run are cancelled, and the loop watches no more.
    fn detach(&self, py: Python<'_>) -> PyResult<()> {
        self.shared.ending.store(true, Ordering::Release);
        let place = std::mem::take(&mut *self.shared.place.lock());
        if let Some(event_loop) = place.event_loop {
            let fd = self.shared.mailbox.fd();
            event_loop.call_method1(py, intern!(py, "remove_reader"), (fd,))?;
        }
        let tasks: Vec<_> = self.shared.running.lock().tasks.drain().map(|(_, task)| task).collect();
        for task in tasks {
            task.call_method0(py, intern!(py, "cancel"))?;
        }
        let left = self.shared.mailbox.close();
        self.tell(py, left)
    }

    /// Ends at once, where the loop that it was opened on has ended before.
    fn abandon(&self, py: Python<'_>) {
        self.shared.ending.store(true, Ordering::Release);
        *self.shared.place.lock() = Place::default();
        if let Some(engine) = self.engine.lock().take() {
            engine.close(Duration::ZERO, Done::nobody());
            py.detach(|| engine.join());
        }
        drop(self.shared.mailbox.close());
        self.shared.running.lock().tasks.clear();
    }

    /// On any thread but the loop's: waits for the engine's thread and for the workers, `grace` seconds at most.
    fn join(&self, py: Python<'_>, grace: f64) -> PyResult<usize> {
        if let Some(engine) = self.engine.lock().take() {
            py.detach(|| engine.join());
        }
        self.shared.workers.stop(py, Duration::from_secs_f64(grace.clamp(0.0, 1e6)))
    }

    /// On the loop's thread: the engine has something to tell.
    #[pyo3(name = "_told")]
    fn told(&self, py: Python<'_>) -> PyResult<()> {
        let events = self.shared.mailbox.drain();
        self.tell(py, events)
    }

    /// Serves methods: `(name, function, is_coroutine, redeliver)` each. `api` says them with their parameters.
    fn serve<'py>(
        &self,
        py: Python<'py>,
        methods: Vec<(String, Py<PyAny>, bool, bool)>,
        api: Vec<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.engine(py)?;
        let exchange = self.config.names.rpc_exchange.clone();
        let mut known = Vec::new();
        let mut functions = Vec::new();
        for (name, function, is_coroutine, redeliver) in methods {
            names::check_method(&exchange, &name).map_err(|error| raise(py, &error))?;
            let versioned =
                self.config.identity.version.as_ref().map(|version| names::versioned(&name, version));
            for name in [Some(name), versioned].into_iter().flatten() {
                known.push(Method { name: name.clone(), redeliver });
                functions.push((name, function.clone_ref(py), is_coroutine));
            }
        }
        let handler = Served::new(functions, &self.shared, self.config.limits.stall);
        let registration = Registration { exchange, methods: known, handler };
        let serve = |done: Done<()>| {
            engine.serve(registration, api, done);
            Ok(0)
        };
        waiting::begin(
            py,
            &self.shared,
            "rpc_register()",
            Some(self.config.limits.call_timeout),
            serve,
            |_| {},
        )
    }

    /// Has the exchange of a service ready.
    fn prepare<'py>(
        &self,
        py: Python<'py>,
        domain: &str,
        kind: &str,
        id: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.engine(py)?;
        let identity = crate::fabric::identity::Identity::new(domain, kind, id, None);
        let exchange = names::rpc_exchange(&identity.map_err(|error| raise(py, &error))?);
        let prepare = |done: Done<()>| {
            engine.prepare(exchange, done);
            Ok(0)
        };
        waiting::begin(
            py,
            &self.shared,
            "rpc_proxy()",
            Some(self.config.limits.call_timeout),
            prepare,
            |_| {},
        )
    }

    /// Who is there; as tuples `(domain, type, id, versions, servers, uptime, last_seen, native)`.
    #[pyo3(signature = (domain, kind))]
    fn services<'py>(
        &self,
        py: Python<'py>,
        domain: Option<String>,
        kind: Option<String>,
    ) -> PyResult<Bound<'py, PyList>> {
        let engine = self.engine(py)?;
        let services = PyList::empty(py);
        for seen in engine.services(&Filter { domain, kind }) {
            let times = (seen.uptime.as_secs_f64(), seen.last_seen.as_secs_f64());
            services.append((
                seen.domain,
                seen.kind,
                seen.id,
                seen.versions,
                seen.servers,
                times.0,
                times.1,
                seen.native,
            ))?;
        }
        Ok(services)
    }

    /// Nobody waits for this call any more.
    fn cancel_call(&self, number: u64) {
        if let Some(engine) = self.engine.lock().as_ref() {
            engine.cancel(number);
        }
    }

    /// Publishes data.
    #[pyo3(signature = (data, headers, persistent=false, mandatory=false, expiration=None, message_id=None))]
    #[expect(clippy::too_many_arguments, reason = "all are named where it is called")]
    fn publish<'py>(
        &self,
        py: Python<'py>,
        data: &[u8],
        headers: &Bound<'py, PyAny>,
        persistent: bool,
        mandatory: bool,
        expiration: Option<f64>,
        message_id: Option<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.engine(py)?;
        let headers = options::headers(headers)?;
        let made = || {
            let expiration = expiration.map(|time| options::seconds("expiration", time, 0.0)).transpose()?;
            let message_id = message_id.map(|id| names::checked("message_id", id)).transpose()?;
            data::message(
                &self.config,
                headers,
                data.to_vec(),
                Envelope { persistent, mandatory, expiration, message_id },
            )
        };
        let message = made().map_err(|error| raise(py, &error))?;
        let publish = |done: Done<()>| engine.publish(message, Some(done)).map(|()| 0);
        waiting::begin(py, &self.shared, "publishing data", None, publish, |_| {})
    }

    /// Subscribes to data. Gives the subscription, and what comes to an end when it has begun.
    fn subscribe<'py>(
        &self,
        py: Python<'py>,
        given: GivenSubscription<'py>,
        callback: Py<PyAny>,
        is_coroutine: bool,
        name: String,
    ) -> PyResult<(FabricSubscription, Bound<'py, PyAny>)> {
        let queue = given
            .subscription(self.config.limits.subscription_prefetch)?
            .queue(&self.config)
            .map_err(|error| raise(py, &error))?;
        let ack = match given.ack.as_str() {
            "manual" => Ack::Manual,
            _ => Ack::Auto { requeue: given.max_deliveries.is_some() },
        };
        self.consume(py, queue, callback, is_coroutine, ack, false, name)
    }

    /// Has every keep-alive of these services given to a callback, as a dict of its headers.
    #[pyo3(signature = (callback, is_coroutine, domain=None, kind=None, id=None, name="keep-alives"))]
    #[expect(clippy::too_many_arguments, reason = "all are named where it is called")]
    fn subscribe_keep_alives<'py>(
        &self,
        py: Python<'py>,
        callback: Py<PyAny>,
        is_coroutine: bool,
        domain: Option<&str>,
        kind: Option<&str>,
        id: Option<&str>,
        name: &str,
    ) -> PyResult<(FabricSubscription, Bound<'py, PyAny>)> {
        let queue = presence::keep_alives(&self.config, domain, kind, id);
        self.consume(py, queue, callback, is_coroutine, Ack::Manual, true, name.to_owned())
    }

    /// Follows a domain's log records.
    #[pyo3(signature = (callback, is_coroutine, domain, level=None, kind=None, id=None))]
    #[expect(clippy::too_many_arguments, reason = "all are named where it is called")]
    fn follow_logs<'py>(
        &self,
        py: Python<'py>,
        callback: Py<PyAny>,
        is_coroutine: bool,
        domain: String,
        level: Option<String>,
        kind: Option<String>,
        id: Option<String>,
    ) -> PyResult<(FabricSubscription, Bound<'py, PyAny>)> {
        let queue = Following { domain, level, kind, id }.queue();
        self.consume(py, queue, callback, is_coroutine, Ack::Manual, false, "log records".to_owned())
    }

    /// Has a stream keep data.
    fn retain<'py>(&self, py: Python<'py>, given: GivenRetention<'py>) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.engine(py)?;
        let queue = given.retention()?.queue(&self.config).map_err(|error| raise(py, &error))?;
        let declare = |done: Done<()>| {
            engine.declare(queue, done);
            Ok(0)
        };
        waiting::begin(
            py,
            &self.shared,
            "retain_data()",
            Some(self.config.limits.call_timeout),
            declare,
            |_| {},
        )
    }

    /// Sends a message to an exchange that the user names.
    fn send<'py>(
        &self,
        py: Python<'py>,
        given: GivenMessage<'py>,
        body: &[u8],
    ) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.engine(py)?;
        let message = given.message(py, body, self.config.limits.max_message)?;
        let send = |done: Done<()>| engine.publish(message, Some(done)).map(|()| 0);
        waiting::begin(py, &self.shared, "sending a message", None, send, |_| {})
    }

    /// Consumes a queue that the user names. As [`Self::subscribe`].
    fn take<'py>(
        &self,
        py: Python<'py>,
        given: GivenQueue<'py>,
        callback: Py<PyAny>,
        is_coroutine: bool,
    ) -> PyResult<(FabricSubscription, Bound<'py, PyAny>)> {
        let ack = if given.ack == "auto" { Ack::Auto { requeue: false } } else { Ack::Manual };
        let name = given.name.clone();
        self.consume(py, given.spec()?, callback, is_coroutine, ack, false, name)
    }

    /// Declares a queue, and what leads to it.
    fn declare<'py>(&self, py: Python<'py>, given: GivenQueue<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (engine, queue) = (self.engine(py)?, given.spec()?);
        let limit = Some(self.config.limits.call_timeout);
        let declare = |done: Done<()>| {
            engine.declare(queue, done);
            Ok(0)
        };
        waiting::begin(py, &self.shared, "declaring a queue", limit, declare, |_| {})
    }

    /// How many messages wait in a queue, and how many consume it.
    fn inspect<'py>(&self, py: Python<'py>, queue: String) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.engine(py)?;
        let limit = Some(self.config.limits.call_timeout);
        let inspect = |done: Done<(u32, u32)>| {
            engine.inspect(queue, done);
            Ok(0)
        };
        waiting::begin(py, &self.shared, "looking at a queue", limit, inspect, |_| {})
    }

    /// Drops all messages that wait in a queue.
    fn purge<'py>(&self, py: Python<'py>, queue: String) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.engine(py)?;
        let limit = Some(self.config.limits.call_timeout);
        let purge = |done: Done<u32>| {
            engine.purge(queue, done);
            Ok(0)
        };
        waiting::begin(py, &self.shared, "purging a queue", limit, purge, |_| {})
    }

    /// Sends a log record. From any thread; waits for nothing.
    fn log(
        &self,
        py: Python<'_>,
        level: &str,
        text: &Bound<'_, PyAny>,
        headers: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let engine = self.engine(py)?;
        let body = Codec::Json.encode(text, "text", &self.shared.limits, self.shared.fallback)?;
        let message = logs::message(&self.config, level, options::headers(headers)?, body);
        engine.log(message).map_err(|error| raise(py, &error))
    }

    /// What it has done so far.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = PyDict::new(py);
        let Some(engine) = self.engine.lock().clone() else { return Ok(stats) };
        let counted = engine.stats();
        stats.set_item("calls_open", counted.calls_open)?;
        for (name, count) in [
            ("calls_taken", counted.served.taken),
            ("calls_answered", counted.served.answered),
            ("calls_given_back", counted.served.given_back),
            ("calls_malformed", counted.served.malformed),
        ] {
            stats.set_item(name, count)?;
        }
        stats.set_item("calls_running", counted.served.open)?;
        for (of, outbox) in [("data", counted.data), ("logs", counted.logs)] {
            stats.set_item(format!("{of}_waiting"), outbox.waiting)?;
            stats.set_item(format!("{of}_confirmed"), outbox.confirmed)?;
            stats.set_item(format!("{of}_resent"), outbox.resent)?;
            stats.set_item(format!("{of}_failed"), outbox.failed)?;
            stats.set_item(format!("{of}_dropped"), outbox.dropped)?;
        }
        Ok(stats)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.on_state)?;
        visit.call(&self.on_error)?;
        let Some(place) = self.shared.place.try_lock() else { return Ok(()) };
        visit.call(&place.event_loop)?;
        visit.call(&place.context)
    }
}

impl FabricConnector {
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// # Errors
    /// When it is not open.
    pub(super) fn engine(&self, py: Python<'_>) -> PyResult<Arc<Connector>> {
        self.check_process(py)?;
        let engine = self.engine.lock().clone();
        engine.ok_or_else(|| raise(py, &Error::new(Code::ServiceUnavailable, NOT_OPEN)))
    }

    fn check_process(&self, py: Python<'_>) -> PyResult<()> {
        if self.made_in == generation() {
            return Ok(());
        }
        let text = "this connector was made before the process was forked: make one in the child";
        Err(raise(py, &Error::new(Code::Configuration, text)))
    }

    fn tell(&self, py: Python<'_>, events: impl IntoIterator<Item = Event>) -> PyResult<()> {
        let mut raised = Ok(());
        for event in events {
            let told = match event {
                Event::Ended(ended) => match ended.tell(py, &self.shared) {
                    Some((error, what)) => self.on_error.call1(py, (error.into_value(py), &*what)).map(drop),
                    None => Ok(()),
                },
                Event::Call(incoming) => {
                    incoming.run(py);
                    Ok(())
                }
                Event::Message(message) => {
                    message.run(py);
                    Ok(())
                }
                Event::State(state, why) => {
                    let why = why.map(|error| raise(py, &error).into_value(py));
                    self.on_state.call1(py, (state.name(), why)).map(drop)
                }
                Event::Trouble(error, place) => {
                    let error = raise(py, &error).into_value(py);
                    self.on_error.call1(py, (error, place)).map(drop)
                }
                Event::Failed(error, place) => {
                    self.on_error.call1(py, (error.into_value(py), place)).map(drop)
                }
            };
            if told.is_err() {
                raised = told;
            }
        }
        raised
    }

    #[expect(clippy::too_many_arguments, reason = "one place for all kinds of subscriptions")]
    fn consume<'py>(
        &self,
        py: Python<'py>,
        queue: QueueSpec,
        callback: Py<PyAny>,
        is_coroutine: bool,
        ack: Ack,
        headers_only: bool,
        name: String,
    ) -> PyResult<(FabricSubscription, Bound<'py, PyAny>)> {
        let engine = self.engine(py)?;
        let what = format!("{SUBSCRIPTION} {name}");
        let subscriber = Subscriber::new(callback, is_coroutine, ack, headers_only, name, &self.shared);
        let mut consuming = None;
        let begin = |done: Done<()>| {
            consuming = Some(engine.consume(queue, Arc::new(Registered(subscriber)), done));
            Ok(0)
        };
        let begun =
            waiting::begin(py, &self.shared, &what, Some(self.config.limits.call_timeout), begin, |_| {})?;
        let consuming =
            consuming.ok_or_else(|| raise(py, &Error::new(Code::ServiceUnavailable, NOT_OPEN)))?;
        Ok((FabricSubscription { consuming, shared: Arc::clone(&self.shared) }, begun))
    }
}

/// Where the failure of a subscription comes from.
pub(super) const SUBSCRIPTION: &str = "the subscription";

/// A subscription.
#[pyclass(frozen, name = "FabricSubscription", module = "ironbridge._engine")]
pub(super) struct FabricSubscription {
    consuming: Consuming,
    shared: Arc<Shared>,
}

#[pymethods]
impl FabricSubscription {
    /// Takes no message any more.
    fn stop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stop = |done: Done<()>| {
            self.consuming.stop(done);
            Ok(0)
        };
        waiting::begin(py, &self.shared, "cancel()", None, stop, |_| {})
    }

    /// `(received, acknowledged, rejected, filtered, open)`.
    fn stats(&self) -> (u64, u64, u64, u64, usize) {
        let stats = self.consuming.stats();
        (stats.received, stats.acknowledged, stats.rejected, stats.filtered, stats.open)
    }
}
