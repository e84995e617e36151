//! How a connector is set up, from Python.

use std::path::PathBuf;
use std::time::Duration;

use lapin::ExchangeKind;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::codec::{Codec, Fallback};
use super::table::{self, Floats};
use crate::core::error::{Code, Error, Result};
use crate::fabric::address::{Address, TlsFiles};
use crate::fabric::config::{Config, Exchange};
use crate::fabric::consume::Offset;
use crate::fabric::data::{Retention, Subscription};
use crate::fabric::identity::Identity;
use crate::fabric::limits::FabricLimits;
use crate::fabric::names::{self, Names};
use crate::python::errors::raise;

/// What Python gives of a connector's set-up.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(super) struct Given {
    uri: String,
    domain: String,
    kind: String,
    id: String,
    version: Option<String>,
    keep_alive: Option<f64>,
    time_to_live: f64,
    discovery_exchange: String,
    data_suffix: String,
    tls_ca: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    codec: String,
    compatible: bool,
    pub(super) workers: usize,
    exchanges: Option<Vec<(String, String, bool)>>,
}

impl Given {
    pub(super) fn config(&self, limits: &Bound<'_, PyDict>) -> PyResult<Config> {
        let py = limits.py();
        let mut bounds = FabricLimits::from_env().map_err(|error| raise(py, &error))?;
        for (name, value) in limits {
            let name: String = name.extract()?;
            bounds.set(&name, value.extract()?).map_err(|error| raise(py, &error))?;
        }
        self.checked(bounds).map_err(|error| raise(py, &error))
    }

    fn checked(&self, limits: FabricLimits) -> Result<Config> {
        let files = TlsFiles {
            trusted: self.tls_ca.clone(),
            certificate: self.tls_cert.clone(),
            key: self.tls_key.clone(),
        };
        let identity = Identity::new(&self.domain, &self.kind, &self.id, self.version.as_deref())?;
        Ok(Config {
            address: Address::parse(&self.uri)?.with_files(files)?,
            names: Names::new(&identity, &self.data_suffix, &self.discovery_exchange)?,
            identity,
            data_suffix: self.data_suffix.clone(),
            limits,
            keep_alive: self
                .keep_alive
                .map(|every| seconds("keep_alive_seconds", every, 0.01))
                .transpose()?,
            time_to_live: seconds("discovery_cache_ttl", self.time_to_live, 0.01)?,
            exchanges: self
                .exchanges
                .as_ref()
                .map(|given| given.iter().map(exchange).collect())
                .transpose()?,
        })
    }

    pub(super) fn codec(&self) -> Result<(Codec, Fallback)> {
        let codec = Codec::named(&self.codec).ok_or_else(|| {
            Error::new(
                Code::Configuration,
                format!("codec={:?} is neither \"json\" nor \"gzip\"", self.codec),
            )
        })?;
        Ok((codec, if self.compatible { Fallback::Repr } else { Fallback::Refuse }))
    }
}

fn exchange((name, kind, durable): &(String, String, bool)) -> Result<Exchange> {
    let kind = match kind.as_str() {
        "topic" => ExchangeKind::Topic,
        "direct" => ExchangeKind::Direct,
        "fanout" => ExchangeKind::Fanout,
        "headers" => ExchangeKind::Headers,
        _ => {
            let text = format!("exchange {name}: {kind:?} is none of topic, direct, fanout, headers");
            return Err(Error::new(Code::Configuration, text));
        }
    };
    Ok(Exchange { name: names::checked("the exchange", name.clone())?, kind, durable: *durable })
}

/// A time that the user gives.
///
/// # Errors
/// `Configuration` when it is none, or too short.
pub(super) fn seconds(name: &str, number: f64, least: f64) -> Result<Duration> {
    if (least..1e9).contains(&number) {
        return Ok(Duration::from_secs_f64(number));
    }
    Err(Error::new(Code::Configuration, format!("{name}={number} is no time in seconds from {least} up")))
}

/// Headers that are sent, or matched: written as those of other make are, so that they meet.
pub(super) fn headers(value: &Bound<'_, PyAny>) -> PyResult<lapin::types::FieldTable> {
    table::write(value, "headers", Floats::Single)
}

/// What Python gives of a subscription.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(super) struct GivenSubscription<'py> {
    name: String,
    headers: Bound<'py, PyAny>,
    any: bool,
    domain: String,
    durable: bool,
    pub(super) ack: String,
    prefetch: Option<u16>,
    dead_letter: bool,
    pub(super) max_deliveries: Option<u32>,
    queue: Option<String>,
    stream: Option<String>,
    replay: Option<Bound<'py, PyAny>>,
}

impl GivenSubscription<'_> {
    pub(super) fn subscription(&self, prefetch: u16) -> PyResult<Subscription> {
        let replay = self.replay.as_ref().map_or(Ok(Offset::Next), offset)?;
        Ok(Subscription {
            name: self.name.clone(),
            headers: headers(&self.headers)?,
            any: self.any,
            domain: names_domain(&self.domain).map_err(|error| raise(self.headers.py(), &error))?,
            durable: self.durable,
            dead_letter: self.dead_letter,
            max_deliveries: self.max_deliveries,
            prefetch: self.prefetch.unwrap_or(prefetch),
            no_ack: self.ack == "none",
            queue: self.queue.clone(),
            stream: self.stream.clone().map(|stream| (stream, replay)),
        })
    }
}

fn names_domain(domain: &str) -> Result<String> {
    names::checked("the domain", domain.to_owned())
}

/// Where a stream is read from: `"first"`, `"last"`, `"next"`, a number, or a time in seconds since 1970 as a float.
fn offset(value: &Bound<'_, PyAny>) -> PyResult<Offset> {
    if let Ok(name) = value.extract::<String>() {
        return match name.as_str() {
            "first" => Ok(Offset::First),
            "last" => Ok(Offset::Last),
            "next" => Ok(Offset::Next),
            _ => Err(wrong_replay(value)),
        };
    }
    if let Ok(number) = value.extract::<u64>() {
        return Ok(Offset::At(number));
    }
    let since = value.extract::<f64>().ok().filter(|since| (0.0..1e11).contains(since));
    let since = since.ok_or_else(|| wrong_replay(value))?;
    Ok(Offset::Since(std::time::UNIX_EPOCH + Duration::from_secs_f64(since)))
}

fn wrong_replay(value: &Bound<'_, PyAny>) -> PyErr {
    let text =
        format!("replay={value} is none of \"first\", \"last\", \"next\", a number from 0 up, or a time");
    raise(value.py(), &Error::new(Code::Configuration, text))
}

/// What Python gives of a stream that keeps data.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(super) struct GivenRetention<'py> {
    stream: String,
    headers: Bound<'py, PyAny>,
    any: bool,
    max_age: Option<f64>,
    max_bytes: Option<u64>,
}

impl GivenRetention<'_> {
    pub(super) fn retention(&self) -> PyResult<Retention> {
        let max_age = self.max_age.map(|age| seconds("max_age", age, 1.0)).transpose();
        Ok(Retention {
            stream: self.stream.clone(),
            headers: headers(&self.headers)?,
            any: self.any,
            max_age: max_age.map_err(|error| raise(self.headers.py(), &error))?,
            max_bytes: self.max_bytes,
        })
    }
}
