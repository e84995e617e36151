//! Large buffers are received straight into the Python object that the user gets.

use pyo3::prelude::*;

use crate::bridge::frame::{Allocate, Outbound};
use crate::core::error::{Code, Error, Result};
use crate::python::value::{InBuffer, OutBuffer};

/// Allocates Python's own objects.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Objects;

impl Allocate for Objects {
    type Buffer = InBuffer;

    fn allocate(&self, length: usize, mutable: bool) -> Result<InBuffer> {
        let ended = || Error::new(Code::Cancelled, "the interpreter has ended");
        let made = Python::try_attach(|py| InBuffer::new(py, length, mutable)).ok_or_else(ended)?;
        made.map_err(|error| {
            Error::new(Code::Payload, format!("no memory for a buffer of {length} bytes: {error}"))
        })
    }
}

impl Outbound for OutBuffer {
    fn mutable(&self) -> bool {
        self.is_mutable()
    }
}

/// The lengths and kinds of buffers that leave, for the frame's table.
pub(super) fn table(buffers: &[OutBuffer]) -> impl ExactSizeIterator<Item = (usize, bool)> + '_ {
    buffers.iter().map(|buffer| (buffer.len(), buffer.is_mutable()))
}
