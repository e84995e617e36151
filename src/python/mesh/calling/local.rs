//! A call of a handler of this node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use super::{Plan, State, Stepped};
use crate::core::deadline::Deadline;
use crate::mesh::catalog::Endpoint;
use crate::mesh::node::{Failure, FailureKind};
use crate::python::mesh::context::{self, Context};
use crate::python::mesh::host::{self, Step};
use crate::python::mesh::meta::merged;
use crate::python::mesh::shared::{Event, Shared};
use crate::python::mesh::table::Entry;
use crate::python::mesh::waiting::failed;
use crate::python::{coroutine, workers};

/// A handler of this node that had to wait.
pub(super) struct Local {
    pub(super) shared: Arc<Shared>,
    pub(super) coroutine: Py<PyAny>,
    pub(super) context: Option<Py<Context>>,
    pub(super) parent: Option<Py<Context>>,
    pub(super) late: Option<Late>,
    pub(super) action: Arc<str>,
}

/// Its deadline, and whether that has come.
pub(super) struct Late {
    timer: Py<PyAny>,
    task: Py<PyAny>,
    came: Arc<AtomicBool>,
}

impl Plan {
    /// Calls a handler of this node.
    pub(super) fn run_here<'py>(
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

    pub(super) fn went<'py>(
        mut self: Box<Self>,
        py: Python<'py>,
        taken: Step<'py>,
    ) -> PyResult<Stepped<'py>> {
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
pub(in crate::python::mesh) fn is_cancelled(py: Python<'_>, error: &PyErr) -> bool {
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
