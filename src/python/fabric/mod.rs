//! The fabric in Python.

mod codec;
mod table;
mod tools;

use pyo3::prelude::*;

/// Adds the fabric's names to the native module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    tools::register(module)
}
