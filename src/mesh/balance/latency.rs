//! How long the way to each host is, as pings tell. Hosts are asked, not nodes: many may share one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::Random;

/// How ways are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyOptions {
    /// How many pongs of a host count (5).
    pub collect_count: usize,
    /// The time between two pings of a host (10 s).
    pub ping_interval: Duration,
}

impl Default for LatencyOptions {
    fn default() -> Self {
        Self { collect_count: 5, ping_interval: Duration::from_secs(10) }
    }
}

/// What is known of the ways.
#[derive(Debug, Default)]
pub struct Latencies {
    options: LatencyOptions,
    hosts: HashMap<Arc<str>, Host>,
}

#[derive(Debug, Default)]
struct Host {
    /// The last times, in milliseconds.
    times: VecDeque<f64>,
    average: Option<f64>,
    nodes: Vec<Arc<str>>,
}

impl Latencies {
    /// Of no host yet.
    #[must_use]
    pub fn new(options: LatencyOptions) -> Self {
        Self { options, hosts: HashMap::new() }
    }

    /// How ways are measured.
    #[must_use]
    pub fn options(&self) -> LatencyOptions {
        self.options
    }

    /// A node is at this host.
    pub fn came(&mut self, hostname: &Arc<str>, node: &Arc<str>) {
        let host = self.hosts.entry(hostname.clone()).or_default();
        if !host.nodes.contains(node) {
            host.nodes.push(node.clone());
        }
    }

    /// A node has left this host. With the last, what is known of the way there is forgotten.
    pub fn left(&mut self, hostname: &str, node: &str) {
        let Some(host) = self.hosts.get_mut(hostname) else { return };
        host.nodes.retain(|known| &**known != node);
        if host.nodes.is_empty() {
            self.hosts.remove(hostname);
        }
    }

    /// A node of this host has answered a ping, after so many milliseconds.
    pub fn heard(&mut self, hostname: &str, elapsed: f64) {
        let Some(host) = self.hosts.get_mut(hostname) else { return };
        while host.times.len() >= self.options.collect_count.max(1) {
            host.times.pop_front();
        }
        host.times.push_back(elapsed);
        #[expect(clippy::cast_precision_loss, reason = "few")]
        let count = host.times.len() as f64;
        host.average = Some(host.times.iter().sum::<f64>() / count);
    }

    /// The average of the last times, in milliseconds.
    #[must_use]
    pub fn average(&self, hostname: &str) -> Option<f64> {
        self.hosts.get(hostname)?.average
    }

    /// The nodes to ping now: any one of each host.
    pub fn targets(&self, random: &mut impl Random) -> Vec<Arc<str>> {
        let pick = |host: &Host| host.nodes.get(random.below(host.nodes.len().max(1))).cloned();
        self.hosts.values().filter_map(pick).collect()
    }
}
