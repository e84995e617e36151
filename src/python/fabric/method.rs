//! A method of another service: calling it sends the call.

use std::time::Duration;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::connector::FabricConnector;
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error};
use crate::fabric::calls::{Call, Target};
use crate::fabric::identity::Identity;
use crate::fabric::names;
use crate::fabric::version::VersionRange;
use crate::python::errors::raise;

/// One method of one service.
#[pyclass(frozen, name = "FabricMethod", module = "ironbridge._engine")]
pub(super) struct FabricMethod {
    connector: Py<FabricConnector>,
    service: Identity,
    name: String,
    /// Positional arguments become named ones by this function.
    binder: Option<Py<PyAny>>,
    timeout: Duration,
    idempotent: bool,
    version: Option<VersionRange>,
    /// For messages.
    what: String,
}

#[pymethods]
impl FabricMethod {
    #[new]
    #[pyo3(signature = (connector, service, name, *, binder=None, timeout=None, idempotent=false, version=None))]
    #[expect(clippy::too_many_arguments, reason = "all are named where it is called")]
    fn new(
        py: Python<'_>,
        connector: Py<FabricConnector>,
        service: (String, String, String),
        name: String,
        binder: Option<Py<PyAny>>,
        timeout: Option<f64>,
        idempotent: bool,
        version: Option<String>,
    ) -> PyResult<Self> {
        let made = || {
            let service = Identity::new(&service.0, &service.1, &service.2, None)?;
            names::check_method(&names::rpc_exchange(&service), &name)?;
            let timeout = match timeout {
                Some(timeout) => super::options::seconds("timeout", timeout, 0.0)?,
                None => connector.get().config().limits.call_timeout,
            };
            let version = version.map(|wanted| VersionRange::parse(&wanted)).transpose()?;
            Ok((service, timeout, version))
        };
        let (service, timeout, version) = made().map_err(|error: Error| raise(py, &error))?;
        let what = format!("a call of {}.{name}()", service.fqn());
        Ok(Self { connector, service, name, binder, timeout, idempotent, version, what })
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let connector = self.connector.get();
        let arguments = match (&self.binder, kwargs) {
            (None, _) if !args.is_empty() => {
                let text = format!(
                    "{}() takes named arguments: their names are what crosses; give rpc_proxy(api=…) to name them \
                     by its signature",
                    self.name
                );
                return Err(pyo3::exceptions::PyTypeError::new_err(text));
            }
            (Some(binder), _) => binder.bind(py).call(args, kwargs)?,
            (None, Some(kwargs)) => kwargs.clone().into_any(),
            (None, None) => PyDict::new(py).into_any(),
        };
        let shared = connector.shared();
        let body = shared.codec.encode(&arguments, "arguments", &shared.limits, shared.fallback)?;
        let engine = connector.engine(py)?;
        let target = self.target(&engine).map_err(|error| raise(py, &error))?;
        let call = |done| {
            engine.call(Call {
                target,
                body,
                content_type: shared.codec.content_type(),
                deadline: Deadline::after(self.timeout),
                idempotent: self.idempotent,
                done,
            })
        };
        super::waiting::begin_call(py, shared, &self.what, &self.connector, call, |number| {
            engine.cancel(number)
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.connector)?;
        visit.call(&self.binder)
    }

    fn __repr__(&self) -> String {
        format!("<{}.{}()>", self.service.fqn(), self.name)
    }
}

impl FabricMethod {
    fn target(&self, engine: &crate::fabric::connector::Connector) -> Result<Target, Error> {
        let method = match &self.version {
            Some(range) => {
                let version = engine.version(&self.service, range)?;
                names::versioned(&self.name, &version)
            }
            None => self.name.clone(),
        };
        if method.is_empty() {
            return Err(Error::new(Code::Configuration, "a method without a name"));
        }
        Ok(Target { exchange: names::rpc_exchange(&self.service), method, service: self.service.fqn() })
    }
}
