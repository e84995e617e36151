//! The bridge in Python: clients, the service that runs Python code, the registry.

mod registry;

use pyo3::prelude::*;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(registry::leases, module)?)?;
    module.add_function(wrap_pyfunction!(registry::runtime_directory, module)?)?;
    Ok(())
}
