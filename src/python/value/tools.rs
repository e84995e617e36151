//! The codec by itself, for tests and tools: functions of `_engine` whose names begin with an underscore.

use std::hint::black_box;
use std::time::Instant;

use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyTuple};

use super::{Classes, Encoder, InBuffer, OutBuffer};
use crate::core::limits::Limits;

/// Adds them to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(encode_value, module)?)?;
    module.add_function(wrap_pyfunction!(decode_value, module)?)?;
    module.add_function(wrap_pyfunction!(encode_arguments, module)?)?;
    module.add_function(wrap_pyfunction!(decode_arguments, module)?)?;
    module.add_function(wrap_pyfunction!(time_arguments, module)?)?;
    module.add_function(wrap_pyfunction!(canonical, module)?)
}

/// The default limits, with those that `changes` names.
pub(crate) fn limits(changes: Option<&Bound<'_, PyDict>>) -> PyResult<Limits> {
    let mut limits = Limits::default();
    for (name, value) in changes.into_iter().flatten() {
        let place = match name.extract::<&str>()? {
            "max_frame" => &mut limits.max_frame,
            "max_depth" => &mut limits.max_depth,
            "max_items" => &mut limits.max_items,
            "out_of_band" => &mut limits.out_of_band,
            other => {
                return Err(pyo3::exceptions::PyTypeError::new_err(format!("there is no limit {other}")));
            }
        };
        *place = value.extract()?;
    }
    Ok(limits)
}

fn sent<'py>(
    py: Python<'py>,
    out: &[u8],
    buffers: &[OutBuffer],
) -> (Bound<'py, PyBytes>, Vec<Bound<'py, PyAny>>) {
    let copy = |buffer: &OutBuffer| {
        if buffer.is_mutable() {
            PyByteArray::new(py, buffer.as_ref()).into_any()
        } else {
            PyBytes::new(py, buffer.as_ref()).into_any()
        }
    };
    (PyBytes::new(py, out), buffers.iter().map(copy).collect())
}

/// As a connection would: each buffer is read into a new object.
fn received(py: Python<'_>, buffers: Vec<Bound<'_, PyAny>>) -> PyResult<Vec<InBuffer>> {
    let receive = |buffer: Bound<'_, PyAny>| {
        let mutable = buffer.is_instance_of::<PyByteArray>();
        let bytes: Vec<u8> = buffer.extract()?;
        let mut buffer = InBuffer::new(py, bytes.len(), mutable)?;
        buffer.as_mut().copy_from_slice(&bytes);
        Ok(buffer)
    };
    buffers.into_iter().map(receive).collect()
}

fn classes(declared: Option<&Bound<'_, PyDict>>, loaded: bool) -> PyResult<Classes> {
    let pairs = declared.into_iter().flatten().map(|(name, class)| Ok((name.extract()?, class.unbind())));
    Ok(Classes::new(pairs.collect::<PyResult<_>>()?, loaded))
}

/// `(payload, buffers)` of a value. A buffer is a `bytearray` where the receiver is to have one.
#[pyfunction]
#[pyo3(name = "_encode_value", signature = (value, **changes))]
fn encode_value<'py>(
    py: Python<'py>,
    value: &Bound<'py, PyAny>,
    changes: Option<&Bound<'py, PyDict>>,
) -> PyResult<(Bound<'py, PyBytes>, Vec<Bound<'py, PyAny>>)> {
    let (mut out, mut buffers, limits) = (Vec::new(), Vec::new(), limits(changes)?);
    super::encode(py, value, &mut Encoder::new(&mut out, &mut buffers, &limits), "value")?;
    Ok(sent(py, &out, &buffers))
}

/// The value of a payload.
#[pyfunction]
#[pyo3(name = "_decode_value", signature = (payload, buffers=Vec::new(), declared=None, loaded=true, **changes))]
fn decode_value<'py>(
    py: Python<'py>,
    payload: &[u8],
    buffers: Vec<Bound<'py, PyAny>>,
    declared: Option<&Bound<'py, PyDict>>,
    loaded: bool,
    changes: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    super::decode(py, payload, received(py, buffers)?, &classes(declared, loaded)?, &limits(changes)?)
}

/// `(payload, buffers)` of a call's arguments.
#[pyfunction]
#[pyo3(name = "_encode_arguments", signature = (args, kwargs=None, **changes))]
fn encode_arguments<'py>(
    py: Python<'py>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
    changes: Option<&Bound<'py, PyDict>>,
) -> PyResult<(Bound<'py, PyBytes>, Vec<Bound<'py, PyAny>>)> {
    let (mut out, mut buffers, limits) = (Vec::new(), Vec::new(), limits(changes)?);
    super::encode_arguments(args, kwargs, &mut Encoder::new(&mut out, &mut buffers, &limits))?;
    Ok(sent(py, &out, &buffers))
}

/// `(args, kwargs or None)` of a payload, with `leading` before the first of the arguments.
#[pyfunction]
#[pyo3(name = "_decode_arguments", signature = (payload, buffers=Vec::new(), leading=None, **changes))]
fn decode_arguments<'py>(
    py: Python<'py>,
    payload: &[u8],
    buffers: Vec<Bound<'py, PyAny>>,
    leading: Option<&Bound<'py, PyAny>>,
    changes: Option<&Bound<'py, PyDict>>,
) -> PyResult<(Bound<'py, PyTuple>, Option<Bound<'py, PyDict>>)> {
    let classes = Classes::new(Vec::new(), true);
    super::decode_arguments(
        py,
        payload,
        received(py, buffers)?,
        &classes,
        &limits(changes)?,
        leading.as_slice(),
    )
}

/// The canonical form of a call's arguments.
#[pyfunction]
#[pyo3(name = "_canonical", signature = (args, kwargs=None, **changes))]
fn canonical<'py>(
    py: Python<'py>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
    changes: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &super::canonical(args, kwargs, &limits(changes)?)?))
}

/// Nanoseconds that writing and reading these arguments takes, without the call from Python: the least of five runs.
#[pyfunction]
#[pyo3(name = "_time_arguments")]
fn time_arguments(py: Python<'_>, args: &Bound<'_, PyTuple>, rounds: u32) -> PyResult<(f64, f64)> {
    let (limits, classes) = (Limits::default(), Classes::new(Vec::new(), true));
    let (mut out, mut buffers) = (Vec::new(), Vec::new());
    let (mut writing, mut reading) = (f64::MAX, f64::MAX);
    for _ in 0..5 {
        let began = Instant::now();
        for _ in 0..rounds {
            out.clear();
            buffers.clear();
            super::encode_arguments(args, None, &mut Encoder::new(&mut out, &mut buffers, &limits))?;
        }
        writing = writing.min(began.elapsed().as_secs_f64());
        let began = Instant::now();
        for _ in 0..rounds {
            drop(super::decode_arguments(py, black_box(&out), Vec::new(), &classes, &limits, &[])?);
        }
        reading = reading.min(began.elapsed().as_secs_f64());
    }
    let each = 1e9 / f64::from(rounds.max(1));
    Ok((writing * each, reading * each))
}
