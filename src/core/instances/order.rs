//! An order of use over numbered places: a doubly linked list in a vector, every operation O(1).

/// No place.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Link {
    older: u32,
    newer: u32,
}

/// Places from the least to the most recently used.
pub(super) struct Order {
    links: Vec<Link>,
    oldest: u32,
    newest: u32,
    len: usize,
}

impl Order {
    pub(super) fn new() -> Self {
        Self { links: Vec::new(), oldest: NONE, newest: NONE, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// The place used next after `place`.
    pub(super) fn newer(&self, place: u32) -> Option<u32> {
        self.links.get(place as usize).map(|link| link.newer).filter(|newer| *newer != NONE)
    }

    /// Adds a place that is not in the order, as the most recently used.
    pub(super) fn push(&mut self, place: u32) {
        let needed = place as usize + 1;
        if self.links.len() < needed {
            self.links.resize(needed, Link { older: NONE, newer: NONE });
        }
        self.append(place);
        self.len += 1;
    }

    /// Makes a place that is in the order the most recently used.
    #[inline]
    pub(super) fn touch(&mut self, place: u32) {
        if place != self.newest {
            self.unlink(place);
            self.append(place);
        }
    }

    /// Takes out a place that is in the order.
    pub(super) fn remove(&mut self, place: u32) {
        self.unlink(place);
        self.len -= 1;
    }

    fn append(&mut self, place: u32) {
        let older = self.newest;
        self.set(place, Link { older, newer: NONE });
        match self.links.get_mut(older as usize) {
            Some(link) => link.newer = place,
            None => self.oldest = place,
        }
        self.newest = place;
    }

    fn unlink(&mut self, place: u32) {
        let Some(&Link { older, newer }) = self.links.get(place as usize) else { return };
        match self.links.get_mut(older as usize) {
            Some(link) => link.newer = newer,
            None => self.oldest = newer,
        }
        match self.links.get_mut(newer as usize) {
            Some(link) => link.older = older,
            None => self.newest = older,
        }
    }

    fn set(&mut self, place: u32, link: Link) {
        if let Some(slot) = self.links.get_mut(place as usize) {
            *slot = link;
        }
    }
}
