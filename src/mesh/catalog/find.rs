//! Where a call or an event goes, and what there is.

use std::sync::Arc;

use super::endpoints::{Choosing, Entry};
use super::events::Plan;
use super::{Action, Catalog, Endpoints, Listener, Node, Place, Service};
use crate::mesh::balance::{Latencies, Random, Strategy};

/// One node's action.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The node's id.
    pub node: Arc<str>,
    /// Whether it is this node.
    pub local: bool,
    /// The action's service.
    pub service: Arc<Service>,
    index: usize,
}

impl Endpoint {
    /// The action.
    #[must_use]
    pub fn action(&self) -> Option<&Action> {
        self.service.actions.get(self.index)
    }
}

/// Which endpoint a call goes to.
#[derive(Clone, Debug)]
pub enum Choice {
    /// This one.
    To(Endpoint),
    /// None: nobody serves this action (or not the node that was asked for).
    Unknown,
    /// None that may be called now.
    Unavailable,
}

/// A service of this node that an event reaches.
#[derive(Clone, Debug)]
pub struct Reached {
    /// The service.
    pub service: Arc<Service>,
    index: usize,
}

impl Reached {
    /// What it listens to.
    #[must_use]
    pub fn listener(&self) -> Option<&Listener> {
        self.service.events.get(self.index)
    }
}

/// Where an event goes.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// To these services of this node.
    pub local: Vec<Reached>,
    /// To these nodes, one packet each, for these groups there (none: all of those that the caller named).
    pub remote: Vec<(Arc<str>, Vec<Arc<str>>)>,
}

/// An action, wherever it is served.
#[derive(Debug)]
pub struct ActionSummary<'a> {
    /// Its full name.
    pub name: &'a Arc<str>,
    /// How a node is chosen.
    pub strategy: &'a Strategy,
    /// Where it is served, and whether it may be called there now.
    pub endpoints: Vec<(Endpoint, bool)>,
}

/// A pattern and a group, wherever it is listened to.
#[derive(Debug)]
pub struct EventSummary<'a> {
    /// The pattern.
    pub pattern: &'a Arc<str>,
    /// The group.
    pub group: &'a Arc<str>,
    /// Who listens: the node, its service, and whether it is this node.
    pub endpoints: Vec<(Arc<str>, Arc<Service>, bool)>,
}

impl Catalog {
    /// Where a call of an action goes. `key` is the call's, where the action's strategy shards.
    pub fn choose(&mut self, action: &str, key: Option<&str>, random: &mut dyn Random) -> Choice {
        let Some(endpoints) = self.actions.get_mut(action) else { return Choice::Unknown };
        let choosing = Choosing { nodes: &self.nodes, prefer_local: self.options.prefer_local, key };
        let entry = endpoints.choose(&choosing, random).cloned();
        self.choice(entry.as_ref())
    }

    /// Where a call of an action goes that another node has sent here.
    pub fn choose_local(&mut self, action: &str, key: Option<&str>, random: &mut dyn Random) -> Choice {
        let Some(endpoints) = self.actions.get_mut(action) else { return Choice::Unknown };
        if endpoints.local().next().is_none() {
            return Choice::Unknown;
        }
        let choosing = Choosing { nodes: &self.nodes, prefer_local: true, key };
        let place = endpoints.choose_local(&choosing, random);
        let entry = place.and_then(|place| endpoints.entries().get(place)).cloned();
        self.choice(entry.as_ref())
    }

    /// Where a call of an action goes that is meant for one node.
    #[must_use]
    pub fn at_node(&self, action: &str, node: &str) -> Choice {
        let Some((endpoints, place)) = self.actions.get(action).zip(self.nodes.place(node)) else {
            return Choice::Unknown;
        };
        match endpoints.entries().iter().find(|entry| entry.node == place) {
            None => Choice::Unknown,
            Some(entry) => self.choice(Some(entry)),
        }
    }

    /// How an action's node is chosen: it says where the key of a call is. `None` when nobody serves it.
    #[must_use]
    pub fn strategy(&self, action: &str) -> Option<&Strategy> {
        self.actions.get(action).map(Endpoints::strategy)
    }

    /// An action is not to be called at a node, or may be again.
    pub fn set_usable(&mut self, action: &str, node: &str, usable: bool) {
        if let Some((endpoints, place)) = self.actions.get_mut(action).zip(self.nodes.place(node)) {
            endpoints.set_usable(place, usable);
        }
    }

    /// Where an event goes: to one service of each pattern and group. No groups are all.
    pub fn emit(
        &mut self,
        event: &str,
        groups: &[&str],
        key: Option<&str>,
        random: &mut dyn Random,
    ) -> Delivery {
        let choosing = Choosing { nodes: &self.nodes, prefer_local: self.options.prefer_local, key };
        let plan = self.events.emit(event, groups, &choosing, random);
        self.delivery(plan)
    }

    /// Where an event goes: to every service that listens. No groups are all.
    #[must_use]
    pub fn broadcast(&self, event: &str, groups: &[&str]) -> Delivery {
        self.delivery(self.events.broadcast(event, groups, &self.nodes))
    }

    /// Which services of this node an event reaches that another has sent here, or that stays here. No groups are
    /// all.
    pub fn received(
        &mut self,
        event: &str,
        groups: &[&str],
        broadcast: bool,
        random: &mut dyn Random,
    ) -> Vec<Reached> {
        let choosing = Choosing { nodes: &self.nodes, prefer_local: true, key: None };
        let local = self.events.received(event, groups, broadcast, &choosing, random);
        local.into_iter().map(reached).collect()
    }

    /// The groups that an event reaches, each once: where the transporter balances, each has a topic of its own.
    #[must_use]
    pub fn groups(&self, event: &str) -> Vec<Arc<str>> {
        self.events.groups(event)
    }

    /// A node by its id.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.get(self.nodes.place(id)?)
    }

    /// All nodes, those that have gone as well. This one is the first.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.all().map(|(_, node)| node)
    }

    /// Whether a service of this full name is served anywhere.
    #[must_use]
    pub fn has_service(&self, full_name: &str) -> bool {
        self.nodes().any(|node| node.services.iter().any(|service| &*service.full_name == full_name))
    }

    /// All actions that are served, or were, in no order.
    pub fn actions(&self) -> impl Iterator<Item = ActionSummary<'_>> {
        self.actions.iter().map(|(name, endpoints)| {
            let told = endpoints.entries().iter();
            let told = told.filter_map(|entry| Some((self.endpoint(entry)?, entry.is_usable())));
            ActionSummary { name, strategy: endpoints.strategy(), endpoints: told.collect() }
        })
    }

    /// Where an action is served, and whether it may be called there now: for a strategy of the user's own. `None`
    /// when nobody ever served it.
    #[must_use]
    pub fn endpoints(&self, action: &str) -> Option<Vec<(Endpoint, bool)>> {
        let entries = self.actions.get(action)?.entries().iter();
        Some(entries.filter_map(|entry| Some((self.endpoint(entry)?, entry.is_usable()))).collect())
    }

    /// All patterns and groups that are listened to, or were, in the order in which they came.
    pub fn events(&self) -> impl Iterator<Item = EventSummary<'_>> {
        self.events.lists().iter().map(|list| {
            let told = list.endpoints.entries().iter().filter_map(|entry| {
                let node = self.nodes.get(entry.node)?;
                Some((node.id.clone(), entry.service.clone(), node.local))
            });
            EventSummary { pattern: &list.pattern, group: &list.group, endpoints: told.collect() }
        })
    }

    /// How long the ways are, and whom to ask.
    #[must_use]
    pub fn latencies(&self) -> &Latencies {
        &self.nodes.latencies
    }

    fn choice(&self, entry: Option<&Entry>) -> Choice {
        entry.and_then(|entry| self.endpoint(entry)).map_or(Choice::Unavailable, Choice::To)
    }

    fn endpoint(&self, entry: &Entry) -> Option<Endpoint> {
        let node = self.nodes.get(entry.node)?;
        let (service, index) = (entry.service.clone(), entry.index as usize);
        Some(Endpoint { node: node.id.clone(), local: node.local, service, index })
    }

    fn delivery(&self, plan: Plan) -> Delivery {
        let id = |place: Place| self.nodes.get(place).map(|node| node.id.clone());
        Delivery {
            local: plan.local.into_iter().map(reached).collect(),
            remote: plan
                .remote
                .into_iter()
                .filter_map(|(place, groups)| Some((id(place)?, groups)))
                .collect(),
        }
    }
}

fn reached(entry: Entry) -> Reached {
    Reached { index: entry.index as usize, service: entry.service }
}
