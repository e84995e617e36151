//! Events of this node: to which of its own services, and to which nodes.

use std::borrow::Cow;

use super::{Core, Node, ids};
use crate::core::error::Result;
use crate::mesh::catalog::{Delivery as Going, Reached};
use crate::mesh::packet::{Command, Event};

/// An event to be told.
#[derive(Clone, Debug, Default)]
pub struct OutgoingEvent<'a> {
    /// Its name.
    pub event: &'a str,
    /// What happened, in the mesh's serializer; `None`: undefined.
    pub data: Option<&'a [u8]>,
    /// For these groups only; none: for all.
    pub groups: &'a [&'a str],
    /// For every service of a group, not for one of each.
    pub broadcast: bool,
    /// As a call's.
    pub meta: Option<&'a [u8]>,
    /// As a call's.
    pub headers: Option<&'a [u8]>,
    /// As a call's.
    pub level: u32,
    /// As a call's.
    pub tracing: Option<bool>,
    /// As a call's.
    pub parent_id: Option<&'a str>,
    /// As a call's; `None`: the event is the first.
    pub request_id: Option<&'a str>,
    /// As a call's.
    pub caller: Option<&'a str>,
    /// The call's key, where the strategy shards.
    pub key: Option<&'a str>,
}

impl<W: Send + 'static> Node<W> {
    /// Tells other nodes of an event. Gives this node's services that it reaches, and its id.
    ///
    /// # Errors
    /// Why it was not sent to all others: those after the failure have not been told.
    pub fn tell_event(&self, event: &OutgoingEvent<'_>) -> (Vec<Reached>, String, Result<()>) {
        let mut core = self.core.lock();
        let id = ids::text(&core.ids.fresh()).to_owned();
        let balanced = self.config.disable_balancer && !event.event.starts_with('$');
        if balanced && !event.broadcast {
            let groups = if event.groups.is_empty() {
                core.catalog.groups(event.event)
            } else {
                event.groups.iter().map(|group| (*group).into()).collect()
            };
            let packets = groups.into_iter().map(|group| {
                let topic = self.topics.balanced_event(&group, event.event);
                (topic, self.packet(&mut core, event, &id, &[&group]))
            });
            let packets = packets.collect();
            drop(core);
            return (Vec::new(), id.clone(), self.put_all(packets));
        }
        let Core { catalog, dice, .. } = &mut *core;
        let Going { local, remote } = if event.broadcast {
            catalog.broadcast(event.event, event.groups)
        } else {
            catalog.emit(event.event, event.groups, event.key, dice)
        };
        let mut packets = Vec::with_capacity(remote.len());
        for (node, groups) in remote {
            let topic = self.topics.topic(Command::Event, Some(&node));
            let groups: Vec<&str> = if event.broadcast {
                event.groups.to_vec()
            } else {
                groups.iter().map(AsRef::as_ref).collect()
            };
            packets.push((topic, self.packet(&mut core, event, &id, &groups)));
        }
        drop(core);
        (local, id, self.put_all(packets))
    }

    /// The services of this node that an event reaches which stays here.
    pub fn reached(&self, event: &str, groups: &[&str], broadcast: bool) -> Vec<Reached> {
        let mut core = self.core.lock();
        let Core { catalog, dice, .. } = &mut *core;
        catalog.received(event, groups, broadcast, dice)
    }

    fn packet(&self, core: &mut Core<W>, event: &OutgoingEvent<'_>, first: &str, groups: &[&str]) -> Vec<u8> {
        let own = core.ids.fresh();
        let packet = Event {
            id: Some(Cow::Borrowed(ids::text(&own))),
            event: Cow::Borrowed(event.event),
            data: event.data,
            groups: (!groups.is_empty()).then(|| groups.iter().map(|group| Cow::Borrowed(*group)).collect()),
            broadcast: event.broadcast,
            meta: event.meta,
            headers: event.headers,
            level: event.level.max(1),
            tracing: event.tracing,
            parent_id: event.parent_id.map(Cow::Borrowed),
            request_id: Some(Cow::Borrowed(event.request_id.unwrap_or(first))),
            caller: event.caller.map(Cow::Borrowed),
        };
        let mut bytes = Vec::with_capacity(event.data.map_or(0, <[u8]>::len) + 320);
        self.writer.event(&mut bytes, &packet);
        bytes
    }

    fn put_all(&self, packets: Vec<(String, Vec<u8>)>) -> Result<()> {
        for (topic, packet) in packets {
            let packet = self.outgoing(&topic, &packet)?;
            self.put(&mut self.link.lock(), &topic, &packet)?;
        }
        Ok(())
    }
}
