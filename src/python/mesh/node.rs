//! A node, from Python.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::calling::{MeshCall, Plan};
use super::codec::Codec;
use super::context::Context;
use super::options::Given;
use super::shared::{Event, Place, Running, Shared};
use super::table::{self, Table};
use super::waiting::Waiter;
use super::{registry, serving, streaming};
use crate::core::error::{Code, Error};
use crate::core::limits::Limits;
use crate::core::platform::fork::generation;
use crate::mesh::catalog::Change;
use crate::mesh::node::{Delivery, Node, OutgoingEvent, State};
use crate::python::errors::raise;
use crate::python::mailbox::Mailbox;
use crate::python::workers::Workers;

/// A node of the mesh.
#[pyclass(frozen, weakref, name = "MeshNode", module = "ironbridge._engine")]
pub(super) struct MeshNode {
    shared: Arc<Shared>,
    /// `on_told(what, *arguments)`.
    on_told: Py<PyAny>,
    made_in: u64,
    started: AtomicBool,
}

#[pymethods]
impl MeshNode {
    #[new]
    fn new(py: Python<'_>, given: Given, on_told: Py<PyAny>) -> PyResult<Self> {
        let config = given.config(py).map_err(|error| raise(py, &error))?;
        let mailbox = Mailbox::new()
            .map_err(|error| raise(py, &Error::io(Code::Configuration, "making a node's bell", &error)))?;
        let mut limits = Limits::from_env().map_err(|error| raise(py, &error))?;
        limits.max_frame = config.limits.max_packet;
        let shared = Arc::new(Shared {
            node: OnceLock::new(),
            mailbox,
            workers: Workers::new(given.workers),
            codec: Codec { serializer: config.serializer, limits },
            table: RwLock::default(),
            place: Mutex::default(),
            running: Mutex::new(Running::default()),
            streams: Mutex::new(HashMap::new()),
            through_python: AtomicBool::new(false),
            flushing: AtomicBool::new(false),
            max_level: given.max_level,
        });
        let teller = Arc::downgrade(&shared);
        let node = Node::new(config, move |out| {
            if let Some(shared) = teller.upgrade() {
                drop(shared.mailbox.push(Event::Delivered(out)));
            }
        });
        drop(shared.node.set(node.map_err(|error| raise(py, &error))?));
        Ok(Self { shared, on_told, made_in: generation(), started: AtomicBool::new(false) })
    }

    /// On the loop's thread: has it watch what the node has to read and to tell.
    fn attach(this: &Bound<'_, Self>, broker: Py<PyAny>, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = this.py();
        let own = this.get();
        own.check_process(py)?;
        let context = py.import("contextvars")?.call_method0(intern!(py, "copy_context"))?;
        *own.shared.place.lock() = Place {
            broker: Some(broker),
            event_loop: Some(event_loop.clone().unbind()),
            context: Some(context.unbind()),
            flush: Some(this.getattr(intern!(py, "_flush"))?.unbind()),
            spare: None,
        };
        let (told, pump) = (this.getattr(intern!(py, "_told"))?, this.getattr(intern!(py, "_pump"))?);
        let node = own.shared.node()?;
        event_loop.call_method1(intern!(py, "add_reader"), (own.shared.mailbox.fd(), told))?;
        event_loop.call_method1(intern!(py, "add_reader"), (node.fd().as_raw_fd(), pump)).map(drop)
    }

    /// Connects. Gives a future that ends when the connection stands, or never will.
    fn start<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.check_process(py)?;
        let future = self.shared.event_loop(py)?.call_method0(intern!(py, "create_future"))?;
        let (kept, teller) = (future.clone().unbind(), Arc::clone(&self.shared));
        let started = self.shared.node()?.start(move |outcome| {
            drop(teller.mailbox.push(Event::Started(kept, outcome)));
        });
        started.map_err(|error| raise(py, &error))?;
        self.started.store(true, Ordering::Relaxed);
        Ok(future)
    }

    /// Takes no calls and events any more.
    fn stop_serving(&self) -> PyResult<()> {
        self.shared.node()?.stop_serving();
        Ok(())
    }

    /// Says goodbye and ends, within `grace` milliseconds. To be followed by `join` and `detach`.
    fn close(&self, grace: f64) -> PyResult<()> {
        self.shared.node()?.close(Duration::from_secs_f64((grace / 1e3).clamp(0.0, 1e6)));
        Ok(())
    }

    /// On any thread but the loop's: waits for the node's thread and for plain handlers, `grace` milliseconds at most.
    /// Gives how many of these still run.
    fn join(&self, py: Python<'_>, grace: f64) -> PyResult<usize> {
        if self.started.load(Ordering::Relaxed) {
            let node = Arc::clone(self.shared.node()?);
            py.detach(|| node.join());
        }
        self.shared.workers.stop(py, Duration::from_secs_f64((grace / 1e3).clamp(0.0, 1e6)))
    }

    /// On the loop's thread, after `close`: handlers that still run are cancelled, and the loop watches no more.
    fn detach(&self, py: Python<'_>) -> PyResult<()> {
        let left = self.shared.mailbox.close();
        let event_loop = self.shared.place.lock().event_loop.take();
        if let Some(event_loop) = &event_loop {
            for fd in [self.shared.mailbox.fd(), self.shared.node()?.fd().as_raw_fd()] {
                event_loop.call_method1(py, intern!(py, "remove_reader"), (fd,))?;
            }
        }
        let told = self.tell(py, left);
        let tasks: Vec<_> = self.shared.running.lock().tasks.drain().map(|(_, task)| task).collect();
        for task in tasks {
            task.call_method0(py, intern!(py, "cancel"))?;
        }
        let place = std::mem::take(&mut *self.shared.place.lock());
        drop(place);
        *self.shared.table.write() = Arc::default();
        told
    }

    /// On the loop's thread: something has come.
    #[pyo3(name = "_pump")]
    fn pump(&self, py: Python<'_>) -> PyResult<()> {
        let node = self.shared.node()?;
        let mut out = Vec::new();
        // Calls that are made while handlers run are sent with their answers.
        let before = self.shared.flushing.swap(true, Ordering::Relaxed);
        node.pump(&mut out);
        let told = self.deliver(py, out);
        self.shared.flushing.store(before, Ordering::Relaxed);
        node.flush();
        told
    }

    /// On the loop's thread: what was appended is sent.
    #[pyo3(name = "_flush")]
    fn flush(&self) -> PyResult<()> {
        self.shared.flushing.store(false, Ordering::Relaxed);
        self.shared.node()?.flush();
        Ok(())
    }

    /// On the loop's thread: another thread has something to tell.
    #[pyo3(name = "_told")]
    fn told(&self, py: Python<'_>) -> PyResult<()> {
        let events = self.shared.mailbox.drain();
        self.tell(py, events)
    }

    /// What this node serves: a JSON array, and the handlers.
    fn set_services(
        &self,
        py: Python<'_>,
        services: &str,
        actions: Vec<table::Given>,
        events: Vec<table::Given>,
    ) -> PyResult<()> {
        *self.shared.table.write() = Arc::new(Table::new(actions, events));
        let mut out = Vec::new();
        self.shared.node()?.set_services(services.as_bytes(), &mut out);
        self.deliver(py, out)
    }

    /// Tells all nodes what this one serves.
    fn announce(&self, py: Python<'_>) -> PyResult<()> {
        match self.shared.node()?.announce() {
            Err(error) if error.code == Code::ServiceUnavailable => Ok(()),
            told => told.map_err(|error| raise(py, &error)),
        }
    }

    /// Whether calls go through the broker's `_call`.
    fn through_python(&self, through: bool) {
        self.shared.through_python.store(through, Ordering::Relaxed);
    }

    /// Calls an action.
    #[pyo3(signature = (action, params=None, meta=None, timeout=None, node_id=None, **more))]
    #[expect(clippy::too_many_arguments, reason = "the keywords of a call")]
    fn call<'py>(
        &self,
        py: Python<'py>,
        action: String,
        params: Option<Py<PyAny>>,
        meta: Option<Py<PyAny>>,
        timeout: Option<f64>,
        node_id: Option<String>,
        more: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Plan::new(Arc::clone(&self.shared), action, params, meta, timeout, node_id).into_call(py, more)
    }

    /// Calls an action past all middlewares: with this context, which holds its parameters and meta.
    #[pyo3(signature = (context, action, timeout=None, node_id=None, stream=None))]
    fn invoke<'py>(
        &self,
        py: Python<'py>,
        context: Py<Context>,
        action: String,
        timeout: Option<f64>,
        node_id: Option<String>,
        stream: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, MeshCall>> {
        let params = Some(super::context::params_of(context.bind(py))?.unbind());
        let plan = Plan::new(Arc::clone(&self.shared), action, params, None, timeout, node_id);
        plan.direct(py, Some(context), stream)
    }

    /// A context that was made here.
    fn context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Context>> {
        Bound::new(py, Context::new(&self.shared))
    }

    /// The endpoint that a call of an action goes to: `(node, whether it is this one, schema)`; None where the
    /// transporter chooses.
    #[pyo3(signature = (action, node_id=None, params=None, meta=None))]
    fn choose(
        &self,
        py: Python<'_>,
        action: &str,
        node_id: Option<&str>,
        params: Option<Py<PyAny>>,
        meta: Option<Py<PyAny>>,
    ) -> PyResult<Option<(String, bool, String)>> {
        super::calling::choose(py, &self.shared, action, node_id, params, meta)
    }

    /// Tells of an event: other nodes at once; gives what the handlers here return, to be awaited, with their names.
    #[pyo3(signature = (event, data, groups, broadcast, context, local=false))]
    #[expect(clippy::too_many_arguments, reason = "all are named where it is called")]
    fn emit<'py>(
        &self,
        py: Python<'py>,
        event: &str,
        data: &Bound<'py, PyAny>,
        groups: Vec<String>,
        broadcast: bool,
        context: &Bound<'py, Context>,
        local: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        let node = self.shared.node()?;
        let codec = &self.shared.codec;
        let names: Vec<&str> = groups.iter().map(String::as_str).collect();
        let reached = if local {
            node.reached(event, &names, broadcast)
        } else {
            let mut raw = Vec::with_capacity(128);
            codec.encode(data, &mut raw, "data")?;
            let meta = codec.encode_full(Some(super::context::meta_of(context)?.as_any()), "meta")?;
            let headers =
                codec.encode_full(Some(super::context::headers_of(context)?.as_any()), "headers")?;
            let mut own = context.borrow_mut();
            let id = own.id_of()?.to_owned();
            let first = own.first_id().map_or_else(|| id.clone(), str::to_owned);
            let caller = own.calling_service().map(str::to_owned);
            let parent_id = own.parent().map(str::to_owned);
            let (level, tracing) = (own.level, own.tracing);
            drop(own);
            let telling = OutgoingEvent {
                event,
                data: Some(&raw),
                groups: &names,
                broadcast,
                meta: meta.as_deref(),
                headers: headers.as_deref(),
                level,
                tracing,
                parent_id: parent_id.as_deref(),
                request_id: Some(&first),
                caller: caller.as_deref(),
                key: None,
            };
            let (reached, _, sent) = node.tell_event(&telling);
            self.shared.flush_soon(py, true)?;
            match sent {
                // Those who are here hear it all the same.
                Err(error) if error.code == Code::ServiceUnavailable => {}
                sent => sent.map_err(|error| raise(py, &error))?,
            }
            reached
        };
        let given = PyList::empty(py);
        for one in reached {
            let Some(listener) = one.listener() else { continue };
            let entry = self.shared.table.read().event(&one.service.full_name, &listener.pattern).cloned();
            let Some(entry) = entry else { continue };
            let own = super::context::for_handler(py, &self.shared, context, &entry, data)?;
            let argument = if entry.takes_context { own.into_any() } else { data.clone() };
            let place = format!("the handler of {} in {}", listener.pattern, one.service.full_name);
            given.append((place, &entry.function, argument, entry.is_coroutine))?;
        }
        Ok(given)
    }

    /// Asks a node, or all, whether they are there. Gives the ping's id.
    #[pyo3(signature = (node_id=None))]
    fn ping(&self, py: Python<'_>, node_id: Option<&str>) -> PyResult<String> {
        self.shared.node()?.ping(node_id).map_err(|error| raise(py, &error))
    }

    /// Asks a node, or all, who they are.
    #[pyo3(signature = (node_id=None))]
    fn discover(&self, py: Python<'_>, node_id: Option<&str>) -> PyResult<()> {
        self.shared.node()?.discover(node_id).map_err(|error| raise(py, &error))
    }

    /// Whether the connection stands now.
    #[getter]
    fn connected(&self) -> PyResult<bool> {
        Ok(self.shared.node()?.is_connected())
    }

    /// Where the transporter is.
    #[getter]
    fn place(&self) -> PyResult<String> {
        Ok(self.shared.node()?.config().transporter.place())
    }

    /// Another id each time.
    fn fresh_id(&self) -> PyResult<String> {
        Ok(self.shared.node()?.fresh_id())
    }

    /// An endpoint may be called, or not.
    fn set_usable(&self, action: &str, node_id: &str, usable: bool) -> PyResult<()> {
        self.shared.node()?.set_usable(action, node_id, usable);
        Ok(())
    }

    /// Where an action is served: `(node, whether it is this one, whether it may be called, schema)` each.
    fn endpoints(&self, action: &str) -> PyResult<Vec<(String, bool, bool, String)>> {
        Ok(self.shared.node()?.registry(|catalog| registry::endpoints(catalog, action)))
    }

    /// All nodes, as JSON.
    #[pyo3(signature = (with_services=true))]
    fn nodes(&self, py: Python<'_>, with_services: bool) -> PyResult<String> {
        let node = self.shared.node()?;
        Ok(py.detach(|| node.registry(|catalog| registry::nodes(catalog, with_services))))
    }

    /// All actions, as JSON.
    fn actions(&self) -> PyResult<String> {
        Ok(self.shared.node()?.registry(registry::actions))
    }

    /// All that is listened to, as JSON.
    fn events(&self) -> PyResult<String> {
        Ok(self.shared.node()?.registry(registry::events))
    }

    /// Whether a service of this full name is served anywhere.
    fn has_service(&self, full_name: &str) -> PyResult<bool> {
        Ok(self.shared.node()?.registry(|catalog| catalog.has_service(full_name)))
    }

    /// What the node has counted.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let node = self.shared.node()?;
        let counted = node.counts().now();
        let stats = PyDict::new(py);
        for (name, count) in [
            ("packets_sent", counted.sent),
            ("bytes_sent", counted.sent_bytes),
            ("packets_received", counted.received),
            ("bytes_received", counted.received_bytes),
            ("packets_unread", counted.unread),
            ("orphan_responses", counted.orphans),
            ("id_conflicts", counted.conflicts),
            ("connections", counted.connections),
            ("pending", node.pending() as u64),
        ] {
            stats.set_item(name, count)?;
        }
        Ok(stats)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.on_told)?;
        let Some(place) = self.shared.place.try_lock() else { return Ok(()) };
        visit.call(&place.broker)?;
        visit.call(&place.event_loop)?;
        visit.call(&place.context)
    }
}

impl MeshNode {
    fn check_process(&self, py: Python<'_>) -> PyResult<()> {
        if self.made_in == generation() {
            return Ok(());
        }
        let text = "this broker was made before the process was forked: make one in the child";
        Err(raise(py, &Error::new(Code::Configuration, text)))
    }

    fn tell(&self, py: Python<'_>, events: impl IntoIterator<Item = Event>) -> PyResult<()> {
        let mut raised = Ok(());
        for event in events {
            let told = match event {
                Event::Delivered(out) => self.deliver(py, out),
                Event::Started(future, Ok(())) => settle(py, &future, "set_result", py.None()),
                Event::Started(future, Err(error)) => {
                    settle(py, &future, "set_exception", raise(py, &error).into_value(py).into_any())
                }
                Event::Worked(future, Ok(value)) => settle(py, &future, "set_result", value),
                Event::Worked(future, Err(error)) => {
                    settle(py, &future, "set_exception", error.into_value(py).into_any())
                }
                Event::Failed(error, place) => {
                    self.on_told.call1(py, ("failed", error.into_value(py), place)).map(drop)
                }
            };
            if told.is_err() {
                raised = told;
            }
        }
        self.shared.node()?.flush();
        raised
    }

    fn deliver(&self, py: Python<'_>, out: Vec<Delivery<Waiter>>) -> PyResult<()> {
        let mut raised = Ok(());
        for delivery in out {
            let told = match delivery {
                Delivery::Request(incoming) => serving::request(py, &self.shared, *incoming),
                Delivery::Reply(waiter, outcome) => {
                    waiter.tell(py, &self.shared, outcome);
                    Ok(())
                }
                Delivery::Event(happened) => {
                    let told = self.tell_listeners(py, &happened);
                    told.and_then(|()| serving::event(py, &self.shared, *happened))
                }
                Delivery::Chunk(chunk) => streaming::chunk(py, &self.shared, &chunk),
                Delivery::Change(change) => self.tell_change(py, change),
                Delivery::Pong(echo) => self
                    .on_told
                    .call1(py, ("pong", &*echo.node, echo.id, echo.elapsed_ms, echo.difference_ms))
                    .map(drop),
                Delivery::State(state, why) => {
                    let name = match state {
                        State::Connected => "connected",
                        State::Lost => "lost",
                        State::Closed => "closed",
                    };
                    let why = why.map(|error| raise(py, &error).into_value(py));
                    self.on_told.call1(py, (name, why)).map(drop)
                }
                Delivery::Settled => self.on_told.call1(py, ("settled",)).map(drop),
                Delivery::Trouble(error) => {
                    self.on_told.call1(py, ("trouble", raise(py, &error).into_value(py))).map(drop)
                }
            };
            if told.is_err() {
                raised = told;
            }
        }
        raised
    }

    /// Names that begin with `$` are heard on the broker's own bus as well.
    fn tell_listeners(&self, py: Python<'_>, happened: &crate::mesh::node::Happened) -> PyResult<()> {
        if !happened.name().starts_with('$') {
            return Ok(());
        }
        let data = self.shared.codec.decode_or_none(py, happened.envelope.data())?;
        self.on_told.call1(py, ("event", happened.name(), data, happened.envelope.sender())).map(drop)
    }

    fn tell_change(&self, py: Python<'_>, change: Change) -> PyResult<()> {
        match change {
            Change::Connected { node, reconnected } => {
                self.on_told.call1(py, ("node_connected", &*node, reconnected)).map(drop)
            }
            Change::Updated { node } => self.on_told.call1(py, ("node_updated", &*node)).map(drop),
            Change::Disconnected { node, unexpected } => {
                self.on_told.call1(py, ("node_disconnected", &*node, unexpected)).map(drop)
            }
            Change::Removed { node } => self.on_told.call1(py, ("node_removed", &*node)).map(drop),
            Change::ServicesChanged { local } => {
                self.on_told.call1(py, ("services_changed", local)).map(drop)
            }
            Change::Unread { node, why } => self.on_told.call1(py, ("unread", &*node, why)).map(drop),
        }
    }
}

/// Ends a future, unless it was cancelled.
fn settle(py: Python<'_>, future: &Py<PyAny>, how: &str, value: Py<PyAny>) -> PyResult<()> {
    if future.call_method0(py, intern!(py, "done"))?.is_truthy(py)? {
        return Ok(());
    }
    future.call_method1(py, how, (value,)).map(drop)
}
