//! The blocking client: each call is encoded, sent, awaited and decoded on the caller's own thread.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::bridge::client::channel::Outgoing;
use crate::bridge::frame::Frame;
use crate::core::error::Code;
use crate::core::limits::Limits;
use crate::python::errors::raise;
use crate::python::signals::Signals;
use crate::python::value::{Encoder, InBuffer, OutBuffer, encode_arguments};

use super::allocate::table;
use super::connected::{Connected, Connecting, Manner};
use super::{current, outcome};

/// Blocking calls to one service, from any thread. Has no thread of its own.
#[pyclass(frozen, module = "ironbridge._engine")]
pub(super) struct Client {
    connected: Arc<Connected>,
    manner: Manner,
}

/// One endpoint of a connected service; calling it runs it there.
#[pyclass(frozen, module = "ironbridge._engine")]
pub(super) struct Endpoint {
    connected: Arc<Connected>,
    name: String,
    manner: Manner,
}

#[pymethods]
impl Client {
    #[new]
    fn new(
        py: Python<'_>,
        target: &str,
        args: &Bound<'_, PyTuple>,
        kwargs: &Bound<'_, PyDict>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let (connected, manner) = Connecting::read(options)?.connect(py, target, args, kwargs)?;
        Ok(Self { connected, manner })
    }

    /// The service's schema document, in JSON.
    #[getter]
    fn schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let home = self.connected.home(py, self.manner.timeout)?;
        Ok(PyBytes::new(py, home.schema.document.as_bytes()))
    }

    /// The endpoint of this name.
    fn endpoint(&self, py: Python<'_>, name: String) -> PyResult<Endpoint> {
        let home = self.connected.home(py, self.manner.timeout)?;
        home.schema.endpoint(self.connected.engine.service(), &name).map_err(|error| raise(py, &error))?;
        Ok(Endpoint { connected: Arc::clone(&self.connected), name, manner: self.manner })
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
        self.connected.call(py, name, args, kwargs, manner)
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
        self.connected.batch(py, calls, manner)
    }

    /// The service's statistics.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let text = self.connected.call(py, "$stats", &PyTuple::empty(py), None, self.manner)?;
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
        Ok(Self { connected: Arc::clone(&self.connected), manner })
    }

    /// Closes the idle connections. A later call opens its own.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.connected.engine.close());
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
        self.connected.call(py, &self.name, args, kwargs, self.manner)
    }

    #[getter]
    fn __name__(&self) -> &str {
        &self.name
    }

    fn __repr__(&self) -> String {
        format!("<endpoint {:?} of {:?}>", self.name, self.connected.engine.service())
    }
}

impl Connected {
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
            self.engine.prepare(name, home, &mut outgoing, (1, call)).map_err(|error| raise(py, &error))?;
        let Outgoing { head, buffers } = &mut outgoing;
        encode_arguments(args, kwargs, &mut Encoder::new(head, buffers, &self.limits))?;
        open.finish(head, table(buffers), self.limits.max_frame).map_err(|error| raise(py, &error))?;

        let _lent = current::lend().map_err(|error| raise(py, &error))?;
        let signals = Signals::default();
        let reply = py.detach(|| self.engine.exchange(prepared, &mut outgoing, call, &|| signals.look()));
        match reply {
            Ok(Some(frame)) => outcome::of_reply(py, frame, &self.classes, &self.limits),
            Ok(None) => Ok(py.None().into_bound(py)),
            Err(error) => Err(signals.raise(py, &self.explain(error, name, manner.timeout))),
        }
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
                .prepare(&name, Arc::clone(&home), &mut outgoing, (1, call))
                .map_err(|error| raise(py, &error))?;
            let Outgoing { mut head, mut buffers } = outgoing;
            encode_arguments(&args, kwargs.as_ref(), &mut Encoder::new(&mut head, &mut buffers, &limits))?;
            open.finish(&mut head, table(&buffers), limits.max_frame).map_err(|error| raise(py, &error))?;
            let route = first.get_or_insert_with(|| prepared.route());
            route.instance |= prepared.route().instance;
            frames.push(head);
        }
        let Some(route) = first else { return Ok(results) };
        let _lent = current::lend().map_err(|error| raise(py, &error))?;
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
            let error = self.explain(error, "batch", manner.timeout);
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
