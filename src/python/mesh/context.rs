//! What a handler knows of its call or event, and calls others through. What came with it is read when it is asked
//! for.

use std::sync::Arc;
use std::time::Instant;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::calling::Plan;
use super::shared::Shared;
use super::table::Entry;
use crate::mesh::node::{Happened, Incoming};

/// Where it comes from.
pub(super) enum Origin {
    /// Made here.
    Here,
    /// A call of another node.
    Call(Arc<Incoming>),
    /// An event of another node.
    Event(Arc<Happened>),
}

/// One call or event.
#[pyclass(weakref, dict, name = "Context", module = "ironbridge.mesh")]
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    pub(super) origin: Origin,
    pub(super) own_params: Option<Py<PyAny>>,
    pub(super) own_meta: Option<Py<PyDict>>,
    own_headers: Option<Py<PyDict>>,
    own_locals: Option<Py<PyAny>>,
    own_options: Option<Py<PyDict>>,
    own_id: Option<String>,
    own_request_id: Option<String>,
    own_parent_id: Option<String>,
    own_caller: Option<String>,
    own_node: Option<String>,
    /// How many calls led to it, with itself.
    #[pyo3(get, set)]
    pub(super) level: u32,
    /// Whether it is traced; None: undecided.
    #[pyo3(get, set)]
    pub(super) tracing: Option<bool>,
    /// The service whose handler runs.
    #[pyo3(get, set)]
    service: Option<Py<PyAny>>,
    /// The action's schema.
    #[pyo3(get, set)]
    action: Option<Py<PyAny>>,
    /// The event's schema.
    #[pyo3(get, set)]
    event: Option<Py<PyAny>>,
    #[pyo3(get, set)]
    event_name: Option<String>,
    #[pyo3(get, set)]
    event_type: Option<String>,
    #[pyo3(get, set)]
    event_groups: Option<Vec<String>>,
    #[pyo3(get, set)]
    span: Option<Py<PyAny>>,
    #[pyo3(get, set)]
    cached_result: bool,
    /// The node that serves it.
    #[pyo3(get, set)]
    endpoint_node: Option<String>,
    /// How long its caller waits, in milliseconds; 0: for ever.
    #[pyo3(get, set)]
    pub(super) timeout: f64,
    pub(super) since: Instant,
}

impl Context {
    /// One that was made here.
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            origin: Origin::Here,
            own_params: None,
            own_meta: None,
            own_headers: None,
            own_locals: None,
            own_options: None,
            own_id: None,
            own_request_id: None,
            own_parent_id: None,
            own_caller: None,
            own_node: None,
            level: 1,
            tracing: None,
            service: None,
            action: None,
            event: None,
            event_name: None,
            event_type: None,
            event_groups: None,
            span: None,
            cached_result: false,
            endpoint_node: None,
            timeout: 0.0,
            since: Instant::now(),
        }
    }

    /// That of a call of another node.
    pub(super) fn of_call(
        py: Python<'_>,
        shared: &Arc<Shared>,
        incoming: &Arc<Incoming>,
        entry: &Entry,
    ) -> Self {
        Self {
            level: incoming.level,
            tracing: incoming.tracing,
            timeout: incoming.timeout_ms,
            since: incoming.arrived,
            origin: Origin::Call(Arc::clone(incoming)),
            service: Some(entry.service.clone_ref(py)),
            action: Some(entry.schema.clone_ref(py)),
            ..Self::new(shared)
        }
    }

    /// That of an event of another node.
    pub(super) fn of_event(
        py: Python<'_>,
        shared: &Arc<Shared>,
        event: &Arc<Happened>,
        entry: &Entry,
    ) -> Self {
        Self {
            level: event.level,
            tracing: event.tracing,
            service: Some(entry.service.clone_ref(py)),
            event: Some(entry.schema.clone_ref(py)),
            event_name: Some(event.name().to_owned()),
            event_type: Some(if event.broadcast { "broadcast" } else { "emit" }.to_owned()),
            event_groups: event.groups.clone(),
            origin: Origin::Event(Arc::clone(event)),
            ..Self::new(shared)
        }
    }

    /// For a handler of this node.
    pub(super) fn for_entry(&mut self, py: Python<'_>, entry: &Entry, is_event: bool) {
        self.service = Some(entry.service.clone_ref(py));
        let schema = Some(entry.schema.clone_ref(py));
        if is_event {
            self.event = schema;
        } else {
            self.action = schema;
        }
    }

    pub(super) fn set_ids(
        &mut self,
        request: Option<String>,
        parent: Option<String>,
        caller: Option<String>,
    ) {
        (self.own_request_id, self.own_parent_id, self.own_caller) = (request, parent, caller);
    }

    /// The same event, for another handler.
    pub(super) fn copy_event(&mut self, of: &Self, id: String) {
        self.own_id = Some(id);
        (self.event_name, self.event_type) = (of.event_name.clone(), of.event_type.clone());
        self.event_groups.clone_from(&of.event_groups);
    }

    pub(super) fn set_headers(&mut self, headers: Option<Py<PyDict>>) {
        self.own_headers = headers;
    }

    /// Its id, which is made when it is first asked for.
    pub(super) fn id_of(&mut self) -> PyResult<&str> {
        if self.own_id.is_none() {
            self.own_id = Some(match &self.origin {
                Origin::Call(incoming) => incoming.id().to_owned(),
                Origin::Event(event) => match event.id() {
                    Some(id) => id.to_owned(),
                    None => self.shared.node()?.fresh_id(),
                },
                Origin::Here => self.shared.node()?.fresh_id(),
            });
        }
        Ok(self.own_id.as_deref().unwrap_or_default())
    }

    pub(super) fn own_id(&self) -> Option<&str> {
        self.own_id.as_deref()
    }

    /// The first call's id, where it is known not to be this one.
    pub(super) fn first_id(&self) -> Option<&str> {
        self.own_request_id.as_deref().or(match &self.origin {
            Origin::Call(incoming) => incoming.request_id(),
            Origin::Event(event) => event.request_id(),
            Origin::Here => None,
        })
    }

    pub(super) fn parent(&self) -> Option<&str> {
        self.own_parent_id.as_deref().or(match &self.origin {
            Origin::Call(incoming) => incoming.parent_id(),
            Origin::Event(event) => event.parent_id(),
            Origin::Here => None,
        })
    }

    pub(super) fn calling_service(&self) -> Option<&str> {
        self.own_caller.as_deref().or(match &self.origin {
            Origin::Call(incoming) => incoming.caller(),
            Origin::Event(event) => event.caller(),
            Origin::Here => None,
        })
    }

    /// The name of its own service: the caller of what it calls.
    pub(super) fn service_name(&self, py: Python<'_>) -> Option<String> {
        self.service.as_ref()?.getattr(py, intern!(py, "full_name")).ok()?.extract(py).ok()
    }

    fn raw(&self) -> [Option<&[u8]>; 3] {
        match &self.origin {
            Origin::Call(incoming) => [incoming.params(), incoming.meta(), incoming.headers()],
            Origin::Event(event) => [event.data(), event.meta(), event.headers()],
            Origin::Here => [None; 3],
        }
    }

    /// What its caller still waits, in milliseconds; `None`: for ever.
    pub(super) fn remaining_ms(&self) -> Option<f64> {
        (self.timeout > 0.0).then(|| self.timeout - self.since.elapsed().as_secs_f64() * 1e3)
    }
}

/// The dict of its meta.
pub(super) fn meta_of<'py>(this: &Bound<'py, Context>) -> PyResult<Bound<'py, PyDict>> {
    let py = this.py();
    let read = {
        let context = this.borrow();
        if let Some(meta) = &context.own_meta {
            return Ok(meta.bind(py).clone());
        }
        context.shared.codec.decode_dict(py, context.raw()[1])?
    };
    this.borrow_mut().own_meta = Some(read.clone().unbind());
    Ok(read)
}

/// The dict of its headers.
pub(super) fn headers_of<'py>(this: &Bound<'py, Context>) -> PyResult<Bound<'py, PyDict>> {
    let py = this.py();
    let read = {
        let context = this.borrow();
        if let Some(headers) = &context.own_headers {
            return Ok(headers.bind(py).clone());
        }
        context.shared.codec.decode_dict(py, context.raw()[2])?
    };
    this.borrow_mut().own_headers = Some(read.clone().unbind());
    Ok(read)
}

/// Its parameters, or what happened.
pub(super) fn params_of<'py>(this: &Bound<'py, Context>) -> PyResult<Bound<'py, PyAny>> {
    let py = this.py();
    let read = {
        let context = this.borrow();
        if let Some(params) = &context.own_params {
            return Ok(params.bind(py).clone());
        }
        context.shared.codec.decode_or_none(py, context.raw()[0])?
    };
    this.borrow_mut().own_params = Some(read.clone().unbind());
    Ok(read)
}

#[pymethods]
impl Context {
    #[getter]
    fn broker(&self, py: Python<'_>) -> Py<PyAny> {
        self.shared.broker(py)
    }

    #[getter]
    fn params<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        params_of(this)
    }

    #[setter]
    fn set_params(&mut self, params: Py<PyAny>) {
        self.own_params = Some(params);
    }

    #[getter]
    fn meta<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        meta_of(this)
    }

    #[setter]
    fn set_meta(&mut self, meta: Py<PyDict>) {
        self.own_meta = Some(meta);
    }

    #[getter]
    fn headers<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        headers_of(this)
    }

    #[setter(headers)]
    fn put_headers(&mut self, headers: Py<PyDict>) {
        self.own_headers = Some(headers);
    }

    /// The handler's own, which does not travel.
    #[getter]
    fn locals<'py>(this: &Bound<'py, Self>) -> Bound<'py, PyAny> {
        let py = this.py();
        let mut context = this.borrow_mut();
        context.own_locals.get_or_insert_with(|| PyDict::new(py).into_any().unbind()).bind(py).clone()
    }

    #[setter]
    fn set_locals(&mut self, locals: Py<PyAny>) {
        self.own_locals = Some(locals);
    }

    /// The call's options.
    #[getter]
    fn options<'py>(this: &Bound<'py, Self>) -> Bound<'py, PyDict> {
        let py = this.py();
        let mut context = this.borrow_mut();
        context.own_options.get_or_insert_with(|| PyDict::new(py).unbind()).bind(py).clone()
    }

    #[setter]
    fn set_options(&mut self, options: Py<PyDict>) {
        self.own_options = Some(options);
    }

    #[getter]
    fn id(&mut self) -> PyResult<String> {
        self.id_of().map(str::to_owned)
    }

    #[setter]
    fn set_id(&mut self, id: String) {
        self.own_id = Some(id);
    }

    /// The id of the first call of all that led to it.
    #[getter]
    fn request_id(&mut self) -> PyResult<String> {
        match self.first_id() {
            Some(first) => Ok(first.to_owned()),
            None => self.id(),
        }
    }

    #[setter]
    fn set_request_id(&mut self, id: Option<String>) {
        self.own_request_id = id;
    }

    #[getter]
    fn parent_id(&self) -> Option<&str> {
        self.parent()
    }

    #[setter]
    fn set_parent_id(&mut self, id: Option<String>) {
        self.own_parent_id = id;
    }

    /// The full name of the service that calls.
    #[getter]
    fn caller(&self) -> Option<&str> {
        self.calling_service()
    }

    #[setter]
    fn set_caller(&mut self, caller: Option<String>) {
        self.own_caller = caller;
    }

    /// The node that calls, or tells.
    #[getter]
    fn node_id(&self) -> PyResult<String> {
        if let Some(node) = &self.own_node {
            return Ok(node.clone());
        }
        Ok(match &self.origin {
            Origin::Call(incoming) => incoming.sender().to_owned(),
            Origin::Event(event) => event.sender().to_owned(),
            Origin::Here => self.shared.node()?.config().node_id.clone(),
        })
    }

    #[setter]
    fn set_node_id(&mut self, node: Option<String>) {
        self.own_node = node;
    }

    /// What its caller still waits, in milliseconds; None: for ever.
    #[getter]
    fn remaining(&self) -> Option<f64> {
        self.remaining_ms()
    }

    /// Calls another action within this call.
    #[pyo3(signature = (action, params=None, meta=None, timeout=None, node_id=None, **more))]
    fn call<'py>(
        this: &Bound<'py, Self>,
        action: String,
        params: Option<Py<PyAny>>,
        meta: Option<Py<PyAny>>,
        timeout: Option<f64>,
        node_id: Option<String>,
        more: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = this.py();
        let shared = Arc::clone(&this.borrow().shared);
        let mut plan = Plan::new(shared, action, params, meta, timeout, node_id);
        plan.parent = Some(this.clone().unbind());
        plan.into_call(py, more)
    }

    /// Calls several actions within this call.
    #[pyo3(signature = (calls, **options))]
    fn mcall<'py>(
        this: &Bound<'py, Self>,
        calls: Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        within(this, "mcall", (calls,).into_pyobject(this.py())?, options)
    }

    /// Tells of an event within this call.
    #[pyo3(signature = (event, data=None, groups=None, **options))]
    fn emit<'py>(
        this: &Bound<'py, Self>,
        event: Bound<'py, PyAny>,
        data: Option<Bound<'py, PyAny>>,
        groups: Option<Bound<'py, PyAny>>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        within(this, "emit", (event, data, groups).into_pyobject(this.py())?, options)
    }

    /// Tells all of an event within this call.
    #[pyo3(signature = (event, data=None, groups=None, **options))]
    fn broadcast<'py>(
        this: &Bound<'py, Self>,
        event: Bound<'py, PyAny>,
        data: Option<Bound<'py, PyAny>>,
        groups: Option<Bound<'py, PyAny>>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        within(this, "broadcast", (event, data, groups).into_pyobject(this.py())?, options)
    }

    /// Begins a span of its own within the call's.
    #[pyo3(signature = (name, **options))]
    fn start_span<'py>(
        this: &Bound<'py, Self>,
        name: Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = this.py();
        let broker = this.borrow().broker(py).into_bound(py);
        broker.call_method(intern!(py, "start_span"), (this, name), options)
    }

    fn __repr__(&self) -> String {
        let of = self.event_name.as_deref().unwrap_or("a call");
        format!("<Context of {of}, level {}>", self.level)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.own_params)?;
        visit.call(&self.own_meta)?;
        visit.call(&self.own_headers)?;
        visit.call(&self.own_locals)?;
        visit.call(&self.own_options)?;
        visit.call(&self.service)?;
        visit.call(&self.span)
    }

    fn __clear__(&mut self) {
        (self.own_params, self.own_meta, self.own_headers) = (None, None, None);
        (self.own_locals, self.own_options, self.span) = (None, None, None);
    }
}

/// A method of the broker's with this context as the parent.
fn within<'py>(
    this: &Bound<'py, Context>,
    method: &str,
    arguments: Bound<'py, PyTuple>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = this.py();
    let options = match options {
        Some(options) => options.copy()?,
        None => PyDict::new(py),
    };
    options.set_item(intern!(py, "parent_ctx"), this)?;
    let broker = this.borrow().broker(py).into_bound(py);
    broker.call_method(method, arguments, Some(&options))
}
