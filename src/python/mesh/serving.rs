//! Calls and events of other nodes, given to this node's handlers.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::calling::is_cancelled;
use super::context::{self, Context};
use super::host;
use super::shared::Shared;
use super::streaming;
use super::table::Entry;
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error};
use crate::mesh::node::{Happened, Incoming, Reply, Unsent};
use crate::mesh::packet::Version;
use crate::python::{coroutine, workers};

/// A call that runs, and how it is answered.
struct Serving {
    shared: Arc<Shared>,
    incoming: Arc<Incoming>,
    context: Option<Py<Context>>,
    /// It was answered already: its time was over.
    late: Arc<std::sync::atomic::AtomicBool>,
}

/// Runs a call on the loop's thread, or leaves it to another.
pub(super) fn request(py: Python<'_>, shared: &Arc<Shared>, incoming: Incoming) -> PyResult<()> {
    let incoming = Arc::new(incoming);
    let name = incoming.endpoint.action().map(|action| Arc::clone(&action.name)).unwrap_or_default();
    let serving = |context| Serving {
        shared: Arc::clone(shared),
        incoming: Arc::clone(&incoming),
        context,
        late: Arc::default(),
    };
    let deadline = incoming.deadline();
    if deadline.is_some_and(Deadline::passed) {
        serving(None).expire(py);
        return Ok(());
    }
    let Some(entry) = shared.action(&name) else {
        let error = error_named(py, "ServiceNotFoundError", &name, &node_id(shared)?)?;
        serving(None).answer(py, Err(error));
        return Ok(());
    };
    let (serving, params) = match prepared(py, shared, &incoming, &entry) {
        Ok((context, params)) => (serving(context), params),
        Err(error) => {
            serving(None).answer(py, Err(error));
            return Ok(());
        }
    };
    if !entry.is_coroutine {
        shared.workers.submit(Box::new(move |py| {
            if serving.incoming.deadline().is_some_and(Deadline::passed) {
                serving.expire(py);
            } else {
                let outcome = (params,)
                    .into_pyobject(py)
                    .and_then(|arguments| workers::call(entry.function.bind(py), &arguments, None));
                serving.answer(py, outcome);
            }
            if let Ok(node) = serving.shared.node() {
                node.flush();
            }
        }));
        return Ok(());
    }
    let value = match entry.function.bind(py).call1((params,)) {
        Ok(value) => value,
        Err(error) => {
            serving.answer(py, Err(error));
            return Ok(());
        }
    };
    if !coroutine::is_one(&value)? {
        serving.answer(py, Ok(value));
        return Ok(());
    }
    let expiring = deadline.map(|deadline| {
        let serving = serving.clone_ref(py);
        let expired: host::After = Box::new(move |py, _| {
            serving.expire(py);
            if let Ok(node) = serving.shared.node() {
                node.flush();
            }
        });
        (deadline, expired)
    });
    host::run(py, shared, &value, expiring, Box::new(move |py, outcome| serving.answer(py, outcome)))
}

/// What a handler is called with.
fn prepared(
    py: Python<'_>,
    shared: &Arc<Shared>,
    incoming: &Arc<Incoming>,
    entry: &Entry,
) -> PyResult<(Option<Py<Context>>, Py<PyAny>)> {
    let stream = incoming.stream.map(|number| streaming::incoming(py, shared, number)).transpose()?;
    if !entry.takes_context {
        let params = match stream {
            Some(stream) => stream.into_bound(py),
            None => shared.codec.decode_or_none(py, incoming.envelope.data())?,
        };
        return Ok((None, params.unbind()));
    }
    let context = Bound::new(py, Context::of_call(py, shared, incoming, entry))?;
    if let Some(stream) = stream {
        // In protocol 4, a stream has no parameters beside it.
        if shared.node()?.config().version == Version::V4 {
            context.setattr(intern!(py, "params"), &stream)?;
        }
        context.setattr(intern!(py, "stream"), stream)?;
    }
    Ok((Some(context.clone().unbind()), context.into_any().unbind()))
}

impl Serving {
    fn clone_ref(&self, py: Python<'_>) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            incoming: Arc::clone(&self.incoming),
            context: self.context.as_ref().map(|context| context.clone_ref(py)),
            late: Arc::clone(&self.late),
        }
    }

    /// Its caller waits no longer.
    fn expire(&self, py: Python<'_>) {
        let name = self.incoming.endpoint.action().map(|action| Arc::clone(&action.name)).unwrap_or_default();
        // As Moleculer's nodes say it: the node is that of the caller.
        if let Ok(error) = error_named(py, "RequestTimeoutError", &name, self.incoming.envelope.sender()) {
            self.answer(py, Err(error));
        }
        self.late.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// What a handler returned, or raised, as the answer.
    fn answer(&self, py: Python<'_>, outcome: PyResult<Bound<'_, PyAny>>) {
        if self.late.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        let told = outcome.and_then(|value| self.send_result(py, &value));
        if let Err(error) = told
            && let Err(error) = self.send_error(py, &error)
        {
            self.shared.failed(py, &error, "answering a call");
        }
    }

    /// The call's meta as its handler leaves it.
    fn meta(&self, py: Python<'_>) -> PyResult<Option<Vec<u8>>> {
        let Some(context) = &self.context else { return Ok(None) };
        let meta = context.borrow(py).own_meta.as_ref().map(|meta| meta.clone_ref(py));
        match meta {
            Some(meta) => self.shared.codec.encode_full(Some(meta.bind(py).as_any()), "meta"),
            None => Ok(self.incoming.envelope.meta().map(<[u8]>::to_vec)),
        }
    }

    fn send_result(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let incoming = &self.incoming;
        let node = self.shared.node()?;
        if streaming::is_stream(value)? {
            let meta = self.context.as_ref().map(|context| context::meta_of(context.bind(py))).transpose()?;
            return streaming::send_result(
                py,
                &self.shared,
                value,
                incoming.envelope.sender(),
                incoming.id(),
                meta,
            );
        }
        let own = self.meta(py)?;
        let meta = if self.context.is_some() { own.as_deref() } else { incoming.envelope.meta() };
        let reply = Reply { meta, ..Reply::default() };
        let data = |out: &mut Vec<u8>| self.shared.codec.encode(value, out, "result");
        node.reply(incoming.envelope.sender(), incoming.id(), &reply, Some(data))
            .map_err(|unsent| raised(py, unsent))
    }

    fn send_error(&self, py: Python<'_>, error: &PyErr) -> PyResult<()> {
        static TO_WIRE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let incoming = &self.incoming;
        let node = self.shared.node()?;
        let codec = &self.shared.codec;
        let error = match is_cancelled(py, error) {
            // The broker stops, or the handler gave up: another node may do it.
            true => &error_named(py, "RequestRejectedError", "", &node_id(&self.shared)?)?,
            false => error,
        };
        let to_wire = TO_WIRE.import(py, "ironbridge._mesh.errors", "to_wire")?;
        let told = to_wire.call1((error.clone_ref(py).into_value(py), &node.config().node_id))?;
        let mut raw = Vec::with_capacity(512);
        if codec.encode(&told, &mut raw, "error").is_err() {
            raw.clear();
            // Its data cannot cross.
            told.del_item("data")?;
            codec.encode(&told, &mut raw, "error")?;
        }
        let own = self.meta(py)?;
        let meta = if self.context.is_some() { own.as_deref() } else { incoming.envelope.meta() };
        let reply = Reply { meta, error: Some(&raw), ..Reply::default() };
        let null = |out: &mut Vec<u8>| codec.encode(&py.None().into_bound(py), out, "result");
        node.reply(incoming.envelope.sender(), incoming.id(), &reply, Some(null))
            .map_err(|unsent| raised(py, unsent))
    }
}

/// Why an answer was not sent.
fn raised(py: Python<'_>, unsent: Unsent<PyErr>) -> PyErr {
    let error = match unsent {
        Unsent::Params(error) => return error,
        Unsent::Refused(error) => error,
        Unsent::Failed(failure) => Error::new(Code::ServiceUnavailable, format!("{:?}", failure.kind)),
    };
    crate::python::errors::raise(py, &error)
}

fn node_id(shared: &Shared) -> PyResult<String> {
    Ok(shared.node()?.config().node_id.clone())
}

fn error_named(py: Python<'_>, name: &str, action: &str, node: &str) -> PyResult<PyErr> {
    let make = py.import("ironbridge._mesh.errors")?.getattr("of_engine")?;
    Ok(PyErr::from_value(make.call1((name, action, node))?))
}

/// Runs the handlers that an event of another node reaches.
pub(super) fn event(py: Python<'_>, shared: &Arc<Shared>, happened: Happened) -> PyResult<()> {
    let happened = Arc::new(happened);
    for reached in &happened.reached {
        let Some(listener) = reached.listener() else { continue };
        let entry = shared.table.read().event(&reached.service.full_name, &listener.pattern).cloned();
        let Some(entry) = entry else { continue };
        let context = Context::of_event(py, shared, &happened, &entry);
        let argument = if entry.takes_context {
            Bound::new(py, context).map(|context| context.into_any().unbind())
        } else {
            shared.codec.decode_or_none(py, happened.envelope.data()).map(Bound::unbind)
        };
        let place = format!("the handler of {} in {}", listener.pattern, reached.service.full_name);
        match argument {
            Ok(argument) => listen(py, shared, &entry, argument, place)?,
            Err(error) => shared.failed(py, &error, &place),
        }
    }
    Ok(())
}

fn listen(
    py: Python<'_>,
    shared: &Arc<Shared>,
    entry: &Arc<Entry>,
    argument: Py<PyAny>,
    place: String,
) -> PyResult<()> {
    let teller = Arc::clone(shared);
    if !entry.is_coroutine {
        let entry = Arc::clone(entry);
        shared.workers.submit(Box::new(move |py| {
            let outcome = (argument,)
                .into_pyobject(py)
                .and_then(|arguments| workers::call(entry.function.bind(py), &arguments, None));
            if let Err(error) = outcome {
                teller.failed(py, &error, &place);
            }
        }));
        return Ok(());
    }
    let value = match entry.function.bind(py).call1((argument,)) {
        Ok(value) => value,
        Err(error) => {
            shared.failed(py, &error, &place);
            return Ok(());
        }
    };
    if !coroutine::is_one(&value)? {
        return Ok(());
    }
    let after: host::After = Box::new(move |py, outcome| {
        if let Err(error) = outcome
            && !is_cancelled(py, &error)
        {
            teller.failed(py, &error, &place);
        }
    });
    host::run(py, shared, &value, None, after)
}
