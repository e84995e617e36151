//! The bridge in Python: clients, the service that runs Python code, the registry.

mod allocate;
mod async_client;
mod client;
mod connected;
mod contexts;
mod current;
mod event_loop;
mod host;
mod link;
mod options;
mod outcome;
mod registry;
mod server;

use pyo3::prelude::*;

/// Adds the bridge's names to the native module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<client::Client>()?;
    module.add_class::<client::Endpoint>()?;
    module.add_class::<async_client::AsyncClient>()?;
    module.add_class::<async_client::AsyncEndpoint>()?;
    module.add_class::<link::Reply>()?;
    module.add_class::<server::Server>()?;
    module.add_class::<current::CurrentCall>()?;
    module.add_function(wrap_pyfunction!(current::current_call, module)?)?;
    module.add_function(wrap_pyfunction!(after_fork_in_child, module)?)?;
    module.add_function(wrap_pyfunction!(registry::leases, module)?)?;
    module.add_function(wrap_pyfunction!(registry::daemon_answers, module)?)?;
    module.add_function(wrap_pyfunction!(registry::runtime_directory, module)?)?;
    module.add_function(wrap_pyfunction!(registry::daemon_statistics, module)?)?;
    module.add_function(wrap_pyfunction!(registry::digest, module)?)?;
    Ok(())
}

/// To be called in a forked child: connections and locks of the parent are left alone.
#[pyfunction]
fn after_fork_in_child() {
    crate::core::platform::fork::after_fork_in_child();
    crate::core::polling::after_fork_in_child();
}
