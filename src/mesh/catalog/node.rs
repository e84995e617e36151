//! What is known of one node.

use std::sync::Arc;
use std::time::Instant;

use super::Service;

/// A node.
#[derive(Debug)]
pub struct Node {
    /// Its id.
    pub id: Arc<str>,
    /// Which run of it this is.
    pub instance_id: Option<Arc<str>>,
    /// How often its services have changed, as far as it has told.
    pub seq: u64,
    /// Whether it is this one.
    pub local: bool,
    /// Whether it is there.
    pub available: bool,
    /// When it was last heard.
    pub heard: Instant,
    /// When it was lost, or left.
    pub offline_since: Option<Instant>,
    /// How busy its processor is, in percent.
    pub cpu: Option<f64>,
    /// Where it runs.
    pub hostname: Option<Arc<str>>,
    /// Its addresses: a JSON array.
    pub ip_list: Option<Box<[u8]>>,
    /// What it runs: a JSON object.
    pub client: Option<Box<[u8]>>,
    /// A JSON object.
    pub config: Option<Box<[u8]>>,
    /// The user's own: a JSON object.
    pub metadata: Option<Box<[u8]>>,
    /// What it serves.
    pub services: Vec<Arc<Service>>,
}

impl Node {
    pub(super) fn new(id: Arc<str>, now: Instant) -> Self {
        Self {
            id,
            instance_id: None,
            seq: 0,
            local: false,
            available: true,
            heard: now,
            offline_since: None,
            cpu: None,
            hostname: None,
            ip_list: None,
            client: None,
            config: None,
            metadata: None,
            services: Vec::new(),
        }
    }

    /// Appends all that it tells of its services: a JSON array.
    pub fn write_services(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (place, service) in self.services.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            out.extend_from_slice(service.raw());
        }
        out.push(b']');
    }
}
