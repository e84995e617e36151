//! The hub, from Python.

mod member;
mod server;

use pyo3::prelude::*;

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<member::HubMember>()?;
    module.add_class::<server::HubServer>()
}
