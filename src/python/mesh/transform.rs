//! Middlewares that change the bytes of packets, called by the engine.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::core::error::{Code, Error, Result};
use crate::mesh::node::Transform;

/// An object with `outgoing(topic, packet)` and `incoming(topic, packet)`.
#[derive(Debug)]
pub(super) struct Changing(pub(super) Py<PyAny>);

impl Changing {
    fn changed(&self, method: &str, topic: &str, packet: &[u8]) -> Result<Vec<u8>> {
        let changed = Python::try_attach(|py| -> PyResult<Vec<u8>> {
            let bytes = self.0.call_method1(py, method, (topic, PyBytes::new(py, packet)))?;
            Ok(bytes.bind(py).cast::<PyBytes>()?.as_bytes().to_vec())
        });
        match changed {
            Some(Ok(bytes)) => Ok(bytes),
            Some(Err(error)) => Err(Error::new(Code::Payload, format!("a packet on {topic}: {error}"))),
            None => Err(Error::new(Code::ServiceUnavailable, "the interpreter is at its end")),
        }
    }
}

impl Transform for Changing {
    fn outgoing(&self, topic: &str, packet: &[u8]) -> Result<Vec<u8>> {
        self.changed("outgoing", topic, packet)
    }

    fn incoming(&self, topic: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        self.changed("incoming", topic, bytes)
    }
}
