//! The nodes that serve one action, or listen to one event in one group.

use std::sync::Arc;

use super::nodes::Nodes;
use super::{Place, Service};
use crate::mesh::balance::{Balancer, Candidates, Random, Strategy};

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) node: Place,
    pub(super) service: Arc<Service>,
    /// Which of the service's actions or events it is.
    pub(super) index: u32,
    /// Whether it may be chosen now.
    usable: bool,
}

impl Entry {
    pub(super) fn is_usable(&self) -> bool {
        self.usable
    }
}

/// All of them, in the order in which they came.
#[derive(Debug)]
pub(super) struct Endpoints {
    entries: Vec<Entry>,
    /// Where those of this node are.
    local: Vec<usize>,
    unusable: usize,
    /// Another one after each change.
    generation: u64,
    balancer: Balancer,
    /// The broker's own are answered by the node that asks.
    internal: bool,
}

/// What is needed to choose.
pub(super) struct Choosing<'a> {
    pub(super) nodes: &'a Nodes,
    pub(super) prefer_local: bool,
    pub(super) key: Option<&'a str>,
}

impl Endpoints {
    pub(super) fn new(name: &str, strategy: Arc<Strategy>) -> Self {
        Self {
            entries: Vec::new(),
            local: Vec::new(),
            unusable: 0,
            generation: 0,
            balancer: Balancer::new(strategy),
            internal: name.starts_with('$'),
        }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn strategy(&self) -> &Strategy {
        self.balancer.strategy()
    }

    pub(super) fn local(&self) -> impl Iterator<Item = &Entry> {
        self.local.iter().filter_map(|place| self.entries.get(*place))
    }

    /// The same service of the same node is there once, as it last told.
    pub(super) fn put(&mut self, node: Place, service: &Arc<Service>, index: u32) {
        let found = self
            .entries
            .iter_mut()
            .find(|entry| entry.node == node && entry.service.full_name == service.full_name);
        match found {
            Some(entry) => (entry.service, entry.index) = (service.clone(), index),
            None => {
                if node.is_local() {
                    self.local.push(self.entries.len());
                }
                self.entries.push(Entry { node, service: service.clone(), index, usable: true });
                self.generation += 1;
            }
        }
    }

    /// Takes out what `gone` says.
    pub(super) fn remove(&mut self, gone: impl Fn(&Entry) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|entry| !gone(entry));
        if self.entries.len() != before {
            self.changed();
        }
    }

    /// Whether those of a node may be chosen.
    pub(super) fn set_usable(&mut self, node: Place, usable: bool) {
        for entry in self.entries.iter_mut().filter(|entry| entry.node == node) {
            entry.usable = usable;
        }
        self.changed();
    }

    fn changed(&mut self) {
        self.generation += 1;
        self.unusable = self.entries.iter().filter(|entry| !entry.usable).count();
        self.local.clear();
        let local = self.entries.iter().enumerate().filter(|(_, entry)| entry.node.is_local());
        self.local.extend(local.map(|(place, _)| place));
    }

    /// The next one, in Moleculer's order of preference; `None` when none may be chosen.
    pub(super) fn choose(&mut self, choosing: &Choosing<'_>, random: &mut dyn Random) -> Option<&Entry> {
        let place = self.choose_place(choosing, random)?;
        self.entries.get(place)
    }

    fn choose_place(&mut self, choosing: &Choosing<'_>, random: &mut dyn Random) -> Option<usize> {
        let has_local = !self.local.is_empty();
        if self.internal && has_local {
            return self.choose_local(choosing, random);
        }
        if let [only] = self.entries.as_slice() {
            return only.usable.then_some(0);
        }
        if choosing.prefer_local
            && has_local
            && let Some(place) = self.choose_local(choosing, random)
        {
            return Some(place);
        }
        if self.unusable == 0 {
            return self.pick(None, choosing, random);
        }
        let usable = |place: &usize| self.entries.get(*place).is_some_and(|entry| entry.usable);
        let usable: Vec<usize> = (0..self.entries.len()).filter(usable).collect();
        self.pick(Some(&usable), choosing, random)
    }

    /// The next one of this node.
    pub(super) fn choose_local(&mut self, choosing: &Choosing<'_>, random: &mut dyn Random) -> Option<usize> {
        let usable = |place: &usize| self.entries.get(*place).is_some_and(|entry| entry.usable);
        if let [only] = self.local.as_slice() {
            return Some(*only).filter(usable);
        }
        let local: Vec<usize> = self.local.iter().copied().filter(usable).collect();
        self.pick(Some(&local), choosing, random)
    }

    fn pick(
        &mut self,
        among: Option<&[usize]>,
        choosing: &Choosing<'_>,
        random: &mut dyn Random,
    ) -> Option<usize> {
        let view = View { entries: &self.entries, among, nodes: choosing.nodes };
        let picked = self.balancer.pick(&view, self.generation, choosing.key, random)?;
        match among {
            Some(among) => among.get(picked).copied(),
            None => Some(picked),
        }
    }
}

/// Those that may be chosen, for the balancer.
struct View<'a> {
    entries: &'a [Entry],
    among: Option<&'a [usize]>,
    nodes: &'a Nodes,
}

impl View<'_> {
    fn place(&self, place: usize) -> Option<Place> {
        let place = self.among.map_or(Some(place), |among| among.get(place).copied())?;
        Some(self.entries.get(place)?.node)
    }
}

impl Candidates for View<'_> {
    fn count(&self) -> usize {
        self.among.map_or(self.entries.len(), <[usize]>::len)
    }

    fn node(&self, place: usize) -> &str {
        self.place(place).and_then(|place| self.nodes.get(place)).map_or("", |node| &node.id)
    }

    fn cpu(&self, place: usize) -> Option<f64> {
        self.nodes.get(self.place(place)?)?.cpu
    }

    fn latency(&self, place: usize) -> Option<f64> {
        let node = self.nodes.get(self.place(place)?)?;
        self.nodes.latencies.average(node.hostname.as_deref()?)
    }
}
