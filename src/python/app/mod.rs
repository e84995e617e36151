//! The app in Python.

mod options;
mod relay;

use pyo3::prelude::*;

/// Adds the app's names to the native module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<relay::WebSocketRelay>()
}
