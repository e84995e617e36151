//! A call that has not begun: what it is to be, and where it goes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use super::{Local, MeshCall, State, Stepped};
use crate::mesh::catalog::Action;
use crate::mesh::node::{Failure, Key, Route};
use crate::python::mesh::context::{self, Context};
use crate::python::mesh::host;
use crate::python::mesh::meta::merged;
use crate::python::mesh::shared::Shared;
use crate::python::mesh::waiting::failed;

/// A call that has not begun.
pub(in crate::python::mesh) struct Plan {
    pub(super) shared: Arc<Shared>,
    pub(super) action: String,
    pub(super) params: Option<Py<PyAny>>,
    pub(super) meta: Option<Py<PyAny>>,
    pub(super) timeout: Option<f64>,
    node: Option<String>,
    pub(super) headers: Option<Py<PyAny>>,
    /// The call within which it is made.
    pub(in crate::python::mesh) parent: Option<Py<Context>>,
    /// Its context, where it has one already.
    pub(in crate::python::mesh) context: Option<Py<Context>>,
    pub(super) request_id: Option<String>,
    pub(super) caller: Option<String>,
    pub(super) stream: Option<Py<PyAny>>,
}

impl Plan {
    pub(in crate::python::mesh) fn new(
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
    pub(in crate::python::mesh) fn into_call<'py>(
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
    pub(in crate::python::mesh) fn direct(
        mut self,
        py: Python<'_>,
        context: Option<Py<Context>>,
        stream: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'_, MeshCall>> {
        (self.context, self.stream) = (context, stream);
        Bound::new(py, MeshCall(Mutex::new(State::New(Box::new(self)))))
    }
}

impl Plan {
    pub(super) fn begin(self, py: Python<'_>) -> PyResult<Stepped<'_>> {
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
    pub(super) fn whole_meta<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let parent = self.parent.as_ref().map(|parent| context::meta_of(parent.bind(py))).transpose()?;
        merged(py, parent.as_ref(), self.meta.as_ref().map(|meta| meta.bind(py)))
    }
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
pub(in crate::python::mesh) fn choose(
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
