//! A service of this process, as Python starts and ends it.

use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::bridge::auth::Token;
use crate::bridge::record::hex;
use crate::bridge::registry::{ClaimRequest, Registry};
use crate::bridge::server::host::EndpointKind;
use crate::bridge::server::{Opened, Service, ServiceOptions, TcpOptions};
use crate::core::error::{Code, Error, Result};
use crate::core::instances::{CacheOptions, OnEvict};
use crate::core::limits::Limits;
use crate::core::tls::server_config;
use crate::python::errors::raise;
use crate::python::signals::Signals;

use super::event_loop::EventLoop;
use super::host::{PyHost, Target};
use super::options::{classes, limits, seconds, setting};

/// One service in this process.
#[pyclass(frozen, module = "ironbridge._engine")]
pub(super) struct Server {
    plan: Mutex<Option<(PyHost, ServiceOptions)>>,
    token: Mutex<Option<Token>>,
    made_token: bool,
    service: Mutex<Option<Arc<Service<PyHost>>>>,
    event_loop: EventLoop,
}

/// What can be said when a service is made; the stub tells their meaning.
struct Settings {
    threads: Option<usize>,
    cache_size: Option<usize>,
    cache_ttl: Option<f64>,
    on_evict: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    token: Option<String>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    worker: Option<u16>,
    workers: Option<u16>,
    group: Option<String>,
    version: Option<String>,
    supervisor: Option<u32>,
    detached: Option<bool>,
    parent: Option<u32>,
}

impl Settings {
    fn read(options: &Bound<'_, PyDict>) -> PyResult<Self> {
        Ok(Self {
            threads: setting(options, "threads")?,
            cache_size: setting(options, "cache_size")?,
            cache_ttl: setting(options, "cache_ttl")?,
            on_evict: setting(options, "on_evict")?,
            host: setting(options, "host")?,
            port: setting(options, "port")?,
            token: setting(options, "token")?,
            tls_cert: setting(options, "tls_cert")?,
            tls_key: setting(options, "tls_key")?,
            worker: setting(options, "worker")?,
            workers: setting(options, "workers")?,
            group: setting(options, "group")?,
            version: setting(options, "version")?,
            supervisor: setting(options, "supervisor")?,
            detached: setting(options, "detached")?,
            parent: setting(options, "parent")?,
        })
    }
}

type EndpointRow = (String, String, bool, Py<PyAny>);

#[pymethods]
impl Server {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "each is a part of the service")]
    #[pyo3(signature = (*, name, identity, schema, endpoints, factory, classes, options))]
    fn new(
        py: Python<'_>,
        name: String,
        identity: String,
        schema: &[u8],
        endpoints: Vec<EndpointRow>,
        factory: Option<Py<PyAny>>,
        classes: &Bound<'_, PyDict>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let options = Settings::read(options)?;
        let limits = limits(py)?;
        let declared = self::classes(Some(classes), false)?;
        let schema = String::from_utf8_lossy(schema).into_owned();
        let names: Arc<[String]> = endpoints.iter().map(|row| row.0.clone()).collect();
        let mut kinds = Vec::with_capacity(endpoints.len());
        let mut targets = Vec::with_capacity(endpoints.len());
        for (_, kind, coroutine, target) in endpoints {
            let instance = kind == "instance";
            kinds.push(EndpointKind { coroutine, instance });
            targets.push(match instance {
                true => Target::Attribute(target.extract(py)?),
                false => Target::Function(target),
            });
        }
        let event_loop = EventLoop::default();
        let host = PyHost {
            kinds,
            targets,
            names: Arc::clone(&names),
            factory,
            positional: positional(&schema),
            classes: declared,
            limits: limits.clone(),
            event_loop: event_loop.clone(),
        };
        let (token, made_token) = tcp_token(&name, &options).map_err(|error| raise(py, &error))?;
        let plan = plan(name, identity, schema, names.to_vec(), &options, limits, token.as_ref());
        let plan = plan.map_err(|error| raise(py, &error))?;
        Ok(Self {
            plan: Mutex::new(Some((host, plan))),
            token: Mutex::new(token),
            made_token,
            service: Mutex::new(None),
            event_loop,
        })
    }

    /// Claims the name and listens.
    fn open<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Some((host, options)) = self.plan.lock().take() else {
            return Err(pyo3::exceptions::PyRuntimeError::new_err("the service was opened before"));
        };
        let name = options.claim.service.clone();
        let signals = Signals::default();
        let opened = py
            .detach(|| Service::open(Arc::new(host), options, &|| signals.look()))
            .map_err(|error| signals.raise(py, &error))?;
        let service = match opened {
            Opened::Serving(service) => service,
            Opened::Held(record) => {
                let text = format!("service {name:?} is served already, by process {}", record.pid);
                let error = raise(py, &Error::new(Code::ServiceAlreadyExists, text));
                error.value(py).setattr("pid", record.pid)?;
                error.value(py).setattr("same", true)?;
                return Err(error);
            }
        };
        // One busy endpoint would delay every other by the usual 5 ms.
        py.import("sys")?.call_method1("setswitchinterval", (SWITCH_INTERVAL,))?;
        self.event_loop.attach(service.engine());
        let facts = PyDict::new(py);
        facts.set_item("pid", service.record.pid)?;
        facts.set_item("nonce", hex(&service.record.nonce))?;
        facts.set_item("socket", service.record.socket.to_string_lossy())?;
        facts.set_item("tcp", &service.record.tcp)?;
        let token = self.token.lock().take();
        let told = token.as_ref().filter(|_| self.made_token).map(Token::reveal);
        facts.set_item("token", told)?;
        *self.service.lock() = Some(Arc::new(service));
        Ok(facts)
    }

    /// Serves until drained; Python's signal handlers run meanwhile.
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let Some(service) = self.service.lock().clone() else {
            return Err(pyo3::exceptions::PyRuntimeError::new_err("open() the service first"));
        };
        while !py.detach(|| service.wait(BETWEEN_SIGNALS)) {
            py.check_signals()?;
        }
        let ended = py.detach(|| service.join(LAST_MOMENT));
        self.event_loop.stop(py);
        if !ended {
            super::host::log(py, "a call did not end within the grace period; its process ends all the same");
        }
        Ok(())
    }

    /// Stops accepting, lets running calls finish within `grace` seconds, then ends `run`. From any thread.
    #[pyo3(signature = (grace=None))]
    fn drain(&self, py: Python<'_>, grace: Option<f64>) -> PyResult<()> {
        let grace = grace.map(|grace| seconds("grace", grace)).transpose();
        let grace = grace.map_err(|error| raise(py, &error))?;
        if let Some(service) = &*self.service.lock() {
            service.drain(grace);
        }
        Ok(())
    }
}

/// How long a thread keeps the interpreter while others wait, in seconds.
const SWITCH_INTERVAL: f64 = 0.0005;
/// Between two looks at the signals.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(100);
/// What workers have to end once the service has.
const LAST_MOMENT: Duration = Duration::from_millis(200);

fn plan(
    name: String,
    identity: String,
    schema: String,
    endpoints: Vec<String>,
    options: &Settings,
    limits: Limits,
    token: Option<&Token>,
) -> Result<ServiceOptions> {
    let group = options.group.as_deref().map(group_nonce).transpose()?;
    let tcp = match (&options.host, token) {
        (Some(host), Some(token)) => Some(tcp_options(host, options, token.clone())?),
        _ => None,
    };
    let on_evict = match options.on_evict.as_deref() {
        None | Some("rebuild") => OnEvict::Rebuild,
        Some("error") => OnEvict::Error,
        Some(other) => {
            let text = format!("on_evict={other:?}: it is \"rebuild\" or \"error\"");
            return Err(Error::new(Code::Configuration, text));
        }
    };
    let cache = CacheOptions {
        capacity: options.cache_size.unwrap_or(128),
        time_to_live: options.cache_ttl.map(|ttl| seconds("cache_ttl", ttl)).transpose()?,
        on_evict,
        ..CacheOptions::default()
    };
    Ok(ServiceOptions {
        registry: Registry::open()?,
        claim: ClaimRequest {
            service: name,
            identity,
            version: options.version.clone().unwrap_or_default(),
            schema: String::new(),
            group,
            worker: options.worker.unwrap_or(0),
            workers: options.workers.unwrap_or(1),
            supervisor: options.supervisor,
            tcp: None,
            detached: options.detached.unwrap_or(false),
        },
        schema,
        endpoints,
        limits,
        cache,
        threads: options.threads.unwrap_or_else(default_threads),
        tcp,
        parent: options.parent,
    })
}

/// Two threads for each core, at least 4 and at most 32.
fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(4, |cores| (cores.get() * 2).clamp(4, 32))
}

fn group_nonce(text: &str) -> Result<[u8; 16]> {
    u128::from_str_radix(text, 16)
        .map(u128::to_be_bytes)
        .map_err(|_| Error::new(Code::Configuration, format!("group={text:?} is not 32 hexadecimal digits")))
}

/// The token of a service that listens off-machine: given, in the environment, or kept in a file of its own.
fn tcp_token(name: &str, options: &Settings) -> Result<(Option<Token>, bool)> {
    if options.host.is_none() {
        return Ok((None, false));
    }
    let given = options.token.clone().or_else(|| std::env::var("IRONBRIDGE_TOKEN").ok());
    if let Some(text) = given {
        return Ok((Some(Token::from_text(&text)?), false));
    }
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local").join("state")));
    let Some(state) = state else {
        let text = "there is no home directory to keep a token in: pass token=…, or set IRONBRIDGE_TOKEN";
        return Err(Error::new(Code::Configuration, text));
    };
    let file = format!("{}.token", crate::bridge::record::escape(name));
    Ok((Some(Token::load_or_create(&state.join("ironbridge").join(file))?), true))
}

fn tcp_options(host: &str, options: &Settings, token: Token) -> Result<TcpOptions> {
    let port = options.port.unwrap_or(0);
    let doing = format!("listening on {host:?}");
    let address = (host, port)
        .to_socket_addrs()
        .map_err(|error| Error::io(Code::Configuration, &doing, &error))?
        .next()
        .ok_or_else(|| Error::new(Code::Configuration, format!("{doing}: the name has no address")))?;
    let tls = match (&options.tls_cert, &options.tls_key) {
        (Some(certificate), Some(key)) => Some(server_config(Path::new(certificate), Path::new(key))?),
        (None, None) => None,
        _ => return Err(Error::new(Code::Configuration, "TLS needs both tls_cert and tls_key")),
    };
    Ok(TcpOptions { address, token, tls, shared: options.workers.is_some_and(|workers| workers > 1) })
}

/// The constructor's parameters that can be given by place or by name.
fn positional(schema: &str) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Document {
        constructor: Option<Constructor>,
    }
    #[derive(serde::Deserialize)]
    struct Constructor {
        parameters: Vec<Parameter>,
    }
    #[derive(serde::Deserialize)]
    struct Parameter {
        name: String,
        kind: String,
    }
    let document = serde_json::from_str::<Document>(schema).ok();
    let parameters = document.and_then(|document| document.constructor).map(|made| made.parameters);
    parameters
        .unwrap_or_default()
        .into_iter()
        .take_while(|parameter| parameter.kind.to_ascii_lowercase().starts_with("positional"))
        .map(|parameter| parameter.name)
        .collect()
}
