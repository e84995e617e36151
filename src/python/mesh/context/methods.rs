//! What Python sees of it.

use std::sync::Arc;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::{Context, headers_of, meta_of, params_of};
use crate::python::mesh::calling::Plan;

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
        Ok(match self.origin.envelope() {
            Some(came) => came.sender().to_owned(),
            None => self.shared.node()?.config().node_id.clone(),
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
