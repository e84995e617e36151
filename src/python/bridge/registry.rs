//! The local registry, as plain Python values.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::bridge::client::control;
use crate::bridge::client::probe::probe;
use crate::bridge::lease::{LeaseRecord, Liveness};
use crate::bridge::record::hex;
use crate::bridge::registry::Registry;
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error};
use crate::python::errors::raise;
use crate::python::signals::Signals;

/// The leases whose lock is held, of one service or of all.
#[pyfunction]
#[pyo3(signature = (name = None))]
pub(crate) fn leases<'py>(py: Python<'py>, name: Option<&str>) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let found = py.detach(|| {
        let registry = Registry::open()?;
        name.map_or_else(|| registry.list(), |name| registry.find(name))
    });
    found.map_err(|error| raise(py, &error))?.iter().map(|record| describe(py, record)).collect()
}

/// The directory for leases and sockets, made if need be.
#[pyfunction]
pub(crate) fn runtime_directory(py: Python<'_>) -> PyResult<std::ffi::OsString> {
    let found = py.detach(|| Registry::open()?.directory());
    Ok(found.map_err(|error| raise(py, &error))?.into_os_string())
}

/// Whether the daemon that holds this lease answers, within a deadline of a few seconds.
#[pyfunction]
pub(crate) fn daemon_answers(py: Python<'_>, service: &str, nonce: &str) -> PyResult<bool> {
    let signals = Signals::default();
    let answers = py.detach(|| {
        let leases = Registry::open()?.find(service)?;
        let Some(lease) = leases.iter().find(|lease| hex(&lease.nonce) == nonce) else { return Ok(false) };
        let found = probe(lease, &|| signals.look());
        if signals.look() { Err(Error::interrupted()) } else { Ok(found == Liveness::Alive) }
    });
    answers.map_err(|error| signals.raise(py, &error))
}

/// What one live daemon counts, as JSON.
#[pyfunction]
pub(crate) fn daemon_statistics(
    py: Python<'_>,
    service: &str,
    nonce: &str,
    timeout: f64,
) -> PyResult<String> {
    let deadline = Deadline::after(Duration::try_from_secs_f64(timeout).unwrap_or(Duration::ZERO));
    let signals = Signals::default();
    let answer = py.detach(|| {
        let leases = Registry::open()?.find(service)?;
        let lease = leases.iter().find(|lease| hex(&lease.nonce) == nonce).ok_or_else(|| {
            Error::new(Code::ServiceNotFound, format!("that daemon of service {service:?} has ended"))
        })?;
        control::statistics(lease, deadline, &|| signals.look())
    });
    answer.map_err(|error| signals.raise(py, &error))
}

/// The first half of the SHA-256, in hexadecimal.
#[pyfunction]
pub(crate) fn digest(data: &[u8]) -> String {
    crate::bridge::schema::digest(data)
}

fn describe<'py>(py: Python<'py>, record: &LeaseRecord) -> PyResult<Bound<'py, PyDict>> {
    let lease = PyDict::new(py);
    lease.set_item("service", &record.service)?;
    lease.set_item("nonce", hex(&record.nonce))?;
    lease.set_item("pid", record.pid)?;
    lease.set_item("identity", &record.identity)?;
    lease.set_item("version", &record.version)?;
    lease.set_item("schema", &record.schema)?;
    lease.set_item("socket", record.socket.as_os_str())?;
    lease.set_item("worker", record.worker)?;
    lease.set_item("workers", record.workers)?;
    lease.set_item("started_unix_ms", record.started_unix_ms)?;
    lease.set_item("tcp", &record.tcp)?;
    lease.set_item("detached", record.detached)?;
    lease.set_item("supervisor", record.supervisor)?;
    lease.set_item("state", record.state.name())?;
    Ok(lease)
}
