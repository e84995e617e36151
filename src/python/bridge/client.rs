//! The blocking client: each call is encoded, sent, awaited and decoded on the caller's own thread.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::bridge::client::blocking::{self, CallOptions, Options as ConnectOptions};
use crate::bridge::client::channel::Outgoing;
use crate::bridge::client::home::Home;
use crate::bridge::client::target::Target;
use crate::bridge::frame::Frame;
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error};
use crate::core::limits::Limits;
use crate::python::errors::raise;
use crate::python::value::{Classes, Encoder, InBuffer, OutBuffer, encode_arguments};

use super::allocate::{Objects, table};
use super::signals::Signals;
use super::{current, options, outcome};

/// What a client and its endpoints share.
struct Shared {
    engine: blocking::Client<Objects>,
    classes: Classes,
    limits: Limits,
}

/// How calls are made, unless a call says otherwise.
#[derive(Clone, Copy)]
struct Manner {
    timeout: Duration,
    one_way: bool,
    idempotent: bool,
}

/// Blocking calls to one service, from any thread. Has no thread of its own.
#[pyclass(frozen, module = "ironbridge._engine")]
pub(super) struct Client {
    shared: Arc<Shared>,
    manner: Manner,
}

/// One endpoint of a connected service; calling it runs it there.
#[pyclass(frozen, module = "ironbridge._engine")]
pub(super) struct Endpoint {
    shared: Arc<Shared>,
    name: String,
    manner: Manner,
}

#[pymethods]
impl Client {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "the keywords of connect()")]
    #[pyo3(signature = (target, args, kwargs, *, wait, poll_interval, token, tls_ca, call_timeout, api_classes))]
    fn new(
        py: Python<'_>,
        target: &str,
        args: &Bound<'_, PyTuple>,
        kwargs: &Bound<'_, PyDict>,
        wait: f64,
        poll_interval: f64,
        token: Option<&str>,
        tls_ca: Option<&str>,
        call_timeout: Option<f64>,
        api_classes: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let limits = options::limits(py)?;
        let prepare = || {
            let target = Target::parse(target)?;
            let timeout = match call_timeout {
                Some(timeout) => options::seconds("timeout", timeout)?,
                None => limits.call_timeout,
            };
            let connect = ConnectOptions {
                token: options::token(&target, token)?,
                tls: options::client_tls(tls_ca)?,
                target,
                arguments: Vec::new(),
                limits: limits.clone(),
                poll_interval: options::seconds("poll_interval", poll_interval)?.max(SHORTEST_POLL),
            };
            Ok((connect, timeout, Deadline::after(options::seconds("timeout", wait)?)))
        };
        let (mut connect, timeout, deadline) = prepare().map_err(|error| raise(py, &error))?;
        connect.arguments = bound_arguments(args, kwargs, &limits)?;
        let classes = options::classes(api_classes, true)?;
        let signals = Signals::default();
        let engine = py
            .detach(|| blocking::Client::connect(connect, Objects, deadline, &|| signals.look()))
            .map_err(|error| signals.raise(py, &error))?;
        let manner = Manner { timeout, one_way: false, idempotent: false };
        Ok(Self { shared: Arc::new(Shared { engine, classes, limits }), manner })
    }

    /// The service's schema document, in JSON.
    #[getter]
    fn schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let home = self.shared.home(py, self.manner.timeout)?;
        Ok(PyBytes::new(py, home.schema.document.as_bytes()))
    }

    /// The endpoint of this name.
    fn endpoint(&self, py: Python<'_>, name: String) -> PyResult<Endpoint> {
        let home = self.shared.home(py, self.manner.timeout)?;
        home.schema.endpoint(self.shared.engine.service(), &name).map_err(|error| raise(py, &error))?;
        Ok(Endpoint { shared: Arc::clone(&self.shared), name, manner: self.manner })
    }

    /// Calls an endpoint by its name.
    #[pyo3(signature = (name, args, kwargs, timeout=None, one_way=None, idempotent=None))]
    #[expect(clippy::too_many_arguments, reason = "the keywords of a call")]
    fn call<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
        timeout: Option<f64>,
        one_way: Option<bool>,
        idempotent: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let manner = self.manner.with(timeout, one_way, idempotent).map_err(|error| raise(py, &error))?;
        self.shared.call(py, name, args, kwargs, manner)
    }

    /// Many calls in one round trip, run in their order. Failures stand in the list as exceptions.
    #[pyo3(signature = (calls, timeout=None))]
    fn batch<'py>(
        &self,
        py: Python<'py>,
        calls: &Bound<'py, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyList>> {
        let manner = self.manner.with(timeout, Some(false), None).map_err(|error| raise(py, &error))?;
        self.shared.batch(py, calls, manner)
    }

    /// The service's statistics.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let text = self.shared.call(py, "$stats", &PyTuple::empty(py), None, self.manner)?;
        py.import("json")?.call_method1("loads", (text,))
    }

    /// The same connections, other options. What is not named stays.
    #[pyo3(signature = (*, timeout=None, one_way=None, idempotent=None))]
    fn with_options(
        &self,
        py: Python<'_>,
        timeout: Option<f64>,
        one_way: Option<bool>,
        idempotent: Option<bool>,
    ) -> PyResult<Self> {
        let manner = self.manner.with(timeout, one_way, idempotent).map_err(|error| raise(py, &error))?;
        Ok(Self { shared: Arc::clone(&self.shared), manner })
    }

    /// Closes the idle connections. A later call opens its own.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.shared.engine.close());
    }
}

#[pymethods]
impl Endpoint {
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.shared.call(py, &self.name, args, kwargs, self.manner)
    }

    #[getter]
    fn __name__(&self) -> &str {
        &self.name
    }

    fn __repr__(&self) -> String {
        format!("<endpoint {:?} of {:?}>", self.name, self.shared.engine.service())
    }
}

impl Manner {
    fn with(
        self,
        timeout: Option<f64>,
        one_way: Option<bool>,
        idempotent: Option<bool>,
    ) -> Result<Self, Error> {
        Ok(Self {
            timeout: timeout.map_or(Ok(self.timeout), |timeout| options::seconds("timeout", timeout))?,
            one_way: one_way.unwrap_or(self.one_way),
            idempotent: idempotent.unwrap_or(self.idempotent),
        })
    }

    fn begin(self, py: Python<'_>) -> CallOptions {
        CallOptions {
            deadline: Deadline::after(self.timeout).min_with(current::deadline(py)),
            one_way: self.one_way,
            idempotent: self.idempotent,
        }
    }
}

impl Shared {
    fn home(&self, py: Python<'_>, timeout: Duration) -> PyResult<Arc<Home<InBuffer>>> {
        if let Some(home) = self.engine.known_home() {
            return Ok(home);
        }
        let signals = Signals::default();
        let deadline = Deadline::after(timeout);
        py.detach(|| self.engine.refresh(deadline, &|| signals.look()))
            .map_err(|error| signals.raise(py, &error))
    }

    fn call<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
        manner: Manner,
    ) -> PyResult<Bound<'py, PyAny>> {
        let home = self.home(py, manner.timeout)?;
        let call = manner.begin(py);
        let mut outgoing = Outgoing { head: Vec::with_capacity(256), buffers: Vec::new() };
        let (prepared, open) =
            self.engine.prepare(name, home, &mut outgoing, call).map_err(|error| raise(py, &error))?;
        let Outgoing { head, buffers } = &mut outgoing;
        encode_arguments(args, kwargs, &mut Encoder::new(head, buffers, &self.limits))?;
        open.finish(head, table(buffers), self.limits.max_frame).map_err(|error| raise(py, &error))?;

        let signals = Signals::default();
        let reply = py.detach(|| self.engine.exchange(prepared, &mut outgoing, call, &|| signals.look()));
        match reply {
            Ok(Some(frame)) => outcome::of_reply(py, frame, &self.classes, &self.limits),
            Ok(None) => Ok(py.None().into_bound(py)),
            Err(error) => Err(signals.raise(py, &self.explain(error, name, manner))),
        }
    }

    /// Says which call it was.
    fn explain(&self, error: Error, name: &str, manner: Manner) -> Error {
        let service = self.engine.service();
        let message = match error.code {
            Code::DeadlineExceeded => format!(
                "{service}.{name}: no answer within {} s; give it longer with with_options(timeout=…)",
                manner.timeout.as_secs_f64()
            ),
            _ => format!("{service}.{name}: {}", error.message),
        };
        Error { message, ..error }
    }

    fn batch<'py>(
        &self,
        py: Python<'py>,
        calls: &Bound<'py, PyAny>,
        manner: Manner,
    ) -> PyResult<Bound<'py, PyList>> {
        let results = PyList::empty(py);
        let home = self.home(py, manner.timeout)?;
        let call = manner.begin(py);
        let mut frames = Vec::new();
        let mut first = None;
        // In one frame each, so that nothing large waits between two requests.
        let limits = Limits { out_of_band: usize::MAX, ..self.limits.clone() };
        for entry in calls.try_iter()? {
            let (name, args, kwargs): (String, Bound<'_, PyTuple>, Option<Bound<'_, PyDict>>) =
                entry?.extract()?;
            let mut outgoing = Outgoing::<OutBuffer>::default();
            let (prepared, open) = self
                .engine
                .prepare(&name, Arc::clone(&home), &mut outgoing, call)
                .map_err(|error| raise(py, &error))?;
            let Outgoing { mut head, mut buffers } = outgoing;
            encode_arguments(&args, kwargs.as_ref(), &mut Encoder::new(&mut head, &mut buffers, &limits))?;
            open.finish(&mut head, table(&buffers), limits.max_frame).map_err(|error| raise(py, &error))?;
            let route = first.get_or_insert_with(|| prepared.route());
            route.instance |= prepared.route().instance;
            frames.push(head);
        }
        let Some(route) = first else { return Ok(results) };
        let signals = Signals::default();
        let mut replies: Vec<Frame<InBuffer>> = Vec::with_capacity(frames.len());
        let done = py.detach(|| {
            self.engine
                .exchange_all(&home, route, &frames, call, &|| signals.look(), |frame| replies.push(frame))
        });
        for frame in replies {
            match outcome::of_reply(py, frame, &self.classes, &self.limits) {
                Ok(value) => results.append(value)?,
                Err(error) => results.append(error.into_value(py))?,
            }
        }
        if let Err(error) = done {
            let error = self.explain(error, "batch", manner);
            if error.code == Code::Cancelled {
                return Err(signals.raise(py, &error));
            }
            for _ in results.len()..frames.len() {
                results.append(raise(py, &error).into_value(py))?;
            }
        }
        Ok(results)
    }
}

/// The encoded constructor's arguments, as they are bound on each connection.
fn bound_arguments(
    args: &Bound<'_, PyTuple>,
    kwargs: &Bound<'_, PyDict>,
    limits: &Limits,
) -> PyResult<Vec<u8>> {
    let (mut bytes, mut buffers) = (Vec::new(), Vec::new());
    let limits = Limits { out_of_band: usize::MAX, ..limits.clone() };
    let kwargs = (!kwargs.is_empty()).then_some(kwargs);
    encode_arguments(args, kwargs, &mut Encoder::new(&mut bytes, &mut buffers, &limits))?;
    Ok(bytes)
}

/// Looking for a service more often than this only takes processor time from it.
const SHORTEST_POLL: Duration = Duration::from_micros(500);
