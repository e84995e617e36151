//! The client for asyncio. A call is encoded and queued where it is made; its reply comes through the loop's
//! own watch on the connection ([`super::link`]).

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::bridge::hello::Lane;
use crate::python::errors::raise;

use super::connected::{Connected, Connecting, Manner};
use super::link::{Link, Outcome, Reply, Route, running_loop};

/// Calls to one service from asyncio, over one connection for each loop and lane.
#[pyclass(frozen, module = "ironbridge._engine")]
pub(super) struct AsyncClient {
    shared: Arc<Shared>,
    manner: Manner,
}

/// One endpoint of a connected service; calling it gives an awaitable of the running loop.
#[pyclass(frozen, module = "ironbridge._engine")]
pub(super) struct AsyncEndpoint {
    shared: Arc<Shared>,
    name: Arc<str>,
    manner: Manner,
    /// The way of the last call, for the next from the same loop.
    route: Mutex<Option<Arc<Route>>>,
}

/// What a client, its endpoints and its connections share.
pub(super) struct Shared {
    pub(super) connected: Arc<Connected>,
    /// The open connections: of which loop, to which of the service's processes, for which lane.
    links: Mutex<Vec<Entry>>,
}

struct Entry {
    event_loop: Py<PyAny>,
    nonce: [u8; 16],
    lane: Lane,
    link: Py<Link>,
}

#[pymethods]
impl AsyncClient {
    #[new]
    fn new(
        py: Python<'_>,
        target: &str,
        args: &Bound<'_, PyTuple>,
        kwargs: &Bound<'_, PyDict>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let (connected, manner) = Connecting::read(options)?.connect(py, target, args, kwargs)?;
        Ok(Self { shared: Arc::new(Shared { connected, links: Mutex::default() }), manner })
    }

    /// The service's schema document, in JSON.
    #[getter]
    fn schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let home = self.shared.connected.home(py, self.manner.timeout)?;
        Ok(PyBytes::new(py, home.schema.document.as_bytes()))
    }

    /// The endpoint of this name.
    fn endpoint(&self, py: Python<'_>, name: &str) -> PyResult<AsyncEndpoint> {
        let connected = &self.shared.connected;
        let home = connected.home(py, self.manner.timeout)?;
        home.schema.endpoint(connected.engine.service(), name).map_err(|error| raise(py, &error))?;
        Ok(AsyncEndpoint {
            shared: Arc::clone(&self.shared),
            name: name.into(),
            manner: self.manner,
            route: Mutex::default(),
        })
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
    ) -> PyResult<Bound<'py, Reply>> {
        let manner = self.manner.with(timeout, one_way, idempotent).map_err(|error| raise(py, &error))?;
        let (route, _) = self.shared.route(&running_loop(py)?, name, manner)?;
        Link::call(py, &route, &name.into(), (args, kwargs), manner, Outcome::Value)
    }

    /// Many calls at once. An awaitable of the list of results, in which failures stand as exceptions.
    #[pyo3(signature = (calls, timeout=None))]
    fn batch<'py>(
        &self,
        py: Python<'py>,
        calls: &Bound<'py, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let manner = self.manner.with(timeout, Some(false), None).map_err(|error| raise(py, &error))?;
        let event_loop = running_loop(py)?;
        let replies = PyList::empty(py);
        for entry in calls.try_iter()? {
            let (name, args, kwargs): (String, Bound<'_, PyTuple>, Option<Bound<'_, PyDict>>) =
                entry?.extract()?;
            let (route, _) = self.shared.route(&event_loop, &name, manner)?;
            let (name, given) = (name.as_str().into(), (&args, kwargs.as_ref()));
            replies.append(Link::call(py, &route, &name, given, manner, Outcome::Value)?)?;
        }
        let options = PyDict::new(py);
        options.set_item("return_exceptions", true)?;
        py.import("asyncio")?.getattr("gather")?.call(replies.to_tuple(), Some(&options))
    }

    /// An awaitable of the service's statistics.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Reply>> {
        let (route, _) = self.shared.route(&running_loop(py)?, "$stats", self.manner)?;
        let given = (&PyTuple::empty(py), None);
        Link::call(py, &route, &"$stats".into(), given, self.manner, Outcome::Json)
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

    /// Closes the connections. Calls in flight end with `ConnectionLost`.
    fn close(&self, py: Python<'_>) {
        let links = std::mem::take(&mut *self.shared.links.lock());
        for entry in links {
            Link::shut(entry.link.bind(py));
        }
        py.detach(|| self.shared.connected.engine.close());
    }
}

#[pymethods]
impl AsyncEndpoint {
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, Reply>> {
        let route = self.route(&running_loop(py)?)?;
        Link::call(py, &route, &self.name, (args, kwargs), self.manner, Outcome::Value)
    }

    #[getter]
    fn __name__(&self) -> &str {
        &self.name
    }

    fn __repr__(&self) -> String {
        format!("<endpoint {:?} of {:?}>", self.name, self.shared.connected.engine.service())
    }
}

impl AsyncEndpoint {
    /// The way of a call that is made now.
    #[inline]
    fn route(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Route>> {
        let engine = &self.shared.connected.engine;
        let last = self.route.lock().clone();
        if let Some(route) = last
            && route.link.get().takes_calls_of(event_loop)
            && engine.is_last_home(&route.home)
        {
            return Ok(route);
        }
        let (route, lasts) = self.shared.route(event_loop, &self.name, self.manner)?;
        let route = Arc::new(route);
        let before = if lasts { self.route.lock().replace(Arc::clone(&route)) } else { None };
        drop(before);
        Ok(route)
    }
}

impl Shared {
    /// The way of a call that this loop makes, and whether the next call goes it too.
    fn route(
        self: &Arc<Self>,
        event_loop: &Bound<'_, PyAny>,
        name: &str,
        manner: Manner,
    ) -> PyResult<(Route, bool)> {
        let py = event_loop.py();
        let engine = &self.connected.engine;
        // What is remembered may be out of date; opening a connection finds out, and not on this thread.
        let home = match engine.last_home() {
            Some(home) => home,
            None => self.connected.home(py, manner.timeout)?,
        };
        let endpoint = engine.route(name, &home).map_err(|error| raise(py, &error))?;
        let lane = if endpoint.coroutine { Lane::Coroutine } else { Lane::Plain };
        let lasts = home.workers.len() == 1 || endpoint.instance;
        let nonce = home.worker(endpoint.instance).mark();
        let link = self.link(event_loop, nonce, lane)?.unbind();
        Ok((Route { home, endpoint, link }, lasts))
    }

    /// The connection of this loop to this process for this lane; a new one begins to open.
    pub(super) fn link<'py>(
        self: &Arc<Self>,
        event_loop: &Bound<'py, PyAny>,
        nonce: [u8; 16],
        lane: Lane,
    ) -> PyResult<Bound<'py, Link>> {
        let py = event_loop.py();
        let found = self.links.lock().iter().find_map(|entry| {
            let same = entry.event_loop.is(event_loop) && entry.nonce == nonce && entry.lane == lane;
            same.then(|| entry.link.clone_ref(py))
        });
        if let Some(link) = found {
            return Ok(link.into_bound(py));
        }
        let link = Link::open(self, event_loop, nonce, lane)?;
        let entry =
            Entry { event_loop: event_loop.clone().unbind(), nonce, lane, link: link.clone().unbind() };
        let mut links = self.links.lock();
        // Loops that have ended took their connections along.
        let ended = |entry: &Entry| {
            entry
                .event_loop
                .call_method0(py, "is_closed")
                .is_ok_and(|closed| closed.is_truthy(py).unwrap_or(false))
        };
        let gone: Vec<Entry> = links.extract_if(.., |entry| ended(entry)).collect();
        links.push(entry);
        drop(links);
        drop(gone);
        Ok(link)
    }

    /// A connection takes no more calls: the next call opens another.
    pub(super) fn forget(&self, link: &Bound<'_, Link>) {
        let mut links = self.links.lock();
        let gone: Vec<Entry> = links.extract_if(.., |entry| entry.link.is(link)).collect();
        drop(links);
        drop(gone);
    }
}
