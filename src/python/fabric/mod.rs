//! The fabric in Python.

mod codec;
mod connector;
mod current;
mod message;
mod method;
mod options;
mod queues;
mod running;
mod serving;
mod shared;
mod subscribing;
mod table;
mod tools;
mod waiting;

use pyo3::prelude::*;

/// Adds the fabric's names to the native module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<connector::FabricConnector>()?;
    module.add_class::<connector::FabricSubscription>()?;
    module.add_class::<current::FabricCall>()?;
    module.add_class::<message::IncomingMessage>()?;
    module.add_class::<message::Processing>()?;
    module.add_class::<method::FabricMethod>()?;
    module.add_class::<waiting::Ready>()?;
    module.add_function(wrap_pyfunction!(current::_fabric_call, module)?)?;
    module.add_function(wrap_pyfunction!(crate::python::ending::_program_ends, module)?)?;
    tools::register(module)
}
