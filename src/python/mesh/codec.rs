//! Payloads: Python values as the mesh's serializer writes them.

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict};

use crate::core::limits::Limits;
use crate::mesh::packet::Serializer;
use crate::python::json;

/// How payloads are written, and what bounds them.
pub(super) struct Codec {
    pub(super) serializer: Serializer,
    pub(super) limits: Limits,
}

impl Codec {
    /// Appends a value. `at` names it in a refusal, such as `params`.
    ///
    /// # Errors
    /// `PayloadError` with the path to what cannot cross, or is over a limit.
    #[inline]
    pub(super) fn encode(&self, value: &Bound<'_, PyAny>, out: &mut Vec<u8>, at: &str) -> PyResult<()> {
        let py = value.py();
        if self.serializer == Serializer::MsgPack {
            static PACK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
            let packed = helper(py, &PACK, "packed")?.call1((value, at))?;
            out.extend_from_slice(packed.cast::<PyBytes>()?.as_bytes());
            return Ok(());
        }
        match json::encode_for_javascript(py, value, out, &self.limits, "max_packet", at) {
            Err(refusal) if refusal.is_instance_of::<PyException>(py) => {
                self.encode_plain(value, out, at, refusal)
            }
            written => written,
        }
    }

    /// The same for a value that holds what only JavaScript's way of writing has: bytes, dates.
    #[cold]
    fn encode_plain(
        &self,
        value: &Bound<'_, PyAny>,
        out: &mut Vec<u8>,
        at: &str,
        refusal: PyErr,
    ) -> PyResult<()> {
        static PLAIN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = value.py();
        let plain = helper(py, &PLAIN, "plain")?.call1((value,))?;
        let written = json::encode_for_javascript(py, &plain, out, &self.limits, "max_packet", at);
        written.map_err(|_| refusal)
    }

    /// The value that bytes are.
    ///
    /// # Errors
    /// `PayloadError` (rejected) says what is wrong.
    #[inline]
    pub(super) fn decode<'py>(&self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        if self.serializer == Serializer::MsgPack {
            static UNPACK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
            return helper(py, &UNPACK, "unpacked")?.call1((PyBytes::new(py, bytes),));
        }
        json::decode(py, bytes, &self.limits)
    }

    /// The same; what is absent is None.
    pub(super) fn decode_or_none<'py>(
        &self,
        py: Python<'py>,
        bytes: Option<&[u8]>,
    ) -> PyResult<Bound<'py, PyAny>> {
        bytes.map_or_else(|| Ok(py.None().into_bound(py)), |bytes| self.decode(py, bytes))
    }

    /// The dict that bytes are; what is absent, or none, is empty.
    pub(super) fn decode_dict<'py>(
        &self,
        py: Python<'py>,
        bytes: Option<&[u8]>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let Some(bytes) = bytes else { return Ok(PyDict::new(py)) };
        Ok(self.decode(py, bytes)?.cast_into::<PyDict>().unwrap_or_else(|_| PyDict::new(py)))
    }

    /// A value's bytes; `None` for an empty dict, and for None.
    pub(super) fn encode_full(
        &self,
        value: Option<&Bound<'_, PyAny>>,
        at: &str,
    ) -> PyResult<Option<Vec<u8>>> {
        let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(None) };
        if value.cast::<PyDict>().is_ok_and(|dict| dict.is_empty()) {
            return Ok(None);
        }
        let mut out = Vec::with_capacity(64);
        self.encode(value, &mut out, at)?;
        Ok(Some(out))
    }
}

/// A function of the mesh's payloads, found once.
fn helper<'py>(
    py: Python<'py>,
    cell: &'static PyOnceLock<Py<PyAny>>,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    cell.import(py, "ironbridge._mesh.payloads", name).cloned()
}
