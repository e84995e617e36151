//! All nodes that are known, found by id or place.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::{Node, Place};
use crate::mesh::balance::{Latencies, LatencyOptions};

/// Known nodes. The first is this one.
#[derive(Debug)]
pub(super) struct Nodes {
    places: Vec<Option<Node>>,
    free: Vec<Place>,
    by_id: HashMap<Arc<str>, Place>,
    pub(super) latencies: Latencies,
}

impl Nodes {
    pub(super) fn new(me: Arc<str>, now: Instant, latency: LatencyOptions) -> Self {
        let node = Node { local: true, seq: 1, ..Node::new(me.clone(), now) };
        Self {
            places: vec![Some(node)],
            free: Vec::new(),
            by_id: HashMap::from([(me, Place::LOCAL)]),
            latencies: Latencies::new(latency),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.by_id.len()
    }

    /// Up to where places go.
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    pub(super) fn place(&self, id: &str) -> Option<Place> {
        self.by_id.get(id).copied()
    }

    #[inline]
    pub(super) fn get(&self, place: Place) -> Option<&Node> {
        self.places.get(place.index())?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Node> {
        self.places.get_mut(place.index())?.as_mut()
    }

    pub(super) fn add(&mut self, id: Arc<str>, now: Instant) -> Place {
        let node = Node::new(id.clone(), now);
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            Place::new(self.places.len() - 1)
        });
        if let Some(empty) = self.places.get_mut(place.index()) {
            *empty = Some(node);
        }
        self.by_id.insert(id, place);
        place
    }

    /// Forgets a node, whose services must have been taken out.
    pub(super) fn remove(&mut self, place: Place) -> Option<Node> {
        let node = self.places.get_mut(place.index())?.take()?;
        self.by_id.remove(&node.id);
        self.free.push(place);
        Some(node)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (Place, &Node)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(index, node)| Some((Place::new(index), node.as_ref()?)))
    }
}
