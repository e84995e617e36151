//! The registry: which nodes there are, what they serve, and where a call or an event goes. It reads what nodes tell,
//! and tells what has changed; it sends nothing, and knows the time only as it is told.

mod change;
mod endpoints;
mod events;
mod find;
mod known;
mod node;
mod nodes;
mod register;
mod service;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;

pub use change::{Change, Heard, Refused};
pub use find::{ActionSummary, Choice, Delivery, Endpoint, EventSummary, Reached};
pub use node::Node;
pub use service::{Action, Listener, Service, Visibility};

use self::endpoints::Endpoints;
use self::events::Events;
use self::known::Known;
use self::nodes::Nodes;
use super::balance::{LatencyOptions, Strategy};
use super::packet::{Info, Serializer, Value, to_json};

/// How the registry judges.
#[derive(Clone, Debug)]
pub struct Options {
    /// A node that is not heard for longer is lost (30 s).
    pub heartbeat_timeout: Duration,
    /// Whether silent nodes are lost at all.
    pub check_heartbeats: bool,
    /// A node that is offline for longer is forgotten (600 s); `None`: never.
    pub forget_after: Option<Duration>,
    /// Whether what is served here is called here.
    pub prefer_local: bool,
    /// How nodes are chosen, where an action does not say (round robin).
    pub strategy: Arc<Strategy>,
    /// Nodes that are known at once (10,000).
    pub max_nodes: usize,
    /// What one node may tell of its services, in bytes (16 MiB).
    pub max_services: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat_timeout: Duration::from_secs(30),
            check_heartbeats: true,
            forget_after: Some(Duration::from_secs(600)),
            prefer_local: true,
            strategy: Arc::default(),
            max_nodes: 10_000,
            max_services: 16 << 20,
        }
    }
}

/// Where a node is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(u32);

impl Place {
    const LOCAL: Self = Self(0);

    #[expect(clippy::cast_possible_truncation, reason = "nodes are bounded")]
    fn new(index: usize) -> Self {
        Self(index as u32)
    }

    fn index(self) -> usize {
        self.0 as usize
    }

    fn is_local(self) -> bool {
        self == Self::LOCAL
    }
}

/// All that is known of the mesh.
#[derive(Debug)]
pub struct Catalog {
    options: Options,
    nodes: Nodes,
    known: Known,
    actions: HashMap<Arc<str>, Endpoints>,
    events: Events,
    /// The local services have changed since others were told.
    untold: bool,
    sweep_at: usize,
}

impl Catalog {
    /// That of the node of this id, alone as yet.
    #[must_use]
    pub fn new(me: &str, options: Options, now: Instant) -> Self {
        let latency = match &*options.strategy {
            Strategy::Latency { options, .. } => *options,
            _ => LatencyOptions::default(),
        };
        let mut known = Known::default();
        let me = known.name(me);
        let nodes = Nodes::new(me, now, latency);
        let (actions, events) = (HashMap::new(), Events::default());
        Self { options, nodes, known, actions, events, untold: false, sweep_at: 0 }
    }

    /// How it judges.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Changes what is told of this node, but not its services.
    pub fn set_local(&mut self, set: impl FnOnce(&mut Node)) {
        if let Some(node) = self.nodes.get_mut(Place::LOCAL) {
            set(node);
        }
    }

    /// This node serves these, a JSON array, and nothing else.
    pub fn set_local_services(&mut self, services: &[u8]) -> Vec<Change> {
        let services = Value { serializer: Serializer::Json, raw: services };
        let mut changes = Vec::new();
        self.untold = true;
        self.tell_services(Place::LOCAL, services, &mut changes);
        changes
    }

    /// The number for the next `INFO`: another one when the services have changed since the last.
    pub fn info_seq(&mut self) -> u64 {
        let changed = std::mem::take(&mut self.untold);
        let Some(node) = self.nodes.get_mut(Place::LOCAL) else { return 1 };
        node.seq += u64::from(changed);
        node.seq
    }

    /// A node has told who it is, and what it serves.
    ///
    /// # Errors
    /// [`Refused`]; nothing has changed.
    pub fn info(
        &mut self,
        serializer: Serializer,
        sender: &str,
        info: &Info<'_>,
        now: Instant,
    ) -> Result<Vec<Change>, Refused> {
        let known = self.nodes.place(sender);
        let before = known.and_then(|place| self.nodes.get(place));
        if before.is_some_and(|node| node.local) {
            let own = before.and_then(|node| node.instance_id.as_deref());
            return Err(match &info.instance_id {
                Some(other) if own != Some(other) => Refused::Conflict { instance_id: other.to_string() },
                _ => Refused::Own,
            });
        }
        if info.services.is_some_and(|services| services.len() > self.options.max_services) {
            return Err(Refused::TooLarge { most: self.options.max_services });
        }
        if before.is_none() && self.nodes.count() >= self.options.max_nodes {
            return Err(Refused::Full { most: self.options.max_nodes });
        }
        let reconnected = before.is_some_and(|node| !node.available);
        let id = before.map_or_else(|| sender.into(), |node| node.id.clone());
        let place = known.unwrap_or_else(|| self.nodes.add(Arc::clone(&id), now));
        let register = self.update(place, serializer, info, now);
        let mut changes = Vec::new();
        if register && let Some(raw) = info.services {
            self.tell_services(place, Value { serializer, raw }, &mut changes);
        }
        changes.push(match known {
            Some(_) if !reconnected => Change::Updated { node: id },
            _ => Change::Connected { node: id, reconnected },
        });
        Ok(changes)
    }

    /// Takes over what a node tells of itself; whether its services must be read as well.
    fn update(&mut self, place: Place, serializer: Serializer, info: &Info<'_>, now: Instant) -> bool {
        let hostname = info.hostname.as_deref().map(|hostname| self.known.name(hostname));
        let instance = info.instance_id.as_deref().map(Into::into);
        let Some(node) = self.nodes.get_mut(place) else { return false };
        let json =
            |raw: Option<&[u8]>| json_of(serializer, raw?).map(|json| json.into_owned().into_boxed_slice());
        let reconnected = !node.available;
        (node.available, node.offline_since, node.heard) = (true, None, now);
        (node.ip_list, node.client) = (json(info.ip_list), json(info.client));
        (node.config, node.metadata) = (json(info.config), json(info.metadata));
        let (id, moved) = (node.id.clone(), node.hostname != hostname);
        let left = std::mem::replace(&mut node.hostname, hostname.clone());
        let register = info.seq > node.seq || reconnected || node.instance_id != instance;
        if register {
            (node.seq, node.instance_id) = (info.seq, instance);
        }
        if let Some(left) = left.filter(|_| moved) {
            self.nodes.latencies.left(&left, &id);
        }
        if let Some(hostname) = hostname {
            self.nodes.latencies.came(&hostname, &id);
        }
        register
    }

    /// A sign of life was heard.
    pub fn heartbeat(&mut self, sender: &str, cpu: Option<f64>, now: Instant) -> Heard {
        let place = self.nodes.place(sender);
        match place.and_then(|place| self.nodes.get_mut(place)) {
            Some(node) if node.local => Heard::Own,
            Some(node) if node.available => {
                node.heard = now;
                node.cpu = cpu.or(node.cpu);
                Heard::Known
            }
            _ => Heard::Discover,
        }
    }

    /// A node has said that it leaves.
    pub fn disconnect(&mut self, sender: &str, now: Instant) -> Vec<Change> {
        let place = self.nodes.place(sender).filter(|place| !place.is_local());
        place.map(|place| self.gone(place, false, now)).unwrap_or_default()
    }

    /// Loses nodes that were silent for too long, and forgets those that have been lost for long.
    pub fn check(&mut self, now: Instant) -> Vec<Change> {
        let (mut lost, mut forgotten) = (Vec::new(), Vec::new());
        for (place, node) in self.nodes.all().filter(|(_, node)| !node.local) {
            let silent = now.saturating_duration_since(node.heard) > self.options.heartbeat_timeout;
            let old =
                |most| node.offline_since.is_some_and(|since| now.saturating_duration_since(since) > most);
            if node.available && silent && self.options.check_heartbeats {
                lost.push(place);
            } else if !node.available && self.options.forget_after.is_some_and(old) {
                forgotten.push(place);
            }
        }
        let mut changes: Vec<Change> =
            lost.into_iter().flat_map(|place| self.gone(place, true, now)).collect();
        let forgotten = forgotten.into_iter().filter_map(|place| self.nodes.remove(place));
        changes.extend(forgotten.map(|node| Change::Removed { node: node.id }));
        changes
    }

    /// The way to all nodes was cut until now: their silence says nothing.
    pub fn resumed(&mut self, now: Instant) {
        for place in (0..self.nodes.places()).map(Place::new) {
            if let Some(node) = self.nodes.get_mut(place).filter(|node| node.available) {
                node.heard = now;
            }
        }
    }

    /// A node has answered a ping, after so many milliseconds.
    pub fn pong(&mut self, sender: &str, elapsed_ms: f64) {
        let node = self.nodes.place(sender).and_then(|place| self.nodes.get(place));
        if let Some(hostname) = node.and_then(|node| node.hostname.clone()) {
            self.nodes.latencies.heard(&hostname, elapsed_ms);
        }
    }

    /// A node is lost, or has left.
    fn gone(&mut self, place: Place, unexpected: bool, now: Instant) -> Vec<Change> {
        let Some(node) = self.nodes.get_mut(place).filter(|node| node.available) else { return Vec::new() };
        (node.available, node.offline_since) = (false, Some(now));
        node.seq += 1;
        let (id, hostname, served) = (node.id.clone(), node.hostname.clone(), !node.services.is_empty());
        if let Some(hostname) = hostname {
            self.nodes.latencies.left(&hostname, &id);
        }
        self.register(place, Vec::new());
        let mut changes = vec![Change::Disconnected { node: id, unexpected }];
        if served {
            changes.push(Change::ServicesChanged { local: false });
        }
        changes
    }
}

/// The JSON of a value; `None` when it is malformed.
fn json_of(serializer: Serializer, raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    match serializer {
        Serializer::Json => serde_json::from_slice::<IgnoredAny>(raw).is_ok().then_some(Cow::Borrowed(raw)),
        Serializer::MsgPack => to_json(raw).map(Cow::Owned),
    }
}
