//! What Python names when it connects or serves, as the engine's types.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use rustls::ClientConfig;

use crate::bridge::auth::Token;
use crate::bridge::client::target::Target;
use crate::core::error::{Code, Error, Result};
use crate::core::limits::Limits;
use crate::core::tls::client_config;
use crate::python::errors::raise;
use crate::python::value::Classes;

/// The longest time that can be asked for, in seconds (30 days).
const LONGEST: f64 = 30.0 * 24.0 * 3600.0;

/// One of the options that were given; `None` when it was not, or as None.
pub(super) fn setting<'py, T>(options: &Bound<'py, PyDict>, name: &str) -> PyResult<Option<T>>
where
    T: for<'a> FromPyObject<'a, 'py, Error: Into<PyErr>>,
{
    let Some(value) = options.get_item(name)?.filter(|value| !value.is_none()) else { return Ok(None) };
    match value.extract::<T>() {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            let error: PyErr = error.into();
            Err(pyo3::exceptions::PyTypeError::new_err(format!("option {name}: {error}")))
        }
    }
}

/// Seconds as a duration.
///
/// # Errors
/// `ConfigurationError` when it is negative or no number.
pub(super) fn seconds(name: &str, value: f64) -> Result<Duration> {
    if value.is_nan() || value < 0.0 {
        return Err(Error::new(Code::Configuration, format!("{name}={value} is not a time in seconds")));
    }
    Ok(Duration::from_secs_f64(value.min(LONGEST)))
}

/// The bounds, with what the environment says.
pub(super) fn limits(py: Python<'_>) -> PyResult<Limits> {
    Limits::from_env().map_err(|error| raise(py, &error))
}

/// The token for a target: given, or in the environment.
pub(super) fn token(target: &Target, given: Option<&str>) -> Result<Option<Token>> {
    if matches!(target, Target::Local { .. }) {
        return Ok(None);
    }
    let text = given.map(str::to_owned).or_else(|| std::env::var("IRONBRIDGE_TOKEN").ok());
    text.map(|text| Token::from_text(&text)).transpose()
}

/// TLS towards a service, when the certificate to trust is named or the address asks for it.
pub(super) fn client_tls(target: &Target, trusted: Option<&str>) -> Result<Option<Arc<ClientConfig>>> {
    match (target, trusted) {
        (_, Some(path)) => client_config(Some(Path::new(path)), None).map(Some),
        (Target::Tcp { tls: true, .. }, None) => client_config(None, None).map(Some),
        _ => Ok(None),
    }
}

/// The classes that values may be rebuilt as.
pub(super) fn classes(declared: Option<&Bound<'_, PyDict>>, loaded: bool) -> PyResult<Classes> {
    let mut named = Vec::new();
    if let Some(declared) = declared {
        for (name, class) in declared {
            named.push((name.extract::<String>()?, class.unbind()));
        }
    }
    Ok(Classes::new(named, loaded))
}
