//! What a client of either kind is: the service it found, and how it calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::bridge::client::blocking::{CallOptions, Client, Options};
use crate::bridge::client::home::Home;
use crate::bridge::client::target::Target;
use crate::bridge::registry::Registry;
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error};
use crate::core::limits::Limits;
use crate::python::errors::raise;
use crate::python::signals::Signals;
use crate::python::value::{Classes, Encoder, InBuffer, encode_arguments};

use super::allocate::Objects;
use super::options::setting;
use super::{current, options};

/// What a client and its endpoints share.
pub(super) struct Connected {
    pub(super) engine: Client<Objects>,
    pub(super) classes: Classes,
    pub(super) limits: Limits,
}

/// How calls are made, unless a call says otherwise.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub(super) timeout: Duration,
    pub(super) one_way: bool,
    pub(super) idempotent: bool,
}

/// The options of `connect()` and `connect_async()`; the stub tells their meaning.
pub(super) struct Connecting<'py> {
    timeout: f64,
    poll_interval: f64,
    call_timeout: Option<f64>,
    token: Option<String>,
    tls_ca: Option<String>,
    api_classes: Option<Bound<'py, PyDict>>,
    given_up: Option<Py<PyAny>>,
}

impl<'py> Connecting<'py> {
    pub(super) fn read(given: &Bound<'py, PyDict>) -> PyResult<Self> {
        Ok(Self {
            timeout: setting(given, "timeout")?.unwrap_or_default(),
            poll_interval: setting(given, "poll_interval")?.unwrap_or_default(),
            call_timeout: setting(given, "call_timeout")?,
            token: setting(given, "token")?,
            tls_ca: setting(given, "tls_ca")?,
            api_classes: setting(given, "api_classes")?,
            given_up: setting(given, "given_up")?,
        })
    }

    /// Finds the service, waiting for it as long as was asked.
    pub(super) fn connect(
        &self,
        py: Python<'_>,
        target: &str,
        args: &Bound<'_, PyTuple>,
        kwargs: &Bound<'_, PyDict>,
    ) -> PyResult<(Arc<Connected>, Manner)> {
        let limits = options::limits(py)?;
        let (mut connect, timeout, deadline) =
            self.prepare(target, &limits).map_err(|error| raise(py, &error))?;
        connect.arguments = bound_arguments(args, kwargs, &limits)?;
        let classes = options::classes(self.api_classes.as_ref(), true)?;
        let _lent = current::lend().map_err(|error| raise(py, &error))?;
        let signals = Signals::or_given_up(self.given_up.as_ref(), py);
        let engine = py
            .detach(|| Client::connect(connect, Objects, deadline, &|| signals.look()))
            .map_err(|error| signals.raise(py, &error))?;
        let manner = Manner { timeout, one_way: false, idempotent: false };
        Ok((Arc::new(Connected { engine, classes, limits }), manner))
    }

    fn prepare(&self, target: &str, limits: &Limits) -> Result<(Options, Duration, Deadline), Error> {
        let target = Target::parse(target)?;
        let timeout = match self.call_timeout {
            Some(timeout) => options::seconds("call_timeout", timeout)?,
            None => limits.call_timeout,
        };
        let connect = Options {
            token: options::token(&target, self.token.as_deref())?,
            tls: options::client_tls(&target, self.tls_ca.as_deref())?,
            target,
            registry: Registry::open()?,
            arguments: Vec::new(),
            limits: limits.clone(),
            poll_interval: options::seconds("poll_interval", self.poll_interval)?.max(SHORTEST_POLL),
        };
        Ok((connect, timeout, Deadline::after(options::seconds("timeout", self.timeout)?)))
    }
}

impl Manner {
    /// The same but for what is named.
    pub(super) fn with(
        self,
        timeout: Option<f64>,
        one_way: Option<bool>,
        idempotent: Option<bool>,
    ) -> Result<Self, Error> {
        Ok(Self {
            timeout: timeout.map_or(Ok(self.timeout), |timeout| options::seconds("timeout", timeout))?,
            one_way: one_way.unwrap_or(self.one_way),
            idempotent: idempotent.unwrap_or(self.idempotent),
        })
    }

    /// A call that begins now. It has no longer than the call that makes it.
    pub(super) fn begin(self, py: Python<'_>) -> CallOptions {
        let begun = Instant::now();
        CallOptions {
            begun,
            deadline: Deadline::after_at(begun, self.timeout).min_with(current::deadline(py)),
            one_way: self.one_way,
            idempotent: self.idempotent,
        }
    }
}

impl Connected {
    /// Where the service lives; takes a look when that is not known.
    pub(super) fn home(&self, py: Python<'_>, timeout: Duration) -> PyResult<Arc<Home<InBuffer>>> {
        if let Some(home) = self.engine.known_home() {
            return Ok(home);
        }
        let _lent = current::lend().map_err(|error| raise(py, &error))?;
        let signals = Signals::default();
        let deadline = Deadline::after(timeout);
        py.detach(|| self.engine.refresh(deadline, &|| signals.look()))
            .map_err(|error| signals.raise(py, &error))
    }

    /// Says which call it was.
    pub(super) fn explain(&self, error: Error, name: &str, timeout: Duration) -> Error {
        let service = self.engine.service();
        let message = match error.code {
            Code::DeadlineExceeded => format!(
                "{service}.{name}: no answer within {} s; give it longer with with_options(timeout=…)",
                timeout.as_secs_f64()
            ),
            _ => format!("{service}.{name}: {}", error.message),
        };
        Error { message, ..error }
    }
}

/// The encoded constructor's arguments, as they are bound on each connection.
fn bound_arguments(
    args: &Bound<'_, PyTuple>,
    kwargs: &Bound<'_, PyDict>,
    limits: &Limits,
) -> PyResult<Vec<u8>> {
    let (mut bytes, mut buffers) = (Vec::new(), Vec::new());
    let limits = Limits { out_of_band: usize::MAX, ..limits.clone() };
    let kwargs = (!kwargs.is_empty()).then_some(kwargs);
    encode_arguments(args, kwargs, &mut Encoder::new(&mut bytes, &mut buffers, &limits))?;
    Ok(bytes)
}

/// Looking for a service more often than this only takes processor time from it.
const SHORTEST_POLL: Duration = Duration::from_micros(500);
