//! The call that the running method serves.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::core::deadline::Deadline;

/// What a method can ask of its call.
#[pyclass(frozen, name = "FabricCall", module = "ironbridge._engine")]
pub(super) struct FabricCall {
    /// The method's name.
    #[pyo3(get)]
    method: String,
    /// Whether it may have been begun before, by a server that went away.
    #[pyo3(get)]
    redelivered: bool,
    /// What its caller calls it.
    #[pyo3(get)]
    correlation_id: Option<String>,
    /// Who calls: `DOMAIN.TYPE.ID` of a caller of this make.
    #[pyo3(get)]
    caller: Option<String>,
    deadline: Option<Deadline>,
}

impl FabricCall {
    pub(super) fn new(
        method: String,
        redelivered: bool,
        correlation_id: Option<String>,
        caller: Option<String>,
        deadline: Option<Deadline>,
    ) -> Self {
        Self { method, redelivered, correlation_id, caller, deadline }
    }
}

#[pymethods]
impl FabricCall {
    /// Seconds until its caller waits no longer; `None` when it waits for ever.
    #[getter]
    fn remaining(&self) -> Option<f64> {
        self.deadline.map(|deadline| deadline.remaining().as_secs_f64())
    }

    /// Whether its caller waits no longer.
    #[getter]
    fn cancelled(&self) -> bool {
        self.deadline.is_some_and(Deadline::passed)
    }

    fn __repr__(&self) -> String {
        format!("<FabricCall of {:?} from {}>", self.method, self.caller.as_deref().unwrap_or("somebody"))
    }
}

fn variable(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static VARIABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let made = VARIABLE.get_or_try_init(py, || {
        let name = intern!(py, "ironbridge_fabric_call");
        py.import("contextvars")?.getattr("ContextVar")?.call1((name,)).map(Bound::unbind)
    })?;
    Ok(made.bind(py))
}

/// Makes a call the current one of a context.
pub(super) fn enter(context: &Bound<'_, PyAny>, call: FabricCall) -> PyResult<()> {
    let py = context.py();
    let set = variable(py)?.getattr(intern!(py, "set"))?;
    context.call_method1(intern!(py, "run"), (set, Bound::new(py, call)?)).map(drop)
}

/// The call that the running method serves; `None` outside any.
#[pyfunction]
pub(super) fn _fabric_call(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    variable(py)?.call_method1(intern!(py, "get"), (py.None(),))
}
