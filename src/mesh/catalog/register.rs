//! What a node serves: read, compared with what it served before, and listed under each action and event.

use std::sync::Arc;

use super::endpoints::{Endpoints, Entry};
use super::service::{Action, Listener, Service, Visibility};
use super::{Catalog, Change, Place, json_of};
use crate::mesh::packet::Value;

/// Actions that nobody serves any more are remembered up to this many.
const SWEEP_LEAST: usize = 4096;

impl Catalog {
    /// Reads what a node tells of its services. What cannot be read is told, and left out.
    pub(super) fn tell_services(&mut self, place: Place, services: Value<'_>, changes: &mut Vec<Change>) {
        let id = self.nodes.get(place).map(|node| node.id.clone()).unwrap_or_default();
        let mut unread = |why| changes.push(Change::Unread { node: id.clone(), why });
        let mut read = Vec::new();
        match services.items() {
            None => unread("services that are no list"),
            Some(items) => {
                for item in items {
                    let json = item.and_then(|item| json_of(services.serializer, item.raw));
                    let service = json.ok_or("a service that cannot be read");
                    match service.and_then(|json| self.known.service(&json)) {
                        Ok(service) => read.push(service),
                        Err(why) => unread(why),
                    }
                }
            }
        }
        self.register(place, read);
        changes.push(Change::ServicesChanged { local: place.is_local() });
    }

    /// A node serves these now, and nothing else.
    pub(super) fn register(&mut self, place: Place, services: Vec<Arc<Service>>) {
        let Some(node) = self.nodes.get_mut(place) else { return };
        let before = std::mem::replace(&mut node.services, services.clone());
        let among =
            |all: &[Arc<Service>], one: &Arc<Service>| all.iter().any(|other| Arc::ptr_eq(other, one));
        for old in before.iter().filter(|old| !among(&services, old)) {
            let new = services.iter().find(|new| new.full_name == old.full_name);
            self.unlist(place, old, new.map(|new| &**new));
        }
        for new in services.iter().filter(|new| !among(&before, new)) {
            self.list(place, new);
        }
        if self.actions.len().max(self.events.lists().len()) > self.sweep_at.max(SWEEP_LEAST) {
            self.actions.retain(|_, endpoints| !endpoints.entries().is_empty());
            self.events.sweep();
            self.sweep_at = 2 * self.actions.len().max(self.events.lists().len());
        }
    }

    fn list(&mut self, place: Place, service: &Arc<Service>) {
        for (index, action) in (0..).zip(&service.actions) {
            if !visible(action, place) {
                continue;
            }
            let strategy = action.strategy.as_ref().unwrap_or(&self.options.strategy);
            let new = || Endpoints::new(&action.name, strategy.clone());
            let endpoints = self.actions.entry(action.name.clone()).or_insert_with(new);
            endpoints.put(place, service, index);
        }
        for (index, listener) in (0..).zip(&service.events) {
            let strategy = listener.strategy.as_ref().unwrap_or(&self.options.strategy);
            let name = (&listener.pattern, &listener.group);
            self.events.put(name, strategy, (place, service, index));
        }
    }

    /// Takes out what an old service has and the new one has not.
    fn unlist(&mut self, place: Place, old: &Service, new: Option<&Service>) {
        let gone = |entry: &Entry| entry.node == place && entry.service.full_name == old.full_name;
        let kept = |old: &Action| {
            let mut actions = new.into_iter().flat_map(|new| &new.actions);
            actions.any(|new| new.name == old.name && visible(new, place))
        };
        for action in old.actions.iter().filter(|action| !kept(action)) {
            if let Some(endpoints) = self.actions.get_mut(&action.name) {
                endpoints.remove(gone);
            }
        }
        let kept = |old: &Listener| {
            let mut events = new.into_iter().flat_map(|new| &new.events);
            events.any(|new| new.pattern == old.pattern && new.group == old.group)
        };
        for listener in old.events.iter().filter(|listener| !kept(listener)) {
            self.events.remove(&listener.pattern, &listener.group, gone);
        }
    }
}

/// Whether an action may be called from here, when a node tells of it.
fn visible(action: &Action, place: Place) -> bool {
    match action.visibility {
        Visibility::Published | Visibility::Public => true,
        Visibility::Protected => place.is_local(),
        Visibility::Private => false,
    }
}
