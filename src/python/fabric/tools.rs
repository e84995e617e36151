//! The pieces by themselves, for tests: names of `_engine` that begin with an underscore.

use std::time::{Duration, Instant};

use lapin::types::generation::gen_field_table;
use lapin::types::parsing::parse_field_table;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::codec::{self, Codec, Fallback};
use super::table::{self, Floats};
use crate::python::mailbox::{Mailbox, Slot};
use crate::python::signals::Signals;
use crate::python::value::limits;
use crate::python::workers::{self, Job, Lane, Workers};

/// Adds them to the module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<WorkersTool>()?;
    module.add_class::<LaneTool>()?;
    module.add_class::<MailboxTool>()?;
    module.add_class::<SlotTool>()?;
    module.add_function(wrap_pyfunction!(table_write, module)?)?;
    module.add_function(wrap_pyfunction!(table_read, module)?)?;
    module.add_function(wrap_pyfunction!(encode, module)?)?;
    module.add_function(wrap_pyfunction!(decode, module)?)
}

/// A table's bytes.
#[pyfunction]
#[pyo3(name = "_fabric_table_write", signature = (headers, *, single=false))]
fn table_write<'py>(headers: &Bound<'py, PyAny>, single: bool) -> PyResult<Bound<'py, PyBytes>> {
    let floats = if single { Floats::Single } else { Floats::Double };
    let table = table::write(headers, "headers", floats)?;
    let written = gen_field_table(&table)(Vec::new().into());
    let (bytes, _) = written.map_err(|error| PyValueError::new_err(error.to_string()))?.into_inner();
    Ok(PyBytes::new(headers.py(), &bytes))
}

/// The table of these bytes.
#[pyfunction]
#[pyo3(name = "_fabric_table_read")]
fn table_read<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    let read = parse_field_table(data);
    let (_, table) = read.map_err(|error| PyValueError::new_err(error.to_string()))?;
    table::read(py, &table, "headers")
}

fn codec(name: &str) -> PyResult<Codec> {
    Codec::named(name).ok_or_else(|| PyValueError::new_err(format!("there is no codec {name:?}")))
}

/// A body and its content type.
#[pyfunction]
#[pyo3(name = "_fabric_encode", signature = (value, codec="json", *, with_repr=false, **changes))]
fn encode<'py>(
    value: &Bound<'py, PyAny>,
    codec: &str,
    with_repr: bool,
    changes: Option<&Bound<'py, PyDict>>,
) -> PyResult<(Bound<'py, PyBytes>, &'static str)> {
    let codec = self::codec(codec)?;
    let fallback = if with_repr { Fallback::Repr } else { Fallback::Refuse };
    let body = codec.encode(value, "value", &limits(changes)?, fallback)?;
    Ok((PyBytes::new(value.py(), &body), codec.content_type()))
}

/// The value of a body.
#[pyfunction]
#[pyo3(name = "_fabric_decode", signature = (body, content_type=None, **changes))]
fn decode<'py>(
    py: Python<'py>,
    body: &[u8],
    content_type: Option<&str>,
    changes: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    codec::decode(py, body, content_type, &limits(changes)?)
}

/// Calls a function, and says so when it is dropped instead.
struct Call {
    function: Py<PyAny>,
    dropped: Option<Py<PyAny>>,
}

impl Call {
    fn job(function: Py<PyAny>, dropped: Option<Py<PyAny>>) -> Job {
        let call = Self { function, dropped };
        Box::new(move |py| call.run(py))
    }

    fn run(mut self, py: Python<'_>) {
        self.dropped = None;
        if let Err(error) = workers::call(self.function.bind(py), &PyTuple::empty(py), None) {
            error.write_unraisable(py, None);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Some(dropped) = self.dropped.take() else { return };
        let _ = Python::try_attach(|py| {
            if let Err(error) = dropped.call0(py) {
                error.write_unraisable(py, None);
            }
        });
    }
}

fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Threads that run functions.
#[pyclass(frozen, name = "_Workers", module = "ironbridge._engine")]
struct WorkersTool(Workers);

#[pymethods]
impl WorkersTool {
    #[new]
    fn new(most: usize) -> Self {
        Self(Workers::new(most))
    }

    #[pyo3(signature = (function, dropped=None))]
    fn submit(&self, function: Py<PyAny>, dropped: Option<Py<PyAny>>) {
        self.0.submit(Call::job(function, dropped));
    }

    /// Leaves a job that panics.
    fn submit_panic(&self) {
        self.0.submit(Box::new(|_| std::panic::resume_unwind(Box::new("a panic"))));
    }

    fn lane(&self) -> LaneTool {
        LaneTool(self.0.lane())
    }

    fn stop(&self, py: Python<'_>, grace: f64) -> PyResult<usize> {
        self.0.stop(py, seconds(grace)?)
    }

    fn waiting(&self) -> usize {
        self.0.waiting()
    }

    fn running(&self) -> usize {
        self.0.running()
    }

    fn threads(&self) -> usize {
        self.0.threads()
    }
}

/// Runs functions one after another.
#[pyclass(frozen, name = "_Lane", module = "ironbridge._engine")]
struct LaneTool(Lane);

#[pymethods]
impl LaneTool {
    #[pyo3(signature = (function, dropped=None))]
    fn submit(&self, function: Py<PyAny>, dropped: Option<Py<PyAny>>) {
        self.0.submit(Call::job(function, dropped));
    }

    fn waiting(&self) -> usize {
        self.0.waiting()
    }
}

/// Objects for an event loop.
#[pyclass(frozen, name = "_Mailbox", module = "ironbridge._engine")]
struct MailboxTool(Mailbox<Py<PyAny>>);

#[pymethods]
impl MailboxTool {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self(Mailbox::new()?))
    }

    /// Whether it was taken.
    fn push(&self, item: Py<PyAny>) -> bool {
        self.0.push(item).is_ok()
    }

    fn drain(&self) -> Vec<Py<PyAny>> {
        self.0.drain().into()
    }

    fn close(&self) -> Vec<Py<PyAny>> {
        self.0.close().into()
    }

    fn fileno(&self) -> i32 {
        self.0.fd()
    }

    /// For how many seconds the first item has waited.
    fn oldest_waiting(&self) -> Option<f64> {
        self.0.oldest_waiting().map(|since| since.elapsed().as_secs_f64())
    }
}

/// One object for a caller who blocks.
#[pyclass(frozen, name = "_Slot", module = "ironbridge._engine")]
struct SlotTool(Slot<Py<PyAny>>);

#[pymethods]
impl SlotTool {
    #[new]
    fn new() -> Self {
        Self(Slot::new())
    }

    /// Whether it was taken.
    fn fill(&self, value: Py<PyAny>) -> bool {
        self.0.fill(value).is_ok()
    }

    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Py<PyAny>>> {
        let until = timeout.map(seconds).transpose()?.map(|timeout| Instant::now() + timeout);
        self.0.wait(py, until, &Signals::default())
    }
}
