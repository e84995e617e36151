//! The codec by itself, for tests and tools.

use std::hint::black_box;
use std::time::Instant;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::core::limits::Limits;
use crate::python::value::limits;

/// Adds it to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(json_encode, module)?)?;
    module.add_function(wrap_pyfunction!(json_decode, module)?)?;
    module.add_function(wrap_pyfunction!(time_json, module)?)
}

/// A value as JSON.
#[pyfunction]
#[pyo3(signature = (value, **changes))]
fn json_encode<'py>(
    py: Python<'py>,
    value: &Bound<'py, PyAny>,
    changes: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::with_capacity(1 << 10);
    super::encode(py, value, &mut out, &limits(changes)?, "value")?;
    Ok(PyBytes::new(py, &out))
}

/// The value of a JSON text.
#[pyfunction]
#[pyo3(signature = (data, **changes))]
fn json_decode<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    changes: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let limits = limits(changes)?;
    match data.cast::<PyBytes>() {
        Ok(bytes) => super::decode(py, bytes.as_bytes(), &limits),
        Err(_) => super::decode(py, data.extract::<&str>()?.as_bytes(), &limits),
    }
}

/// Nanoseconds that writing and reading this value takes, without the call from Python: the least of five runs.
#[pyfunction]
#[pyo3(name = "_time_json")]
fn time_json(py: Python<'_>, value: &Bound<'_, PyAny>, rounds: u32) -> PyResult<(f64, f64)> {
    let limits = Limits::default();
    let mut out = Vec::new();
    let (mut writing, mut reading) = (f64::MAX, f64::MAX);
    for _ in 0..5 {
        let began = Instant::now();
        for _ in 0..rounds {
            out.clear();
            super::encode(py, value, &mut out, &limits, "value")?;
        }
        writing = writing.min(began.elapsed().as_secs_f64());
        let began = Instant::now();
        for _ in 0..rounds {
            drop(super::decode(py, black_box(&out), &limits)?);
        }
        reading = reading.min(began.elapsed().as_secs_f64());
    }
    let each = 1e9 / f64::from(rounds.max(1));
    Ok((writing * each, reading * each))
}
