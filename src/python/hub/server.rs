//! A hub in this process, as Python starts and ends it.

use std::time::Duration;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::core::error::{Code, Error};
use crate::core::platform::fork::generation;
use crate::core::secret::Secret;
use crate::hub::endpoint::Endpoint;
use crate::hub::limits::HubLimits;
use crate::hub::server::{Server, ServerOptions, ServerStats};
use crate::python::errors::raise;

/// A hub.
#[pyclass(frozen, name = "HubServer", module = "ironbridge._engine")]
pub(super) struct HubServer {
    options: ServerOptions,
    made_in: u64,
    /// Never held across code that may run Python's.
    server: Mutex<State>,
}

#[derive(Default)]
struct State {
    server: Option<Server>,
    /// Of the hub that has ended.
    last: ServerStats,
}

#[pymethods]
impl HubServer {
    #[new]
    #[pyo3(signature = (sender, receiver, *, secret=None, options=None))]
    fn new(
        py: Python<'_>,
        sender: &str,
        receiver: &str,
        secret: Option<&str>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let wrong = |error: Error| raise(py, &error);
        let mut limits = HubLimits::from_env().map_err(wrong)?;
        for (option, value) in options.into_iter().flatten() {
            limits.set(&option.extract::<String>()?, value.extract()?).map_err(wrong)?;
        }
        let secret = secret.map(|text| Secret::from_text("hub's secret", text)).transpose().map_err(wrong)?;
        let sender = Endpoint::parse(sender).map_err(wrong)?;
        let receiver = Endpoint::parse(receiver).map_err(wrong)?;
        let options = ServerOptions { sender, receiver, limits, secret };
        Ok(Self { options, made_in: generation(), server: Mutex::default() })
    }

    /// Listens, and forwards from then on.
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        self.check_process(py)?;
        py.detach(|| {
            let mut state = self.server.lock();
            if state.server.as_ref().is_some_and(Server::is_running) {
                return Err(Error::new(Code::Configuration, "this hub runs already"));
            }
            state.server = Some(Server::start(self.options.clone())?);
            Ok(())
        })
        .map_err(|error| raise(py, &error))
    }

    /// Sends what waits within `grace` seconds, then ends all connections. In a forked child it does nothing.
    #[pyo3(signature = (grace=None))]
    fn stop(&self, py: Python<'_>, grace: Option<f64>) -> PyResult<()> {
        let grace = match grace {
            None => self.options.limits.grace,
            Some(grace) => Duration::try_from_secs_f64(grace)
                .map_err(|_| {
                    Error::new(Code::Configuration, format!("grace={grace} is not a time in seconds"))
                })
                .map_err(|error| raise(py, &error))?,
        };
        if self.made_in == generation() {
            py.detach(|| {
                let mut state = self.server.lock();
                if let Some(mut server) = state.server.take() {
                    server.stop(grace);
                    state.last = server.stats();
                }
            });
        }
        Ok(())
    }

    /// Whether it forwards.
    #[getter]
    fn running(&self) -> bool {
        self.made_in == generation() && self.server.lock().server.as_ref().is_some_and(Server::is_running)
    }

    /// Where services subscribe and where they push, with the ports that the system chose; as given while it does not
    /// run.
    #[getter]
    fn endpoints(&self) -> (String, String) {
        let given = (self.options.sender.to_string(), self.options.receiver.to_string());
        if self.made_in != generation() {
            return given;
        }
        let state = self.server.lock();
        state
            .server
            .as_ref()
            .map_or(given, |server| (server.sender().to_string(), server.receiver().to_string()))
    }

    /// What the user should know of it while it runs.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        if self.made_in != generation() {
            return Vec::new();
        }
        self.server.lock().server.as_ref().map(|server| server.warnings().to_vec()).unwrap_or_default()
    }

    /// What it has counted.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = match self.made_in == generation() {
            true => py.detach(|| {
                let state = self.server.lock();
                state.server.as_ref().map_or_else(|| state.last.clone(), Server::stats)
            }),
            false => ServerStats::default(),
        };
        told(py, &stats)
    }
}

impl HubServer {
    fn check_process(&self, py: Python<'_>) -> PyResult<()> {
        if self.made_in == generation() {
            return Ok(());
        }
        let text = "this hub belongs to the process that this one was forked from: make one here";
        Err(raise(py, &Error::new(Code::Configuration, text)))
    }
}

/// The statistics as Python sees them.
pub(super) fn told<'py>(py: Python<'py>, stats: &ServerStats) -> PyResult<Bound<'py, PyDict>> {
    let (all, counts) = (PyDict::new(py), &stats.counts);
    for (name, count) in [
        ("messages_in", counts.messages_in),
        ("bytes_in", counts.bytes_in),
        ("messages_out", counts.messages_out),
        ("unwanted", counts.unwanted),
    ] {
        all.set_item(name, count)?;
    }
    let dropped = PyDict::new(py);
    dropped.set_item("slow", counts.dropped_slow)?;
    dropped.set_item("multipart", counts.dropped_multipart)?;
    all.set_item("dropped", dropped)?;
    let refused = PyDict::new(py);
    for (name, count) in [
        ("unauthorised", counts.refused.unauthorised),
        ("malformed", counts.refused.malformed),
        ("oversized", counts.refused.oversized),
        ("silent", counts.refused.silent),
        ("stalled", counts.refused.stalled),
        ("limits", counts.refused.limits),
    ] {
        refused.set_item(name, count)?;
    }
    all.set_item("refused", refused)?;
    all.set_item("connections", counts.connections)?;
    all.set_item("publishers", stats.publishers)?;
    all.set_item("registrations", stats.registrations)?;
    let subscribers = PyList::empty(py);
    for subscriber in &stats.subscribers {
        let one = PyDict::new(py);
        one.set_item("peer", &subscriber.peer)?;
        one.set_item("subscriptions", subscriber.subscriptions)?;
        one.set_item("queued_messages", subscriber.queued_messages)?;
        one.set_item("queued_bytes", subscriber.queued_bytes)?;
        one.set_item("sent", subscriber.sent)?;
        one.set_item("dropped", subscriber.dropped)?;
        one.set_item("blocked_for", subscriber.blocked_for.map(|time| time.as_secs_f64()))?;
        subscribers.append(one)?;
    }
    all.set_item("subscribers", subscribers)?;
    Ok(all)
}
