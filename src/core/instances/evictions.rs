//! Which keys were evicted, and when: a bounded memory, the oldest forgotten first.

use std::collections::{HashMap, VecDeque};

use super::Digest;

pub(super) struct Evictions {
    /// The number of the last eviction of each key.
    last: HashMap<Digest, u64>,
    order: VecDeque<(Digest, u64)>,
    bound: usize,
    count: u64,
}

impl Evictions {
    pub(super) fn new(bound: usize) -> Self {
        Self { last: HashMap::new(), order: VecDeque::new(), bound, count: 0 }
    }

    /// How many evictions there have been: a point in time to compare with.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn remember(&mut self, key: Digest) {
        self.count += 1;
        self.last.insert(key, self.count);
        self.order.push_back((key, self.count));
        while self.order.len() > self.bound {
            let Some((key, number)) = self.order.pop_front() else { break };
            if self.last.get(&key) == Some(&number) {
                self.last.remove(&key);
            }
        }
    }

    pub(super) fn contains(&self, key: &Digest) -> bool {
        self.last.contains_key(key)
    }

    /// Whether the key was evicted after the point in time `since`, as far as is remembered.
    pub(super) fn contains_since(&self, key: &Digest, since: u64) -> bool {
        self.last.get(key).is_some_and(|number| *number > since)
    }
}
