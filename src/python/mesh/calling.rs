//! A call, as what Python awaits: a coroutine without a frame. It begins when it is first awaited.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use super::context::{self, Context};
use super::host::{self, Step};
use super::meta::merged;
use super::shared::{Event, Shared};
use super::streaming;
use super::table::Entry;
use super::waiting::{Slot, Waiter, failed, refused};
use crate::core::deadline::Deadline;
use crate::mesh::catalog::{Action, Endpoint};
use crate::mesh::node::{Failure, FailureKind, Key, Outgoing, Route, Unsent};
use crate::mesh::packet::Version;
use crate::python::{coroutine, workers};

/// A call that has not begun.
pub(super) struct Plan {
    shared: Arc<Shared>,
    action: String,
    params: Option<Py<PyAny>>,
    meta: Option<Py<PyAny>>,
    timeout: Option<f64>,
    node: Option<String>,
    headers: Option<Py<PyAny>>,
    /// The call within which it is made.
    pub(super) parent: Option<Py<Context>>,
    /// Its context, where it has one already.
    pub(super) context: Option<Py<Context>>,
    request_id: Option<String>,
    caller: Option<String>,
    stream: Option<Py<PyAny>>,
}

impl Plan {
    pub(super) fn new(
        shared: Arc<Shared>,
        action: String,
        params: Option<Py<PyAny>>,
        meta: Option<Py<PyAny>>,
        timeout: Option<f64>,
        node: Option<String>,
    ) -> Self {
        Self {
            shared,
            action,
            params,
            meta,
            timeout,
            node,
            headers: None,
            parent: None,
            context: None,
            request_id: None,
            caller: None,
            stream: None,
        }
    }

    /// What Python awaits. With options that only Python knows, or where middlewares are, it is the broker's own.
    pub(super) fn into_call<'py>(
        mut self,
        py: Python<'py>,
        more: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let more = more.filter(|more| !more.is_empty());
        if more.is_none() && !self.shared.through_python.load(Ordering::Relaxed) {
            return Ok(Bound::new(py, MeshCall(Mutex::new(State::New(Box::new(self)))))?.into_any());
        }
        let options = match more {
            Some(more) => more.copy()?,
            None => PyDict::new(py),
        };
        self.through_python(py, &options)
    }

    /// The broker's own call, with all middlewares.
    fn through_python<'py>(
        &mut self,
        py: Python<'py>,
        options: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        for (name, value) in [("meta", self.meta.take()), ("params", self.params.take())] {
            if let Some(value) = value {
                options.set_item(name, value)?;
            }
        }
        if let Some(timeout) = self.timeout {
            options.set_item(intern!(py, "timeout"), timeout)?;
        }
        if let Some(node) = &self.node {
            options.set_item(intern!(py, "node_id"), node)?;
        }
        if let Some(parent) = &self.parent {
            options.set_item(intern!(py, "parent_ctx"), parent)?;
        }
        let broker = self.shared.broker(py).into_bound(py);
        broker.call_method(intern!(py, "_call"), (&self.action,), Some(options))
    }

    /// What Python awaits, past all middlewares.
    pub(super) fn direct(
        mut self,
        py: Python<'_>,
        context: Option<Py<Context>>,
        stream: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'_, MeshCall>> {
        (self.context, self.stream) = (context, stream);
        Bound::new(py, MeshCall(Mutex::new(State::New(Box::new(self)))))
    }
}

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

/// A handler of this node that had to wait.
struct Local {
    shared: Arc<Shared>,
    coroutine: Py<PyAny>,
    context: Option<Py<Context>>,
    parent: Option<Py<Context>>,
    late: Option<Late>,
    action: Arc<str>,
}

/// Its deadline, and whether that has come.
struct Late {
    timer: Py<PyAny>,
    task: Py<PyAny>,
    came: Arc<AtomicBool>,
}

/// A call on its way.
struct Remote {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    number: u64,
    context: Option<Py<Context>>,
    parent: Option<Py<Context>>,
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
                if let Ok(node) = remote.shared.node() {
                    drop(node.cancel(remote.number));
                }
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
                if let Ok(node) = remote.shared.node() {
                    drop(node.cancel(remote.number));
                }
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

impl Plan {
    fn begin(self, py: Python<'_>) -> PyResult<Stepped<'_>> {
        let shared = Arc::clone(&self.shared);
        let node = shared.node()?;
        let level = match (&self.context, &self.parent) {
            (Some(context), _) => context.borrow(py).level,
            (None, Some(parent)) => parent.borrow(py).level + 1,
            _ => 1,
        };
        if shared.max_level > 0 && level > shared.max_level {
            return Ok(Stepped::Ended(Err(too_deep(py, &node.config().node_id, level)?)));
        }
        let mut route = match node.route(&self.action, self.node.as_deref(), Key::Unknown) {
            Ok(route) => route,
            Err(failure) => return Ok(Stepped::Ended(Err(failed(py, &failure)?))),
        };
        if let Route::ByKey(name) = &route {
            let key = self.key(py, name)?;
            route = match node.route(&self.action, None, Key::Known(key.as_deref())) {
                Ok(route) => route,
                Err(failure) => return Ok(Stepped::Ended(Err(failed(py, &failure)?))),
            };
        }
        let mut timeout = node.timeout_ms(&route, self.timeout);
        if let Some(remaining) = self.parent.as_ref().and_then(|parent| parent.borrow(py).remaining_ms()) {
            if remaining <= 0.0 {
                return Ok(Stepped::Ended(Err(skipped(py, &self.action, &node.config().node_id)?)));
            }
            if timeout <= 0.0 || remaining < timeout {
                timeout = remaining;
            }
        }
        match route {
            Route::To(endpoint) if endpoint.local => self.run_here(py, &endpoint, level, timeout),
            // Its node says how its callers are to bear with it.
            Route::To(endpoint)
                if self.context.is_none() && endpoint.action().is_some_and(Action::has_policies) =>
            {
                self.run_through_python(py)
            }
            route => self.send(py, &route, level, timeout),
        }
    }

    fn run_through_python(mut self, py: Python<'_>) -> PyResult<Stepped<'_>> {
        let coroutine = self.through_python(py, &PyDict::new(py))?.unbind();
        let shared = Arc::clone(&self.shared);
        let action = self.action.as_str().into();
        let local = Box::new(Local { shared, context: None, parent: None, late: None, action, coroutine });
        let taken = host::step(local.coroutine.bind(py));
        local.went(py, taken)
    }

    /// What the call is sharded by.
    fn key(&self, py: Python<'_>, name: &str) -> PyResult<Option<String>> {
        static KEY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let key = KEY.import(py, "ironbridge._mesh.payloads", "shard_key")?;
        let (params, meta) = match &self.context {
            Some(context) => {
                let context = context.bind(py);
                (context::params_of(context)?.unbind(), Some(context::meta_of(context)?.into_any().unbind()))
            }
            None => (
                self.params.as_ref().map_or_else(|| py.None(), |params| params.clone_ref(py)),
                self.whole_meta(py)?.map(|meta| meta.into_any().unbind()),
            ),
        };
        key.call1((name, params, meta))?.extract()
    }

    /// Its parent's meta and its own.
    fn whole_meta<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let parent = self.parent.as_ref().map(|parent| context::meta_of(parent.bind(py))).transpose()?;
        merged(py, parent.as_ref(), self.meta.as_ref().map(|meta| meta.bind(py)))
    }

    /// Calls a handler of this node.
    fn run_here<'py>(
        mut self,
        py: Python<'py>,
        endpoint: &Endpoint,
        level: u32,
        timeout: f64,
    ) -> PyResult<Stepped<'py>> {
        let shared = Arc::clone(&self.shared);
        let name =
            endpoint.action().map_or_else(|| self.action.as_str().into(), |action| Arc::clone(&action.name));
        let Some(entry) = shared.action(&name) else {
            let failure = Failure { kind: FailureKind::NotFound, action: name, node: None };
            return Ok(Stepped::Ended(Err(failed(py, &failure)?)));
        };
        let deadline = (timeout > 0.0)
            .then(|| Deadline::after(std::time::Duration::from_secs_f64((timeout / 1e3).min(1e9))));
        let context =
            if entry.takes_context { Some(self.context_for(py, &entry, level, timeout)?) } else { None };
        let params = match &context {
            Some(context) => context.clone_ref(py).into_any(),
            None => self.params.take().unwrap_or_else(|| PyDict::new(py).into_any().unbind()),
        };
        if !entry.is_coroutine {
            return work(py, &shared, &entry, params);
        }
        let value = entry.function.bind(py).call1((params,))?;
        if !coroutine::is_one(&value)? {
            return Ok(Stepped::Ended(Ok(value)));
        }
        let local = Box::new(Local {
            shared,
            context,
            parent: self.parent.take(),
            late: None,
            action: name,
            coroutine: value.unbind(),
        });
        let taken = host::step(local.coroutine.bind(py));
        local.first(py, taken, deadline)
    }

    fn context_for(
        &mut self,
        py: Python<'_>,
        entry: &Entry,
        level: u32,
        timeout: f64,
    ) -> PyResult<Py<Context>> {
        if let Some(context) = self.context.take() {
            let mut made = context.borrow_mut(py);
            made.for_entry(py, entry, false);
            made.timeout = timeout;
            drop(made);
            return Ok(context);
        }
        let mut made = Context::new(&self.shared);
        made.level = level;
        made.timeout = timeout;
        made.own_params = Some(self.params.take().unwrap_or_else(|| PyDict::new(py).into_any().unbind()));
        made.own_meta = self.whole_meta(py)?.map(Bound::unbind);
        let headers = merged(py, None, self.headers.as_ref().map(|headers| headers.bind(py)))?;
        made.set_headers(headers.map(Bound::unbind));
        if let Some(parent) = &self.parent {
            let mut parent = parent.borrow_mut(py);
            let id = parent.id_of()?.to_owned();
            let first = parent.first_id().map_or_else(|| id.clone(), str::to_owned);
            made.tracing = parent.tracing;
            made.set_ids(Some(first), Some(id), parent.service_name(py));
        } else {
            made.set_ids(self.request_id.take(), None, self.caller.take());
        }
        made.for_entry(py, entry, false);
        Py::new(py, made)
    }

    /// Sends it to another node.
    fn send<'py>(
        mut self,
        py: Python<'py>,
        route: &Route,
        level: u32,
        timeout: f64,
    ) -> PyResult<Stepped<'py>> {
        let shared = Arc::clone(&self.shared);
        let node = shared.node()?;
        let codec = &shared.codec;
        let is_v5 = node.config().version == Version::V5;
        let (params, meta, headers, ids, tracing) = match &self.context {
            Some(context) => {
                let context = context.bind(py);
                let params = context::params_of(context)?;
                let meta = codec.encode_full(Some(context::meta_of(context)?.as_any()), "meta")?;
                let headers = match is_v5 {
                    true => codec.encode_full(Some(context::headers_of(context)?.as_any()), "headers")?,
                    false => None,
                };
                let context = context.borrow();
                let text = |text: Option<&str>| text.map(str::to_owned);
                let ids = (
                    text(context.own_id()),
                    text(context.parent()),
                    text(context.first_id()),
                    text(context.calling_service()),
                );
                (Some(params), meta, headers, ids, context.tracing)
            }
            None => {
                let whole = self.whole_meta(py)?;
                let meta = codec.encode_full(whole.as_ref().map(|meta| meta.as_any()), "meta")?;
                let headers = self.headers.as_ref().map(|headers| headers.bind(py));
                let headers = codec.encode_full(headers.filter(|_| is_v5), "headers")?;
                let (ids, tracing) = match &self.parent {
                    Some(parent) => {
                        let mut parent = parent.borrow_mut(py);
                        let id = parent.id_of()?.to_owned();
                        let first = parent.first_id().map_or_else(|| id.clone(), str::to_owned);
                        let caller = self.caller.take().or_else(|| parent.service_name(py));
                        ((None, Some(id), Some(first), caller), parent.tracing)
                    }
                    None => ((None, None, self.request_id.take(), self.caller.take()), None),
                };
                (self.params.take().map(|params| params.into_bound(py)), meta, headers, ids, tracing)
            }
        };
        let (id, parent_id, request_id, caller) = ids;
        let call = Outgoing {
            id: id.as_deref(),
            meta: meta.as_deref(),
            headers: headers.as_deref(),
            timeout_ms: Some(timeout),
            level,
            tracing,
            parent_id: parent_id.as_deref(),
            request_id: request_id.as_deref(),
            caller: caller.as_deref(),
            stream: self.stream.is_some(),
        };
        let event_loop = shared.event_loop(py)?;
        let future = event_loop.call_method0(intern!(py, "create_future"))?;
        let (waiter, slot) = Waiter::new(future.clone().unbind());
        let alone = node.pending() == 0;
        let sent = node.call(
            route,
            &self.action,
            &call,
            |out| match &params {
                // In protocol 4, a stream has no parameters beside it.
                Some(params) if is_v5 || self.stream.is_none() => codec.encode(params, out, "params"),
                None if self.stream.is_none() => {
                    let empty: &[u8] = if codec.serializer == crate::mesh::packet::Serializer::Json {
                        b"{}"
                    } else {
                        &[0x80]
                    };
                    out.extend_from_slice(empty);
                    Ok(())
                }
                _ => codec.encode(&py.None().into_bound(py), out, "params"),
            },
            waiter,
        );
        let number = match sent {
            Ok(number) => number,
            Err(Unsent::Params(error)) => return Ok(Stepped::Ended(Err(error))),
            Err(Unsent::Failed(failure)) => return Ok(Stepped::Ended(Err(failed(py, &failure)?))),
            Err(Unsent::Refused(error)) => return Ok(Stepped::Ended(Err(refused(py, &error)))),
        };
        shared.flush_soon(py, alone)?;
        if let (Some(stream), Route::To(endpoint)) = (self.stream.take(), route) {
            let id = id.unwrap_or_else(|| node.id_of(number));
            streaming::send_params(py, &shared, stream, &endpoint.node, &id, &self.action)?;
        }
        future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
        let remote =
            Remote { shared, slot, number, context: self.context.take(), parent: self.parent.take() };
        Ok(Stepped::Waits(future, State::Remote(Box::new(remote))))
    }
}

impl Remote {
    /// The answer is here.
    fn came(self, py: Python<'_>) -> Stepped<'_> {
        match self.slot.value(py, &self.shared) {
            Err(error) => Stepped::Ended(Err(error)),
            Ok((outcome, meta)) => {
                let told = meta.map_or(Ok(()), |meta| {
                    for context in [&self.context, &self.parent].into_iter().flatten() {
                        context::meta_of(context.bind(py))?.update(meta.as_mapping())?;
                    }
                    Ok(())
                });
                Stepped::Ended(told.and(outcome))
            }
        }
    }
}

impl Local {
    /// Its first step has been taken.
    #[inline]
    fn first<'py>(
        mut self: Box<Self>,
        py: Python<'py>,
        taken: Step<'py>,
        deadline: Option<Deadline>,
    ) -> PyResult<Stepped<'py>> {
        if let (Step::Waits(_), Some(deadline)) = (&taken, deadline) {
            self.late = self.timer(py, deadline)?;
        }
        self.went(py, taken)
    }

    /// Ends it when its time is over, as a task that is cancelled ends.
    fn timer(&self, py: Python<'_>, deadline: Deadline) -> PyResult<Option<Late>> {
        static CURRENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let task = CURRENT.import(py, "asyncio", "current_task")?.call0()?;
        if task.is_none() {
            return Ok(None);
        }
        let came = Arc::new(AtomicBool::new(false));
        let end = Bound::new(py, End { task: task.clone().unbind(), came: Arc::clone(&came) })?;
        let event_loop = task.call_method0(intern!(py, "get_loop"))?;
        let later = (deadline.remaining().as_secs_f64(), end);
        let timer = event_loop.call_method1(intern!(py, "call_later"), later)?.unbind();
        Ok(Some(Late { timer, task: task.unbind(), came }))
    }

    fn went<'py>(mut self: Box<Self>, py: Python<'py>, taken: Step<'py>) -> PyResult<Stepped<'py>> {
        let outcome = match taken {
            Step::Waits(awaited) => return Ok(Stepped::Waits(awaited, State::Local(self))),
            Step::Ended(outcome) => outcome,
        };
        if let (Some(parent), Some(context)) = (&self.parent, &self.context) {
            let meta = context.borrow(py).own_meta.as_ref().map(|meta| meta.clone_ref(py));
            if let Some(meta) = meta {
                context::meta_of(parent.bind(py))?.update(meta.bind(py).as_mapping())?;
            }
        }
        let Some(late) = self.late.take() else { return Ok(Stepped::Ended(outcome)) };
        late.timer.call_method0(py, intern!(py, "cancel"))?;
        if late.came.load(Ordering::Relaxed) {
            let left: i64 = late.task.call_method0(py, intern!(py, "uncancel"))?.extract(py)?;
            if left == 0 && outcome.as_ref().is_err_and(|error| is_cancelled(py, error)) {
                let node = self.shared.node()?.config().node_id.as_str().into();
                let failure = Failure { kind: FailureKind::TimedOut, action: self.action, node: Some(node) };
                return Ok(Stepped::Ended(Err(failed(py, &failure)?)));
            }
        }
        Ok(Stepped::Ended(outcome))
    }
}

/// A call's time is over.
#[pyclass(frozen)]
struct End {
    task: Py<PyAny>,
    came: Arc<AtomicBool>,
}

#[pymethods]
impl End {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        self.came.store(true, Ordering::Relaxed);
        self.task.call_method0(py, intern!(py, "cancel")).map(drop)
    }
}

/// Whether it was cancelled.
pub(super) fn is_cancelled(py: Python<'_>, error: &PyErr) -> bool {
    static CANCELLED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CANCELLED
        .import(py, "asyncio", "CancelledError")
        .is_ok_and(|kind: &Bound<'_, PyAny>| error.is_instance(py, kind))
}

/// Runs a plain handler on a thread; the loop goes on meanwhile.
fn work<'py>(
    py: Python<'py>,
    shared: &Arc<Shared>,
    entry: &Arc<Entry>,
    params: Py<PyAny>,
) -> PyResult<Stepped<'py>> {
    let future = shared.event_loop(py)?.call_method0(intern!(py, "create_future"))?;
    let (kept, teller, entry) = (future.clone().unbind(), Arc::clone(shared), Arc::clone(entry));
    shared.workers.submit(Box::new(move |py| {
        let outcome = (params,)
            .into_pyobject(py)
            .and_then(|arguments| workers::call(entry.function.bind(py), &arguments, None));
        drop(teller.mailbox.push(Event::Worked(kept, outcome.map(Bound::unbind))));
    }));
    future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
    let state = State::Works(future.clone().unbind());
    Ok(Stepped::Waits(future, state))
}

#[cold]
fn too_deep(py: Python<'_>, node: &str, level: u32) -> PyResult<PyErr> {
    let data = PyDict::new(py);
    data.set_item("level", level)?;
    of_engine(py, "MaxCallLevelError", "", node, Some(&data))
}

#[cold]
fn skipped(py: Python<'_>, action: &str, node: &str) -> PyResult<PyErr> {
    of_engine(py, "RequestSkippedError", action, node, None)
}

fn of_engine(
    py: Python<'_>,
    name: &str,
    action: &str,
    node: &str,
    data: Option<&Bound<'_, PyDict>>,
) -> PyResult<PyErr> {
    let make = py.import("ironbridge._mesh.errors")?.getattr("of_engine")?;
    Ok(PyErr::from_value(make.call1((name, action, node, data))?))
}

/// The endpoint that a call goes to: `(node, whether it is this one, schema)`; `None` where the transporter chooses.
pub(super) fn choose(
    py: Python<'_>,
    shared: &Arc<Shared>,
    action: &str,
    node_id: Option<&str>,
    params: Option<Py<PyAny>>,
    meta: Option<Py<PyAny>>,
) -> PyResult<Option<(String, bool, String)>> {
    let node = shared.node()?;
    let told = |failure: Failure| failed(py, &failure).unwrap_or_else(|error| error);
    let mut route = node.route(action, node_id, Key::Unknown).map_err(told)?;
    if let Route::ByKey(name) = &route {
        let plan = Plan::new(Arc::clone(shared), action.to_owned(), params, meta, None, None);
        let key = plan.key(py, name)?;
        route = node.route(action, None, Key::Known(key.as_deref())).map_err(told)?;
    }
    let Route::To(endpoint) = route else { return Ok(None) };
    let schema = endpoint.action().map(|action| endpoint.service.schema(action).to_vec());
    let schema = String::from_utf8(schema.unwrap_or_default()).unwrap_or_default();
    Ok(Some((endpoint.node.to_string(), endpoint.local, schema)))
}

/// The context of one handler of an event that happened here, made after that of the event.
pub(super) fn event_context<'py>(
    py: Python<'py>,
    shared: &Arc<Shared>,
    of: &Bound<'py, Context>,
    entry: &Entry,
    data: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, Context>> {
    let meta = context::meta_of(of)?.copy()?;
    let headers = context::headers_of(of)?.copy()?;
    let mut made = Context::new(shared);
    {
        let mut of = of.borrow_mut();
        let id = of.id_of()?.to_owned();
        let first = of.first_id().map_or_else(|| id.clone(), str::to_owned);
        (made.level, made.tracing) = (of.level, of.tracing);
        made.set_ids(Some(first), of.parent().map(str::to_owned), of.calling_service().map(str::to_owned));
        made.copy_event(&of, id);
    }
    made.own_params = Some(data.clone().unbind());
    made.own_meta = Some(meta.unbind());
    made.set_headers(Some(headers.unbind()));
    made.for_entry(py, entry, true);
    Bound::new(py, made)
}
