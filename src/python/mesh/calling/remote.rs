//! A call to another node.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;

use super::{Plan, State, Stepped};
use crate::mesh::node::{Outgoing, Route, Unsent};
use crate::mesh::packet::{Serializer, Version};
use crate::python::mesh::context::{self, Context};
use crate::python::mesh::shared::Shared;
use crate::python::mesh::streaming;
use crate::python::mesh::waiting::{Slot, Waiter, failed, refused};

/// A call on its way.
pub(super) struct Remote {
    shared: Arc<Shared>,
    pub(super) slot: Arc<Slot>,
    number: u64,
    context: Option<Py<Context>>,
    pub(super) parent: Option<Py<Context>>,
}

/// What goes with a call.
struct Envelope<'py> {
    params: Option<Bound<'py, PyAny>>,
    meta: Option<Vec<u8>>,
    headers: Option<Vec<u8>>,
    id: Option<String>,
    parent_id: Option<String>,
    request_id: Option<String>,
    caller: Option<String>,
    tracing: Option<bool>,
}

impl Plan {
    fn envelope<'py>(&mut self, py: Python<'py>, is_v5: bool) -> PyResult<Envelope<'py>> {
        match &self.context {
            Some(context) => Envelope::of_context(context.bind(py), is_v5),
            None => self.own_envelope(py, is_v5),
        }
    }

    fn own_envelope<'py>(&mut self, py: Python<'py>, is_v5: bool) -> PyResult<Envelope<'py>> {
        let shared = Arc::clone(&self.shared);
        let codec = &shared.codec;
        let whole = self.whole_meta(py)?;
        let headers = self.headers.as_ref().map(|headers| headers.bind(py));
        let mut envelope = Envelope {
            meta: codec.encode_full(whole.as_ref().map(|meta| meta.as_any()), "meta")?,
            headers: codec.encode_full(headers.filter(|_| is_v5), "headers")?,
            params: self.params.take().map(|params| params.into_bound(py)),
            id: None,
            parent_id: None,
            request_id: self.request_id.take(),
            caller: self.caller.take(),
            tracing: None,
        };
        if let Some(parent) = &self.parent {
            let mut parent = parent.borrow_mut(py);
            let id = parent.id_of()?.to_owned();
            envelope.request_id = Some(parent.first_id().map_or_else(|| id.clone(), str::to_owned));
            envelope.parent_id = Some(id);
            envelope.caller = envelope.caller.or_else(|| parent.service_name(py));
            envelope.tracing = parent.tracing;
        }
        Ok(envelope)
    }

    /// Sends it to another node.
    pub(super) fn send<'py>(
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
        let envelope = self.envelope(py, is_v5)?;
        let call = Outgoing {
            id: envelope.id.as_deref(),
            meta: envelope.meta.as_deref(),
            headers: envelope.headers.as_deref(),
            timeout_ms: Some(timeout),
            level,
            tracing: envelope.tracing,
            parent_id: envelope.parent_id.as_deref(),
            request_id: envelope.request_id.as_deref(),
            caller: envelope.caller.as_deref(),
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
            |out| match &envelope.params {
                // In protocol 4, a stream has no parameters beside it.
                Some(params) if is_v5 || self.stream.is_none() => codec.encode(params, out, "params"),
                None if self.stream.is_none() => {
                    let empty: &[u8] = if codec.serializer == Serializer::Json { b"{}" } else { &[0x80] };
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
            let id = envelope.id.unwrap_or_else(|| node.id_of(number));
            streaming::send_params(py, &shared, stream, &endpoint.node, &id, &self.action)?;
        }
        future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
        let remote =
            Remote { shared, slot, number, context: self.context.take(), parent: self.parent.take() };
        Ok(Stepped::Waits(future, State::Remote(Box::new(remote))))
    }
}

impl<'py> Envelope<'py> {
    fn of_context(context: &Bound<'py, Context>, is_v5: bool) -> PyResult<Self> {
        let shared = Arc::clone(&context.borrow().shared);
        let params = context::params_of(context)?;
        let meta = shared.codec.encode_full(Some(context::meta_of(context)?.as_any()), "meta")?;
        let headers = if is_v5 { Some(context::headers_of(context)?) } else { None };
        let headers =
            shared.codec.encode_full(headers.as_ref().map(|headers| headers.as_any()), "headers")?;
        let context = context.borrow();
        let text = |text: Option<&str>| text.map(str::to_owned);
        Ok(Self {
            params: Some(params),
            meta,
            headers,
            id: text(context.own_id()),
            parent_id: text(context.parent()),
            request_id: text(context.first_id()),
            caller: text(context.calling_service()),
            tracing: context.tracing,
        })
    }
}

impl Remote {
    /// Nobody waits for it any more.
    pub(super) fn cancel(&self) {
        if let Ok(node) = self.shared.node() {
            drop(node.cancel(self.number));
        }
    }

    /// The answer is here.
    pub(super) fn came(self, py: Python<'_>) -> Stepped<'_> {
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
