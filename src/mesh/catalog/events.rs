//! Who listens to what: patterns and groups, and where an event goes.

use std::collections::HashMap;
use std::sync::Arc;

use super::endpoints::{Choosing, Endpoints, Entry};
use super::nodes::Nodes;
use super::{Place, Service};
use crate::mesh::balance::{Random, Strategy};
use crate::mesh::pattern::{is_wild, matches};

/// Those who listen to a pattern in a group.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) pattern: Arc<str>,
    pub(super) group: Arc<str>,
    pub(super) endpoints: Endpoints,
}

/// All that is listened to, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Events {
    lists: Vec<Listeners>,
    /// Where the lists of a pattern are.
    by_pattern: HashMap<Arc<str>, Vec<usize>>,
    /// Where the lists with wildcards are.
    wild: Vec<usize>,
}

/// Where an event goes: some endpoints here, and nodes with the groups that it reaches there.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) local: Vec<Entry>,
    pub(super) remote: Vec<(Place, Vec<Arc<str>>)>,
}

fn wanted(group: &str, groups: &[&str]) -> bool {
    groups.is_empty() || groups.contains(&group)
}

impl Events {
    pub(super) fn lists(&self) -> &[Listeners] {
        &self.lists
    }

    pub(super) fn put(
        &mut self,
        (pattern, group): (&Arc<str>, &Arc<str>),
        strategy: &Arc<Strategy>,
        (node, service, index): (Place, &Arc<Service>, u32),
    ) {
        let place = self.find(pattern, group).unwrap_or_else(|| {
            let endpoints = Endpoints::new(pattern, strategy.clone());
            self.lists.push(Listeners { pattern: pattern.clone(), group: group.clone(), endpoints });
            self.index(self.lists.len() - 1);
            self.lists.len() - 1
        });
        if let Some(list) = self.lists.get_mut(place) {
            list.endpoints.put(node, service, index);
        }
    }

    pub(super) fn remove(&mut self, pattern: &str, group: &str, gone: impl Fn(&Entry) -> bool) {
        if let Some(list) = self.find(pattern, group).and_then(|place| self.lists.get_mut(place)) {
            list.endpoints.remove(gone);
        }
    }

    /// Forgets lists that nobody is in any more.
    pub(super) fn sweep(&mut self) {
        self.lists.retain(|list| !list.endpoints.entries().is_empty());
        self.by_pattern.clear();
        self.wild.clear();
        for place in 0..self.lists.len() {
            self.index(place);
        }
    }

    fn index(&mut self, place: usize) {
        let Some(list) = self.lists.get(place) else { return };
        self.by_pattern.entry(list.pattern.clone()).or_default().push(place);
        if is_wild(&list.pattern) {
            self.wild.push(place);
        }
    }

    fn find(&self, pattern: &str, group: &str) -> Option<usize> {
        let places = self.by_pattern.get(pattern)?;
        places.iter().copied().find(|place| self.lists.get(*place).is_some_and(|list| &*list.group == group))
    }

    /// Where the lists are that an event of this name is for.
    fn matching(&self, event: &str, groups: &[&str]) -> Vec<usize> {
        let exact = if is_wild(event) { None } else { self.by_pattern.get(event) };
        let list = |place: &usize| self.lists.get(*place);
        let wild =
            self.wild.iter().filter(|place| list(place).is_some_and(|list| matches(&list.pattern, event)));
        let mut places: Vec<usize> = exact.into_iter().flatten().chain(wild).copied().collect();
        places.retain(|place| list(place).is_some_and(|list| wanted(&list.group, groups)));
        places.sort_unstable();
        places
    }

    /// The groups that an event of this name reaches, each once.
    pub(super) fn groups(&self, event: &str) -> Vec<Arc<str>> {
        let mut groups: Vec<Arc<str>> = Vec::new();
        for place in self.matching(event, &[]) {
            match self.lists.get(place) {
                Some(list) if !groups.contains(&list.group) => groups.push(list.group.clone()),
                _ => {}
            }
        }
        groups
    }

    /// One endpoint of each pattern and group. Nodes decide again who listens: one that an event goes to in a group
    /// already takes it for the group's other patterns as well, or it would be handled twice.
    pub(super) fn emit(
        &mut self,
        event: &str,
        groups: &[&str],
        choosing: &Choosing<'_>,
        random: &mut dyn Random,
    ) -> Plan {
        let mut plan = Plan::default();
        for place in self.matching(event, groups) {
            let Some(Listeners { group, endpoints, .. }) = self.lists.get_mut(place) else { continue };
            let listens = |node: &Place| endpoints.entries().iter().any(|entry| entry.node == *node);
            if plan.remote.iter().any(|(node, groups)| groups.contains(group) && listens(node)) {
                continue;
            }
            let Some(entry) = endpoints.choose(choosing, random) else { continue };
            if entry.node.is_local() {
                plan.local.push(entry.clone());
                continue;
            }
            match plan.remote.iter_mut().find(|(node, _)| *node == entry.node) {
                Some((_, groups)) => groups.push(group.clone()),
                None => plan.remote.push((entry.node, vec![group.clone()])),
            }
        }
        plan
    }

    /// All endpoints; of remote nodes, each once.
    pub(super) fn broadcast(&self, event: &str, groups: &[&str], nodes: &Nodes) -> Plan {
        let mut plan = Plan::default();
        let mut seen = vec![false; nodes.count() + 1];
        for list in self.matching(event, groups).into_iter().filter_map(|place| self.lists.get(place)) {
            for entry in list.endpoints.entries() {
                let index = entry.node.index();
                if entry.node.is_local() {
                    plan.local.push(entry.clone());
                } else {
                    if seen.len() <= index {
                        seen.resize(index + 1, false);
                    }
                    if let Some(seen) = seen.get_mut(index).filter(|seen| !**seen) {
                        *seen = true;
                        plan.remote.push((entry.node, Vec::new()));
                    }
                }
            }
        }
        plan
    }

    /// The endpoints of this node that a received event is for: one of each pattern and group, or all.
    pub(super) fn received(
        &mut self,
        event: &str,
        groups: &[&str],
        broadcast: bool,
        choosing: &Choosing<'_>,
        random: &mut dyn Random,
    ) -> Vec<Entry> {
        let mut local = Vec::new();
        for place in self.matching(event, groups) {
            let Some(Listeners { endpoints, .. }) = self.lists.get_mut(place) else { continue };
            if broadcast {
                local.extend(endpoints.local().cloned());
            } else if let Some(place) = endpoints.choose_local(choosing, random) {
                local.extend(endpoints.entries().get(place).cloned());
            }
        }
        local
    }
}
