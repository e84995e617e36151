//! The ring on which keys belong to nodes: the same as Moleculer's, so that all nodes agree.

use md5::{Digest, Md5};

use super::Candidates;

/// A ring's size unless it is given: that of the hashes.
const FULL: u64 = 1 << 32;

/// Candidates in the order of their nodes' ids, time and again around the ring.
#[derive(Clone, Debug)]
pub struct Ring {
    /// The places of the candidates, in order.
    order: Vec<usize>,
    generation: u64,
    slots: usize,
    size: Option<u64>,
}

impl Ring {
    /// The ring of these candidates, of which there is one at least.
    #[must_use]
    pub fn new(candidates: &impl Candidates, generation: u64, vnodes: usize, size: Option<u64>) -> Self {
        let mut order: Vec<usize> = (0..candidates.count()).collect();
        order.sort_by_key(|place| candidates.node(*place));
        let slots = order.len() * vnodes.max(1);
        Self { order, generation, slots, size }
    }

    /// Whether it was made of these candidates.
    #[must_use]
    pub fn fits(&self, generation: u64, count: usize) -> bool {
        (self.generation, self.order.len()) == (generation, count)
    }

    /// The place of the candidate that a key belongs to.
    #[must_use]
    pub fn place(&self, key: &str) -> usize {
        let hash = self.hash(key);
        // The first slot that ends at the hash or behind it.
        let (mut from, mut to) = (0, self.slots.saturating_sub(1));
        while from < to {
            let middle = from.midpoint(to);
            if hash <= self.end(middle) {
                to = middle;
            } else {
                from = middle + 1;
            }
        }
        self.order.get(from % self.order.len().max(1)).copied().unwrap_or_default()
    }

    #[expect(clippy::cast_precision_loss, reason = "as JavaScript's numbers do")]
    fn end(&self, slot: usize) -> f64 {
        let slice = self.size.unwrap_or(FULL) as f64 / self.slots as f64;
        (slice * (slot + 1) as f64).floor()
    }

    #[expect(clippy::cast_precision_loss, reason = "below 2^32")]
    fn hash(&self, key: &str) -> f64 {
        let [first, second, third, fourth, ..] = <[u8; 16]>::from(Md5::digest(key));
        let hash = u64::from(u32::from_be_bytes([first, second, third, fourth]));
        self.size.map_or(hash, |size| hash % size) as f64
    }
}
