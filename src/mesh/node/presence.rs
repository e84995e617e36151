//! Who this node is, and what it serves, told to the others.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use super::delivery::Delivery;
use super::incoming::now_ms;
use super::{Core, Node, ids};
use crate::core::error::Result;
use crate::mesh::packet::{Command, Heartbeat, Info, Packet, Ping, Serializer, to_msgpack};
use crate::mesh::pattern::is_internal;

impl<W: Send + 'static> Node<W> {
    /// This node serves these, a JSON array, and nothing else. Others learn of it by [`Node::announce`].
    pub fn set_services(&self, services: &[u8], out: &mut Vec<Delivery<W>>) {
        let mut core = self.core.lock();
        let changes = core.catalog.set_local_services(services);
        self.changed(&mut core, changes, out);
    }

    /// Tells all nodes who this is, and what it serves.
    ///
    /// # Errors
    /// Why it was not sent: it is told again when the connection stands again.
    pub fn announce(&self) -> Result<()> {
        let balanced = self.config.disable_balancer.then(|| self.balanced_topics());
        let (topic, packet) = {
            let mut core = self.core.lock();
            self.info_packet(&mut core, None)
        };
        let packet = self.outgoing(&topic, &packet)?;
        let mut link = self.link.lock();
        if let (Some(topics), Some(wire)) = (balanced, &mut link.wire) {
            wire.balance(&topics)?;
        }
        self.put(&mut link, &topic, &packet)?;
        self.flush_link(&mut link)
    }

    /// The topics that the transporter hands to one of many, with their queues.
    fn balanced_topics(&self) -> Vec<(String, String)> {
        let core = self.core.lock();
        let mut topics = Vec::new();
        let services = core.catalog.node(&self.config.node_id).into_iter().flat_map(|node| &node.services);
        for service in services {
            for action in service.actions.iter().filter(|action| !is_internal(&action.name)) {
                topics.push((self.topics.balanced_request(&action.name), action.name.to_string()));
            }
            for listener in service.events.iter().filter(|listener| !is_internal(&listener.pattern)) {
                let subject = self.topics.balanced_subject(&listener.group, &listener.pattern);
                topics.push((subject, listener.group.to_string()));
            }
        }
        topics.sort();
        topics.dedup();
        topics
    }

    /// An `INFO`, and its topic.
    pub(super) fn info_packet(&self, core: &mut Core<W>, to: Option<&str>) -> (String, Vec<u8>) {
        let seq = core.catalog.info_seq();
        let mut services = Vec::new();
        if let Some(me) = core.catalog.node(&self.config.node_id) {
            me.write_services(&mut services);
        }
        let told = &self.config.told;
        let [services, ip_list, client, metadata] =
            [&services, &told.ip_list, &told.client, &told.metadata].map(|json| self.transcoded(json));
        let info = Packet::Info(Info {
            services: services.as_deref(),
            ip_list: ip_list.as_deref(),
            hostname: Some(Cow::Borrowed(&told.hostname)),
            client: client.as_deref(),
            config: None,
            instance_id: Some(Cow::Borrowed(&self.config.instance_id)),
            metadata: metadata.as_deref(),
            seq,
        });
        self.written(Command::Info, to, &info)
    }

    /// JSON in the mesh's serializer; `None` for none.
    fn transcoded<'a>(&self, json: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        match self.config.serializer {
            _ if json.is_empty() => None,
            Serializer::Json => Some(Cow::Borrowed(json)),
            Serializer::MsgPack => to_msgpack(json).map(Cow::Owned),
        }
    }

    /// Asks a node, or all, whether they are there. Gives the ping's id.
    ///
    /// # Errors
    /// Why it was not sent.
    pub fn ping(&self, node: Option<&str>) -> Result<String> {
        let id = self.fresh_id();
        let ping = Packet::Ping(Ping { id: Some(Cow::Borrowed(&id)), time: Some(now_ms()) });
        self.publish(Command::Ping, node, &ping)?;
        Ok(id)
    }

    /// Asks a node, or all, who they are.
    ///
    /// # Errors
    /// Why it was not sent.
    pub fn discover(&self, node: Option<&str>) -> Result<()> {
        self.publish(Command::Discover, node, &Packet::Discover)
    }

    /// Takes no calls and events any more: they are refused, so that their senders ask others.
    pub fn stop_serving(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn send_heartbeat(&self, cpu: Option<f64>) -> Result<()> {
        self.core.lock().catalog.set_local(|node| node.cpu = cpu);
        self.publish(Command::Heartbeat, None, &Packet::Heartbeat(Heartbeat { cpu }))
    }

    /// Measures the ways to other hosts.
    pub(super) fn ping_hosts(&self) -> Result<()> {
        let targets = {
            let mut core = self.core.lock();
            let Core { catalog, dice, .. } = &mut *core;
            catalog.latencies().targets(dice)
        };
        for node in targets {
            self.ping(Some(&node))?;
        }
        Ok(())
    }

    /// What is said first on each connection.
    pub(super) fn hello(&self) -> (String, Vec<u8>) {
        self.written(Command::Discover, None, &Packet::Discover)
    }

    /// The id of a fresh ping or event, in a form that is kept.
    #[must_use]
    pub fn fresh(&self) -> [u8; 36] {
        self.lock_core().ids.fresh()
    }

    /// An id's text.
    #[must_use]
    pub fn id_text(id: &[u8; 36]) -> &str {
        ids::text(id)
    }
}
