//! What a node is told when it is made.

use std::sync::Arc;
use std::time::Duration;

use crate::core::error::{Code, Error, Result};
use crate::mesh::catalog;
use crate::mesh::link::{TlsFiles, Transporter};
use crate::mesh::packet::{Serializer, Version};

/// A node's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its id, of which there must be one in the mesh.
    pub node_id: String,
    /// Which run of it this is: another each time.
    pub instance_id: String,
    /// Nodes of other namespaces are not heard.
    pub namespace: String,
    /// The protocol's version.
    pub version: Version,
    /// Whether packets of other versions are not read.
    pub check_version: bool,
    /// How packets are written.
    pub serializer: Serializer,
    /// Where they go through.
    pub transporter: Transporter,
    /// For encrypted connections.
    pub tls: TlsFiles,
    /// What is told of this node: JSON.
    pub told: Told,
    /// How the registry judges.
    pub registry: catalog::Options,
    /// The time between two signs of life (10 s).
    pub heartbeat_interval: Duration,
    /// How long a call waits that does not say, nor its action, in milliseconds (30,000); 0: for ever.
    pub request_timeout_ms: f64,
    /// Whether the transporter, not this node, chooses who gets calls and events.
    pub disable_balancer: bool,
    /// What is bounded.
    pub limits: MeshLimits,
    /// Changes the bytes of packets on their way.
    pub transform: Option<Arc<dyn Transform>>,
}

/// What a node tells of itself beside its services.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// A JSON array of texts.
    pub ip_list: Vec<u8>,
    /// Where it runs.
    pub hostname: String,
    /// What it runs: a JSON object.
    pub client: Vec<u8>,
    /// The user's own: a JSON object.
    pub metadata: Vec<u8>,
}

/// The bounds of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshLimits {
    /// The largest packet that is read or sent, in bytes (64 MiB).
    pub max_packet: usize,
    /// Calls that wait for their answers (50,000).
    pub max_pending: usize,
    /// Bytes that wait until the transporter takes them (64 MiB, and one packet).
    pub max_unsent: usize,
    /// For a connection to be made (5 s).
    pub connect_timeout: Duration,
    /// A transporter that says nothing for so long, though it is asked, is left (10 s).
    pub silence: Duration,
    /// The waits between attempts to connect: up to this at first (100 ms).
    pub backoff_first: Duration,
    /// And up to this later (5 s).
    pub backoff_most: Duration,
    /// How long the first answers of other nodes are waited for (500 ms).
    pub discovery: Duration,
    /// Parts of one stream that have come too early (4,096).
    pub max_early: usize,
}

impl Default for MeshLimits {
    fn default() -> Self {
        Self {
            max_packet: 64 << 20,
            max_pending: 50_000,
            max_unsent: 64 << 20,
            connect_timeout: Duration::from_secs(5),
            silence: Duration::from_secs(10),
            backoff_first: Duration::from_millis(100),
            backoff_most: Duration::from_secs(5),
            discovery: Duration::from_millis(500),
            max_early: 4096,
        }
    }
}

/// Changes packets as they leave and come: compression, encryption.
pub trait Transform: Send + Sync + std::fmt::Debug {
    /// What is sent of a packet.
    ///
    /// # Errors
    /// Why it is not sent.
    fn outgoing(&self, topic: &str, packet: &[u8]) -> Result<Vec<u8>>;

    /// The packet that has come as this.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn incoming(&self, topic: &str, bytes: &[u8]) -> Result<Vec<u8>>;
}

/// The longest id of a node, in bytes: it is a part of topics.
const LONGEST_ID: usize = 255;

impl Config {
    /// A node of this id with all defaults.
    #[must_use]
    pub fn new(node_id: &str, instance_id: &str, transporter: Transporter) -> Self {
        Self {
            node_id: node_id.to_owned(),
            instance_id: instance_id.to_owned(),
            namespace: String::new(),
            version: Version::default(),
            check_version: true,
            serializer: Serializer::default(),
            transporter,
            tls: TlsFiles::default(),
            told: Told::default(),
            registry: catalog::Options::default(),
            heartbeat_interval: Duration::from_secs(10),
            request_timeout_ms: 30_000.0,
            disable_balancer: false,
            limits: MeshLimits::default(),
            transform: None,
        }
    }

    /// Whether it can be.
    ///
    /// # Errors
    /// `Configuration`, saying what is wrong and what to do.
    pub fn check(&self) -> Result<()> {
        let wrong = |text: String| Err(Error::new(Code::Configuration, text));
        for (what, name) in [("node_id", &self.node_id), ("namespace", &self.namespace)] {
            if name.len() > LONGEST_ID {
                return wrong(format!("{what} is longer than {LONGEST_ID} bytes"));
            }
            if name.chars().any(|sign| sign.is_whitespace() || sign.is_control() || matches!(sign, '*' | '>'))
            {
                return wrong(format!(
                    "{what} {name:?}: it is a part of topics, and may hold no space, * or >"
                ));
            }
        }
        if self.node_id.is_empty() {
            return wrong("node_id is empty: give each node an id of its own".to_owned());
        }
        if self.disable_balancer && !self.transporter.balances() {
            return wrong(format!(
                "disable_balancer: {} does not hand messages to one of many; use NATS, or leave it off",
                self.transporter.place()
            ));
        }
        if self.heartbeat_interval.is_zero() {
            return wrong("the heartbeat interval is 0".to_owned());
        }
        Ok(())
    }
}
