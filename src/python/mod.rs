//! The Python module `ironbridge._engine`: values ⇄ bytes, worker threads, event loops. No protocol logic.
#![allow(unsafe_code, reason = "the stable ABI's own functions")]

#[cfg(feature = "app")]
pub(crate) mod app;
pub(crate) mod bridge;
pub(crate) mod coroutine;
#[cfg(feature = "amqp")]
pub(crate) mod ending;
pub(crate) mod errors;
#[cfg(feature = "amqp")]
pub(crate) mod fabric;
pub(crate) mod forked;
#[cfg(feature = "zmq")]
pub(crate) mod hub;
pub(crate) mod json;
#[cfg(any(feature = "amqp", feature = "mesh"))]
pub(crate) mod mailbox;
#[cfg(feature = "mesh")]
pub(crate) mod mesh;
pub(crate) mod refusal;
pub(crate) mod signals;
pub(crate) mod value;
#[cfg(any(feature = "amqp", feature = "mesh"))]
pub(crate) mod workers;

use pyo3::prelude::*;

#[pymodule]
fn _engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    #[cfg(feature = "app")]
    app::register(module)?;
    bridge::register(module)?;
    #[cfg(feature = "amqp")]
    fabric::register(module)?;
    #[cfg(feature = "zmq")]
    hub::register(module)?;
    json::register(module)?;
    #[cfg(feature = "mesh")]
    mesh::register(module)?;
    value::register(module)?;
    // A forked child must leave its parent's connections and locks alone.
    let hooks = pyo3::types::PyDict::new(module.py());
    hooks.set_item("after_in_child", module.getattr("after_fork_in_child")?)?;
    module.py().import("os")?.getattr("register_at_fork")?.call((), Some(&hooks))?;
    Ok(())
}
