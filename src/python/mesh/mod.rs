//! The mesh in Python.

mod calling;
mod codec;
mod context;
mod host;
mod meta;
mod node;
mod options;
mod registry;
mod serving;
mod shared;
mod streaming;
mod table;
mod transform;
mod waiting;

use pyo3::prelude::*;

/// Adds the mesh's names to the native module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<calling::MeshCall>()?;
    module.add_class::<node::MeshNode>()?;
    // Its users know it as `ironbridge.mesh.Context`.
    module.add("MeshContext", module.py().get_type::<context::Context>())
}
