//! Runs the user's Python code for the engine: plain endpoints on workers, coroutines on the event loop.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use crate::bridge::frame::Allocate;
use crate::bridge::server::call::{Call, Running};
use crate::bridge::server::connection::Connection;
use crate::bridge::server::host::{Answer, EndpointKind, Host, Seated};
use crate::core::error::{Code, Error, Fate, Result};
use crate::core::limits::Limits;
use crate::python::coroutine::fresh_context;
use crate::python::forked::Here;
use crate::python::value::{Classes, Encoder, InBuffer, OutBuffer, canonical, decode_arguments, encode};

use super::allocate::Objects;
use super::contexts;
use super::current::{self, OnThread, Serving, Watch};
use super::event_loop::EventLoop;

/// An endpoint: what to call.
pub(super) enum Target {
    /// An attribute of an instance.
    Attribute(String),
    /// A function, a static or class method.
    Function(Py<PyAny>),
}

/// The service's code.
pub(super) struct PyHost {
    pub(super) kinds: Vec<EndpointKind>,
    pub(super) targets: Vec<Target>,
    pub(super) names: Arc<[String]>,
    pub(super) factory: Option<Py<PyAny>>,
    /// The constructor's parameters that can be given by place or by name, in order.
    pub(super) positional: Vec<String>,
    pub(super) classes: Classes,
    pub(super) limits: Limits,
    pub(super) event_loop: EventLoop,
}

/// An instance of the user's class, and its bound methods by the endpoint's number.
pub(super) struct PyInstance {
    object: Py<PyAny>,
    methods: Vec<PyOnceLock<Py<PyAny>>>,
}

impl Allocate for PyHost {
    type Buffer = InBuffer;

    fn allocate(&self, length: usize, mutable: bool) -> Result<InBuffer> {
        Objects.allocate(length, mutable)
    }
}

impl Host for PyHost {
    type Out = OutBuffer;
    type Instance = Arc<PyInstance>;

    fn on_worker_thread(&self, body: &mut (dyn FnMut() + Send)) {
        // Attaching makes a Python thread state; staying inside keeps it. Without it each call pays for a new one.
        current::work_for(&self.event_loop);
        Python::attach(|py| py.detach(body));
    }

    fn together(&self, body: &mut dyn FnMut()) {
        Python::attach(|_| body());
    }

    fn endpoint(&self, id: u16) -> Option<EndpointKind> {
        self.kinds.get(usize::from(id)).copied()
    }

    fn key(&self, arguments: &[u8]) -> Result<Vec<u8>, Answer<OutBuffer>> {
        Python::attach(|py| {
            let key = || {
                let (args, kwargs) = self.constructor_arguments(py, arguments, &[])?;
                let (args, kwargs) = self.by_place(args, kwargs)?;
                canonical(&args, kwargs.as_ref(), &self.limits)
            };
            key().map_err(|error| refusal(py, &error))
        })
    }

    fn build(&self, arguments: &[u8]) -> Result<Arc<PyInstance>, Answer<OutBuffer>> {
        Python::attach(|py| {
            let build = || -> PyResult<Bound<'_, PyAny>> {
                let Some(factory) = &self.factory else {
                    return Err(pyo3::exceptions::PyTypeError::new_err("the service has no class"));
                };
                let (args, kwargs) = self.constructor_arguments(py, arguments, &[factory.bind(py)])?;
                fresh_context(py)?.call_method(intern!(py, "run"), args, kwargs.as_ref())
            };
            match build() {
                Ok(object) => {
                    let methods = self.targets.iter().map(|_| PyOnceLock::new()).collect();
                    Ok(Arc::new(PyInstance { object: object.unbind(), methods }))
                }
                Err(error) => {
                    let mut answer = Answer::default();
                    self.fail(py, &error, &mut answer);
                    Err(answer)
                }
            }
        })
    }

    fn invoke(
        &self,
        call: &mut Call<Self>,
        instance: Option<&Arc<PyInstance>>,
        seated: Seated<'_, Self>,
        answer: &mut Answer<OutBuffer>,
    ) {
        Python::attach(|py| {
            let buffers = std::mem::take(&mut call.frame.buffers);
            let call = &*call;
            let serving = OnThread { call, names: &self.names, seat: seated.seat, number: seated.number };
            let here = Here::now();
            let outcome = current::serve(&serving, || self.call_plain(py, call, buffers, instance, answer));
            here.end_child(py, &outcome);
            if let Err(error) = outcome {
                self.fail(py, &error, answer);
            }
        });
    }

    fn spawn(&self, running: Running<Self>) {
        self.event_loop.spawn(running);
    }

    fn adopt(&self, connection: Arc<Connection<Self>>) {
        self.event_loop.adopt(connection);
    }

    fn cancel(&self, connection: u64, call: Option<u64>) {
        self.event_loop.cancel(connection, call);
    }

    fn close(&self, instance: Arc<PyInstance>) {
        // During the interpreter's end nothing can be closed any more.
        let _ = Python::try_attach(|py| {
            let object = instance.object.bind(py);
            let closed = if object.hasattr("aclose").unwrap_or(false) {
                object
                    .call_method0(intern!(py, "aclose"))
                    .map(|coroutine| self.event_loop.run(coroutine.unbind()))
            } else if object.hasattr("close").unwrap_or(false) {
                object.call_method0(intern!(py, "close")).map(drop)
            } else {
                Ok(())
            };
            if let Err(error) = closed {
                log(py, &format!("closing an instance failed: {}", describe(py, &error)));
            }
        });
    }

    fn log(&self, message: &str) {
        let _ = Python::try_attach(|py| log(py, message));
    }
}

impl PyHost {
    pub(super) fn serving(&self, call: &Call<Self>, watch: Watch) -> Serving {
        Serving {
            id: call.id,
            endpoint: call.endpoint,
            names: Arc::clone(&self.names),
            connection: Arc::clone(&call.connection),
            deadline: call.deadline,
            watch,
        }
    }

    /// What to call for this endpoint.
    pub(super) fn function<'py>(
        &self,
        py: Python<'py>,
        endpoint: u16,
        instance: Option<&Arc<PyInstance>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let at = usize::from(endpoint);
        let missing = || pyo3::exceptions::PyRuntimeError::new_err("no such endpoint");
        match (self.targets.get(at).ok_or_else(missing)?, instance) {
            (Target::Function(function), _) => Ok(function.bind(py).clone()),
            (Target::Attribute(name), Some(instance)) => {
                let method = instance.methods.get(at).ok_or_else(missing)?;
                let bound = method.get_or_try_init(py, || {
                    instance.object.bind(py).getattr(name.as_str()).map(Bound::unbind)
                })?;
                Ok(bound.bind(py).clone())
            }
            (Target::Attribute(_), None) => Err(missing()),
        }
    }

    fn call_plain(
        &self,
        py: Python<'_>,
        call: &Call<Self>,
        buffers: Vec<InBuffer>,
        instance: Option<&Arc<PyInstance>>,
        answer: &mut Answer<OutBuffer>,
    ) -> PyResult<()> {
        static RUN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let run = RUN.get_or_try_init(py, || {
            py.import("contextvars")?.getattr("Context")?.getattr("run").map(Bound::unbind)
        })?;
        let function = self.function(py, call.endpoint, instance)?;
        // Context variables that one call sets must not show in the next.
        let context = contexts::take(py)?;
        let result = match self.arguments(py, call, buffers, &[&context, &function]) {
            Ok((args, kwargs)) => run.bind(py).call(args, kwargs.as_ref())?,
            Err(error) => {
                *answer = refusal(py, &error);
                return Ok(());
            }
        };
        contexts::give_back(context);
        self.succeed(py, &result, answer)
    }

    /// The call's arguments; `leading` go before them.
    pub(super) fn arguments<'py>(
        &self,
        py: Python<'py>,
        call: &Call<Self>,
        buffers: Vec<InBuffer>,
        leading: &[&Bound<'py, PyAny>],
    ) -> PyResult<(Bound<'py, PyTuple>, Option<Bound<'py, PyDict>>)> {
        decode_arguments(py, call.frame.payload(), buffers, &self.classes, &self.limits, leading)
    }

    fn constructor_arguments<'py>(
        &self,
        py: Python<'py>,
        bytes: &[u8],
        leading: &[&Bound<'py, PyAny>],
    ) -> PyResult<(Bound<'py, PyTuple>, Option<Bound<'py, PyDict>>)> {
        decode_arguments(py, bytes, Vec::new(), &self.classes, &self.limits, leading)
    }

    /// Named arguments that could have been given by place are: both spellings mean one instance.
    fn by_place<'py>(
        &self,
        args: Bound<'py, PyTuple>,
        kwargs: Option<Bound<'py, PyDict>>,
    ) -> PyResult<(Bound<'py, PyTuple>, Option<Bound<'py, PyDict>>)> {
        let Some(kwargs) = kwargs else { return Ok((args, None)) };
        let mut placed: Vec<Bound<'py, PyAny>> = args.iter().collect();
        for name in self.positional.iter().skip(args.len()) {
            let Some(value) = kwargs.get_item(name)? else { break };
            kwargs.del_item(name)?;
            placed.push(value);
        }
        let args = PyTuple::new(args.py(), placed)?;
        Ok((args, (!kwargs.is_empty()).then_some(kwargs)))
    }

    /// Writes a result. One that cannot cross is the caller's to hear of.
    pub(super) fn succeed(
        &self,
        py: Python<'_>,
        result: &Bound<'_, PyAny>,
        answer: &mut Answer<OutBuffer>,
    ) -> PyResult<()> {
        let (out, buffers) = answer.parts();
        if let Err(error) = encode(py, result, &mut Encoder::new(out, buffers, &self.limits), "result") {
            let text = error.value(py).str()?.to_string();
            answer.fail(&Error::new(Code::Payload, text).with_fate(Fate::Executed));
        }
        Ok(())
    }

    /// Writes what the user's code raised.
    pub(super) fn fail(&self, py: Python<'_>, error: &PyErr, answer: &mut Answer<OutBuffer>) {
        answer.reset();
        if self.write_failure(py, error, answer).is_err() {
            let text = describe(py, error);
            answer.fail(&Error::new(Code::RemoteExecution, text).with_fate(Fate::Executed));
        }
    }

    fn write_failure(&self, py: Python<'_>, error: &PyErr, answer: &mut Answer<OutBuffer>) -> PyResult<()> {
        static TO_WIRE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let to_wire = TO_WIRE.import(py, "ironbridge.errors", "to_wire")?;
        // Taken out of its wrapper, the exception has its traceback.
        let detail = to_wire.call1((error.clone_ref(py).into_value(py),))?;
        let detail = detail.cast::<PyDict>()?;
        answer.code = Code::RemoteExecution;
        if self.write_detail(py, detail, answer).is_err() {
            // Its arguments cannot cross; its text can.
            answer.reset();
            answer.code = Code::RemoteExecution;
            detail.set_item("args", py.None())?;
            self.write_detail(py, detail, answer)?;
        }
        Ok(())
    }

    fn write_detail(
        &self,
        py: Python<'_>,
        detail: &Bound<'_, PyDict>,
        answer: &mut Answer<OutBuffer>,
    ) -> PyResult<()> {
        let (out, buffers) = answer.parts();
        encode(py, detail.as_any(), &mut Encoder::new(out, buffers, &self.limits), "error")
    }
}

/// The answer to a call whose arguments cannot be read: it was rejected.
pub(super) fn refusal(py: Python<'_>, error: &PyErr) -> Answer<OutBuffer> {
    let text = error.value(py).str().map_or_else(|_| error.to_string(), |text| text.to_string());
    Answer::failure(&Error::new(Code::Payload, text).with_fate(Fate::Rejected))
}

pub(super) fn describe(py: Python<'_>, error: &PyErr) -> String {
    let kind = error.get_type(py).name().map_or_else(|_| "error".to_owned(), |name| name.to_string());
    format!("{kind}: {}", error.value(py))
}

pub(super) fn log(py: Python<'_>, message: &str) {
    let tell = || -> PyResult<()> {
        let logger = py.import("logging")?.call_method1("getLogger", ("ironbridge.bridge",))?;
        logger.call_method1(intern!(py, "warning"), ("%s", message))?;
        Ok(())
    };
    if let Err(error) = tell() {
        error.print(py);
    }
}
