//! Plain msgpack, for messages that programs in other languages read: no extension types, tuples are arrays, nothing
//! travels beside. What msgpack has no type for is refused where it is sent.

use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyTuple};

use super::buffers::Export;
use super::encode::Encoder;
use super::refusal::{Outcome, Refusal, type_name};
use super::wire;
use super::{Classes, decode_stock};
use crate::core::limits::Limits;

/// Adds the codec to the module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(encode_msgpack, module)?)?;
    module.add_function(wrap_pyfunction!(decode_msgpack, module)?)
}

impl Encoder<'_> {
    /// A value of none of the common types: one that is bytes, else refused.
    pub(super) fn stock_bytes(&mut self, value: &Bound<'_, PyAny>) -> Outcome<()> {
        if !value.is_exact_instance_of::<PyByteArray>() && !value.is_exact_instance_of::<PyMemoryView>() {
            return Err(Refusal::new(format!("msgpack has no {}", type_name(value))));
        }
        let export = Export::full(value).map_err(Refusal::while_doing(value.py(), "bytes"))?;
        self.room(export.len())?;
        wire::put_bytes(self.out, export.contiguous());
        Ok(())
    }
}

/// Refuses a key that would be an array, which no dict could have where it arrives.
#[inline]
pub(super) fn check_key(key: &Bound<'_, PyAny>) -> Outcome<()> {
    if key.is_exact_instance_of::<PyTuple>() {
        return Err(Refusal::new("a tuple as a key is an array in msgpack, which is no key"));
    }
    Ok(())
}

/// The msgpack of a value, as any of its readers knows it.
#[pyfunction]
#[pyo3(name = "_encode_msgpack")]
fn encode_msgpack<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let (mut out, mut buffers, limits) = (Vec::new(), Vec::new(), Limits::default());
    let mut encoder = Encoder::new(&mut out, &mut buffers, &limits);
    encoder.stock = true;
    super::encode(py, value, &mut encoder, "message")?;
    Ok(PyBytes::new(py, &out))
}

/// The value of plain msgpack.
#[pyfunction]
#[pyo3(name = "_decode_msgpack")]
fn decode_msgpack<'py>(py: Python<'py>, payload: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    decode_stock(py, payload, &Classes::new(Vec::new(), false), &Limits::default())
}
