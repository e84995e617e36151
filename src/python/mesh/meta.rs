//! What travels with a call: put together of its parent's and its own.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping};

/// A dict of both; the second's values win. `None` when both are empty.
pub(super) fn merged<'py>(
    py: Python<'py>,
    parent: Option<&Bound<'py, PyDict>>,
    own: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let parent = parent.filter(|parent| !parent.is_empty());
    let own = own.filter(|own| !own.is_none());
    if parent.is_none() && own.is_none() {
        return Ok(None);
    }
    let all = match parent {
        Some(parent) => parent.copy()?,
        None => PyDict::new(py),
    };
    if let Some(own) = own {
        all.update(own.cast::<PyMapping>()?)?;
    }
    Ok(Some(all))
}
