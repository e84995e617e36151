//! What a handler knows of its call or event, and calls others through. What came with it is read when it is asked
//! for.

mod methods;

use std::sync::Arc;
use std::time::Instant;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::shared::Shared;
use super::table::Entry;
use crate::mesh::node::{Envelope, Happened, Incoming};

/// Where it comes from.
pub(super) enum Origin {
    /// Made here.
    Here,
    /// A call of another node.
    Call(Arc<Incoming>),
    /// An event of another node.
    Event(Arc<Happened>),
}

impl Origin {
    /// What came with it from another node.
    pub(super) fn envelope(&self) -> Option<&Envelope> {
        match self {
            Self::Here => None,
            Self::Call(incoming) => Some(&incoming.envelope),
            Self::Event(event) => Some(&event.envelope),
        }
    }
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
            level: incoming.envelope.level,
            tracing: incoming.envelope.tracing,
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
            level: event.envelope.level,
            tracing: event.envelope.tracing,
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
            self.own_id = Some(match self.origin.envelope().and_then(Envelope::id) {
                Some(id) => id.to_owned(),
                None => self.shared.node()?.fresh_id(),
            });
        }
        Ok(self.own_id.as_deref().unwrap_or_default())
    }

    pub(super) fn own_id(&self) -> Option<&str> {
        self.own_id.as_deref()
    }

    /// The first call's id, where it is known not to be this one.
    pub(super) fn first_id(&self) -> Option<&str> {
        self.own_request_id.as_deref().or(self.origin.envelope().and_then(Envelope::request_id))
    }

    pub(super) fn parent(&self) -> Option<&str> {
        self.own_parent_id.as_deref().or(self.origin.envelope().and_then(Envelope::parent_id))
    }

    pub(super) fn calling_service(&self) -> Option<&str> {
        self.own_caller.as_deref().or(self.origin.envelope().and_then(Envelope::caller))
    }

    /// The name of its own service: the caller of what it calls.
    pub(super) fn service_name(&self, py: Python<'_>) -> Option<String> {
        self.service.as_ref()?.getattr(py, intern!(py, "full_name")).ok()?.extract(py).ok()
    }

    fn raw(&self) -> [Option<&[u8]>; 3] {
        self.origin.envelope().map_or([None; 3], |came| [came.data(), came.meta(), came.headers()])
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

/// The context of one handler of an event that happened here, made after that of the event.
pub(super) fn for_handler<'py>(
    py: Python<'py>,
    shared: &Arc<Shared>,
    of: &Bound<'py, Context>,
    entry: &Entry,
    data: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, Context>> {
    let meta = meta_of(of)?.copy()?;
    let headers = headers_of(of)?.copy()?;
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
