//! How a node is set up, from Python.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;

use super::transform::Changing;
use crate::core::error::{Code, Error, Result};
use crate::mesh::address::{Nats, Redis};
use crate::mesh::balance::Strategy;
use crate::mesh::catalog;
use crate::mesh::link::{TlsFiles, Transporter};
use crate::mesh::node::{Config, MeshLimits, Told, Transform};
use crate::mesh::packet::{Serializer, Version};

/// What Python gives of a node's set-up. Times are in milliseconds.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(super) struct Given {
    node_id: String,
    instance_id: String,
    namespace: String,
    protocol: String,
    check_version: bool,
    serializer: String,
    transporter: String,
    tls_ca: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    hostname: String,
    ip_list: String,
    client: String,
    metadata: String,
    heartbeat_interval: f64,
    heartbeat_timeout: f64,
    check_heartbeats: bool,
    forget_after: Option<f64>,
    prefer_local: bool,
    strategy: String,
    strategy_options: String,
    request_timeout: f64,
    disable_balancer: bool,
    max_packet: usize,
    max_pending: usize,
    max_nodes: usize,
    discovery: f64,
    silence: f64,
    transform: Option<Py<PyAny>>,
    pub(super) max_level: u32,
    pub(super) workers: usize,
}

impl Given {
    pub(super) fn config(&self, py: Python<'_>) -> Result<Config> {
        let transporter = transporter(&self.transporter)?;
        let strategy = Strategy::resolve(&self.strategy, Some(self.strategy_options.as_bytes()))?;
        let registry = catalog::Options {
            heartbeat_timeout: millis("heartbeat_timeout", self.heartbeat_timeout)?,
            check_heartbeats: self.check_heartbeats,
            forget_after: self.forget_after.map(|time| millis("offline removal", time)).transpose()?,
            prefer_local: self.prefer_local,
            strategy: Arc::new(strategy),
            max_nodes: self.max_nodes,
            ..catalog::Options::default()
        };
        let limits = MeshLimits {
            max_packet: self.max_packet,
            max_pending: self.max_pending,
            discovery: millis("discovery_wait", self.discovery)?,
            silence: millis("silence", self.silence)?.max(Duration::from_millis(100)),
            ..MeshLimits::default()
        };
        let changing = self.transform.as_ref().map(|transform| Changing(transform.clone_ref(py)));
        Ok(Config {
            namespace: self.namespace.clone(),
            version: Version::named(&self.protocol).ok_or_else(|| {
                wrong(format!(
                    "protocol={:?}: there are \"4\" (Moleculer 0.14) and \"5\" (0.15)",
                    self.protocol
                ))
            })?,
            check_version: self.check_version,
            serializer: match self.serializer.to_ascii_lowercase().as_str() {
                "json" => Serializer::Json,
                "msgpack" => Serializer::MsgPack,
                other => {
                    return Err(wrong(format!("serializer={other:?}: there are \"json\" and \"msgpack\"")));
                }
            },
            tls: TlsFiles {
                trusted: self.tls_ca.clone(),
                identity: self.tls_cert.clone().zip(self.tls_key.clone()),
            },
            told: Told {
                ip_list: self.ip_list.clone().into_bytes(),
                hostname: self.hostname.clone(),
                client: self.client.clone().into_bytes(),
                metadata: self.metadata.clone().into_bytes(),
            },
            registry,
            heartbeat_interval: millis("heartbeat_interval", self.heartbeat_interval)?,
            request_timeout_ms: self.request_timeout,
            disable_balancer: self.disable_balancer,
            limits,
            transform: changing.map(|changing| Arc::new(changing) as Arc<dyn Transform>),
            ..Config::new(&self.node_id, &self.instance_id, transporter)
        })
    }
}

/// A transporter by its URL: `redis://…`, `nats://…`, or `memory`, with a name behind it where there are several.
fn transporter(text: &str) -> Result<Transporter> {
    let scheme = text.split("://").next().unwrap_or_default().to_ascii_lowercase();
    match scheme.as_str() {
        "memory" => Ok(Transporter::Memory(text.get("memory://".len()..).unwrap_or_default().to_owned())),
        "redis" | "rediss" => Redis::parse(text).map(Transporter::Redis),
        "nats" | "natss" | "tls" => Nats::parse(text).map(Transporter::Nats),
        _ => Err(wrong(format!(
            "transporter={text:?}: there are \"redis://host:6379\", \"nats://host:4222\" and \"memory\""
        ))),
    }
}

fn millis(name: &str, time: f64) -> Result<Duration> {
    if !time.is_finite() || !(0.0..=1e12).contains(&time) {
        return Err(wrong(format!("{name}={time} is no number of milliseconds")));
    }
    Ok(Duration::from_secs_f64(time / 1e3))
}

fn wrong(text: String) -> Error {
    Error::new(Code::Configuration, text)
}
