//! A message as a callback gets it.

use std::time::Duration;

use lapin::message::Delivery;
use parking_lot::Mutex;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict};

use super::shared::helper;
use super::waiting::Ready;
use super::{codec, table};
use crate::core::limits::Limits;
use crate::fabric::consume::{QueueSpec, Settle, Verdict};

/// A message that came. The names are those of `aio_pika.IncomingMessage`.
#[pyclass(frozen, weakref, name = "IncomingMessage", module = "ironbridge._engine")]
pub(super) struct IncomingMessage {
    delivery: Delivery,
    settle: Mutex<Settle>,
    /// Whether it was said what is to become of it.
    settled: Mutex<bool>,
    headers: PyOnceLock<Py<PyDict>>,
    body: PyOnceLock<Py<PyBytes>>,
    limits: Limits,
}

impl IncomingMessage {
    pub(super) fn new(delivery: Delivery, settle: Settle, limits: Limits) -> Self {
        let settled = !settle.is_open();
        Self {
            delivery,
            settle: Mutex::new(settle),
            settled: Mutex::new(settled),
            headers: PyOnceLock::new(),
            body: PyOnceLock::new(),
            limits,
        }
    }

    /// Says what is to become of it, unless that was said before.
    pub(super) fn settle_if_open(&self, verdict: Verdict) -> bool {
        if std::mem::replace(&mut *self.settled.lock(), true) {
            return false;
        }
        self.settle.lock().say(verdict)
    }

    /// # Errors
    /// When it was settled before.
    fn say(&self, py: Python<'_>, verdict: Verdict) -> PyResult<Ready> {
        if self.settle_if_open(verdict) {
            return Ok(Ready::new(py.None()));
        }
        static SETTLED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let settled = helper(py, &SETTLED, "ironbridge._fabric.failures", "settled")?;
        Err(PyErr::from_value(settled.call0()?))
    }
}

fn text(value: Option<&lapin::types::ShortString>) -> Option<String> {
    value.map(ToString::to_string)
}

#[pymethods]
impl IncomingMessage {
    /// What it says.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.body.get_or_init(py, || PyBytes::new(py, &self.delivery.data).unbind()).bind(py).clone()
    }

    /// Its headers.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let read = self.headers.get_or_try_init(py, || match self.delivery.properties.headers() {
            Some(headers) => table::read(py, headers, "headers").map(Bound::unbind),
            None => Ok(PyDict::new(py).unbind()),
        })?;
        Ok(read.bind(py).clone())
    }

    /// Its body, read as JSON.
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let content_type = self.content_type();
        codec::decode(py, &self.delivery.data, content_type.as_deref(), &self.limits)
    }

    /// Whether it was handed out before.
    #[getter]
    fn redelivered(&self) -> bool {
        self.delivery.redelivered
    }

    /// How often it was handed out before, where the queue counts that (a durable one does).
    #[getter]
    fn delivery_count(&self) -> Option<i64> {
        let headers = self.delivery.properties.headers().as_ref()?;
        headers.inner().get("x-delivery-count")?.as_long_long_int()
    }

    /// Its place in its stream; `None` where it comes from another queue.
    #[getter]
    fn offset(&self) -> Option<u64> {
        QueueSpec::offset_of(&self.delivery)
    }

    /// What tells it from others.
    #[getter]
    fn message_id(&self) -> Option<String> {
        text(self.delivery.properties.message_id().as_ref())
    }

    /// What it belongs to.
    #[getter]
    fn correlation_id(&self) -> Option<String> {
        text(self.delivery.properties.correlation_id().as_ref())
    }

    /// What its body is.
    #[getter]
    fn content_type(&self) -> Option<String> {
        text(self.delivery.properties.content_type().as_ref())
    }

    /// How its body is written.
    #[getter]
    fn content_encoding(&self) -> Option<String> {
        text(self.delivery.properties.content_encoding().as_ref())
    }

    /// Who wants an answer to it.
    #[getter]
    fn reply_to(&self) -> Option<String> {
        text(self.delivery.properties.reply_to().as_ref())
    }

    /// Its type.
    #[getter]
    fn r#type(&self) -> Option<String> {
        text(self.delivery.properties.kind().as_ref())
    }

    /// Its priority.
    #[getter]
    fn priority(&self) -> Option<u8> {
        *self.delivery.properties.priority()
    }

    /// When it was sent, in whole seconds (UTC).
    #[getter]
    fn timestamp<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(seconds) = *self.delivery.properties.timestamp() else { return Ok(None) };
        let datetime = py.import(intern!(py, "datetime"))?;
        let utc = datetime.getattr("timezone")?.getattr("utc")?;
        datetime.getattr("datetime")?.call_method1("fromtimestamp", (seconds, utc)).map(Some)
    }

    /// How many seconds it might wait in a queue.
    #[getter]
    fn expiration(&self) -> Option<f64> {
        let text = self.delivery.properties.expiration().as_ref()?;
        Some(Duration::from_millis(text.as_str().parse().ok()?).as_secs_f64())
    }

    /// Where it was published.
    #[getter]
    fn exchange(&self) -> String {
        self.delivery.exchange.to_string()
    }

    /// By which key.
    #[getter]
    fn routing_key(&self) -> String {
        self.delivery.routing_key.to_string()
    }

    /// Its number on its channel.
    #[getter]
    fn delivery_tag(&self) -> u64 {
        self.delivery.delivery_tag
    }

    /// Whether it was said what is to become of it.
    #[getter]
    fn processed(&self) -> bool {
        *self.settled.lock()
    }

    /// It is dealt with.
    #[pyo3(signature = (multiple=false))]
    fn ack(&self, py: Python<'_>, multiple: bool) -> PyResult<Ready> {
        if multiple {
            let text = "ack(multiple=True) is not there: acknowledge each; they leave together all the same";
            return Err(PyTypeError::new_err(text));
        }
        self.say(py, Verdict::Ack)
    }

    /// It is not dealt with, and comes again.
    #[pyo3(signature = (multiple=false, requeue=true))]
    fn nack(&self, py: Python<'_>, multiple: bool, requeue: bool) -> PyResult<Ready> {
        if multiple {
            return Err(PyTypeError::new_err("nack(multiple=True) is not there: do so for each"));
        }
        self.say(py, Verdict::Reject { requeue })
    }

    /// It is not dealt with, and dead-lettered or dropped.
    #[pyo3(signature = (requeue=false))]
    fn reject(&self, py: Python<'_>, requeue: bool) -> PyResult<Ready> {
        self.say(py, Verdict::Reject { requeue })
    }

    /// A block, `async` or plain, at whose end the message is acknowledged, or rejected when the block raised.
    #[pyo3(signature = (requeue=false, reject_on_redelivered=false, ignore_processed=false))]
    fn process(
        this: Py<Self>,
        requeue: bool,
        reject_on_redelivered: bool,
        ignore_processed: bool,
    ) -> Processing {
        Processing { message: this, requeue, reject_on_redelivered, ignore_processed }
    }

    fn __repr__(&self) -> String {
        let id = self.message_id().unwrap_or_default();
        format!("<IncomingMessage {id} of {} bytes from {:?}>", self.delivery.data.len(), self.exchange())
    }
}

/// The block of [`IncomingMessage::process`].
#[pyclass(frozen, name = "Processing", module = "ironbridge._engine")]
pub(super) struct Processing {
    message: Py<IncomingMessage>,
    requeue: bool,
    reject_on_redelivered: bool,
    ignore_processed: bool,
}

impl Processing {
    fn end(&self, py: Python<'_>, raised: bool) -> PyResult<()> {
        let message = self.message.get();
        let verdict = if raised {
            Verdict::Reject {
                requeue: self.requeue && !(self.reject_on_redelivered && message.redelivered()),
            }
        } else {
            Verdict::Ack
        };
        if self.ignore_processed {
            message.settle_if_open(verdict);
            return Ok(());
        }
        // What the block itself raised is what its caller is to see.
        match message.say(py, verdict) {
            Err(error) if !raised => Err(error),
            _ => Ok(()),
        }
    }
}

#[pymethods]
impl Processing {
    fn __enter__(&self, py: Python<'_>) -> Py<IncomingMessage> {
        self.message.clone_ref(py)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        self.end(py, !kind.is_none()).map(|()| false)
    }

    fn __aenter__(&self, py: Python<'_>) -> Ready {
        Ready::new(self.message.clone_ref(py).into_any())
    }

    fn __aexit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) -> PyResult<Ready> {
        self.end(py, !kind.is_none())?;
        Ok(Ready::new(false.into_pyobject(py)?.to_owned().into_any().unbind()))
    }
}
