//! Streams in Python: those that come are pushed into an object that is iterated; those that go are iterated by a
//! task, which gives the parts to a sender.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use super::shared::Shared;
use super::waiting::failed;
use crate::mesh::node::{Chunk, Reply, Unsent};
use crate::mesh::packet::Version;
use crate::python::errors::raise;

fn helper<'py>(
    py: Python<'py>,
    cell: &'static PyOnceLock<Py<PyAny>>,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    cell.import(py, "ironbridge._mesh.streams", name).cloned()
}

/// The object of a stream that comes: parts may have been pushed into it already.
pub(super) fn incoming(py: Python<'_>, shared: &Shared, number: u64) -> PyResult<Py<PyAny>> {
    static STREAM: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    if let Some(stream) = shared.streams.lock().get(&number) {
        return Ok(stream.clone_ref(py));
    }
    let stream = helper(py, &STREAM, "MeshStream")?.call0()?.unbind();
    shared.streams.lock().insert(number, stream.clone_ref(py));
    Ok(stream)
}

/// A part of a stream has come.
pub(super) fn chunk(py: Python<'_>, shared: &Arc<Shared>, chunk: &Chunk) -> PyResult<()> {
    let stream = incoming(py, shared, chunk.stream)?;
    if chunk.end {
        shared.streams.lock().remove(&chunk.stream);
    }
    let codec = &shared.codec;
    let error = match (&chunk.failure, chunk.error()) {
        (Some(failure), _) => Some(failed(py, failure)?.into_value(py).into_any()),
        (None, Some(raw)) => Some(from_wire(py, codec.decode(py, raw)?)?.unbind()),
        (None, None) => match chunk.flags() {
            Some(flags) if chunk.end => {
                let told = codec.decode_dict(py, Some(flags))?.get_item(intern!(py, "$streamError"))?;
                told.map(|told| from_wire(py, told)).transpose()?.map(Bound::unbind)
            }
            _ => None,
        },
    };
    let value = codec.decode_or_none(py, chunk.data())?;
    stream.call_method1(py, intern!(py, "_push"), (value, chunk.end, error)).map(drop)
}

fn from_wire<'py>(py: Python<'py>, told: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static FROM_WIRE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    FROM_WIRE.import(py, "ironbridge._mesh.errors", "from_wire")?.call1((told, py.None()))
}

/// Whether a value is a stream: an asynchronous iterator.
#[inline]
pub(super) fn is_stream(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    // Most are plain values, told by their types.
    if value.is_none()
        || value.is_exact_instance_of::<PyDict>()
        || value.is_exact_instance_of::<pyo3::types::PyString>()
        || value.is_exact_instance_of::<pyo3::types::PyList>()
        || value.is_exact_instance_of::<pyo3::types::PyInt>()
    {
        return Ok(false);
    }
    value.hasattr(intern!(value.py(), "__aiter__"))
}

/// Sends an answer that is a stream.
pub(super) fn send_result(
    py: Python<'_>,
    shared: &Arc<Shared>,
    source: &Bound<'_, PyAny>,
    to: &str,
    id: &str,
    meta: Option<Bound<'_, PyDict>>,
) -> PyResult<()> {
    static SEND: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let sender = StreamSender {
        shared: Arc::clone(shared),
        to: to.to_owned(),
        id: id.to_owned(),
        action: None,
        meta: meta.map(Bound::unbind),
    };
    helper(py, &SEND, "send_result")?
        .call1((source, Bound::new(py, sender)?, shared.event_loop(py)?))
        .map(drop)
}

/// Sends a call's parameters that are a stream; the call itself has been sent.
pub(super) fn send_params(
    py: Python<'_>,
    shared: &Arc<Shared>,
    source: Py<PyAny>,
    to: &str,
    id: &str,
    action: &str,
) -> PyResult<()> {
    static SEND: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let sender = StreamSender {
        shared: Arc::clone(shared),
        to: to.to_owned(),
        id: id.to_owned(),
        action: Some(action.to_owned()),
        meta: None,
    };
    helper(py, &SEND, "send_params")?
        .call1((source, Bound::new(py, sender)?, shared.event_loop(py)?))
        .map(drop)
}

/// Where the parts of one stream go.
#[pyclass(frozen, name = "StreamSender", module = "ironbridge._engine")]
pub(super) struct StreamSender {
    shared: Arc<Shared>,
    to: String,
    id: String,
    /// Of a call's parameters; `None` for an answer.
    action: Option<String>,
    meta: Option<Py<PyDict>>,
}

#[pymethods]
impl StreamSender {
    /// Sends a part; `more` tells whether others follow, `error` is why it ends before its end, `flags` what travels
    /// with it.
    #[pyo3(signature = (seq, more, value, error=None, flags=None))]
    fn part(
        &self,
        py: Python<'_>,
        seq: u64,
        more: bool,
        value: &Bound<'_, PyAny>,
        error: Option<&Bound<'_, PyAny>>,
        flags: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let codec = &self.shared.codec;
        let node = self.shared.node()?;
        let told = match error {
            Some(error) => {
                let to_wire = py.import("ironbridge._mesh.errors")?.getattr("to_wire")?;
                Some(to_wire.call1((error, &node.config().node_id))?)
            }
            None => None,
        };
        if let Some(action) = &self.action {
            let all = match flags {
                Some(flags) => flags.copy()?,
                None => PyDict::new(py),
            };
            if let Some(told) = told {
                all.set_item(intern!(py, "$streamError"), told)?;
            }
            let flags = codec.encode_full(Some(all.as_any()), "error")?;
            let mut params = Vec::with_capacity(256);
            codec.encode(value, &mut params, "a part of a stream")?;
            let sent = node.call_part(&self.to, &self.id, action, seq, more, &params, flags.as_deref());
            sent.map_err(|error| raise(py, &error))?;
        } else {
            let error = told.map(|told| codec.encode_full(Some(&told), "error")).transpose()?.flatten();
            let is_v5 = node.config().version == Version::V5;
            let mut all = self.meta.as_ref().map(|meta| meta.bind(py).copy()).transpose()?;
            if let (Some(flags), false) = (flags, is_v5) {
                let meta = all.get_or_insert_with(|| PyDict::new(py));
                meta.update(flags.as_mapping())?;
            }
            let meta = codec.encode_full(all.as_ref().map(|meta| meta.as_any()), "meta")?;
            let headers =
                codec.encode_full(flags.filter(|_| is_v5).map(|flags| flags.as_any()), "headers")?;
            let reply = Reply {
                meta: meta.as_deref(),
                headers: headers.as_deref(),
                error: error.as_deref(),
                stream: Some(more),
                seq: Some(seq),
            };
            let data = |out: &mut Vec<u8>| codec.encode(value, out, "a part of a stream");
            let sent = node.reply(&self.to, &self.id, &reply, Some(data));
            sent.map_err(|unsent| match unsent {
                Unsent::Params(error) => error,
                Unsent::Refused(error) => raise(py, &error),
                Unsent::Failed(_) => pyo3::exceptions::PyRuntimeError::new_err("the stream cannot be sent"),
            })?;
        }
        self.shared.flush_soon(py, true)
    }
}
