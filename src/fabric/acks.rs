//! Which deliveries of a channel are settled: those without a gap before them are acknowledged by one frame.

use std::collections::{BTreeSet, VecDeque};

/// The deliveries of one channel that are not settled at the broker yet, in the order of their tags.
///
/// The broker numbers them from 1 on. Those of several consumers may arrive here out of order, and what has not arrived
/// must not be acknowledged with what has.
#[derive(Debug, Default)]
pub struct Ledger {
    open: VecDeque<Open>,
    /// All up to this tag have arrived,
    complete: u64,
    /// and these.
    beyond: BTreeSet<u64>,
    /// How many of them are not done.
    undone: usize,
    /// Tags done since the last flush that had something before them.
    done: Vec<u64>,
}

#[derive(Debug)]
struct Open {
    tag: u64,
    done: bool,
}

/// What is to be told to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Up to which delivery, or which one.
    pub tag: u64,
    /// All up to it.
    pub multiple: bool,
}

impl Ledger {
    /// A delivery has come.
    pub fn arrived(&mut self, tag: u64) {
        let open = Open { tag, done: false };
        if self.open.back().is_none_or(|last| last.tag < tag) {
            self.open.push_back(open);
        } else if let Err(place) = self.open.binary_search_by_key(&tag, |open| open.tag) {
            self.open.insert(place, open);
        }
        self.undone += 1;
        self.beyond.insert(tag);
        while self.beyond.remove(&(self.complete + 1)) {
            self.complete += 1;
        }
    }

    /// How many are not done.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.undone
    }

    /// A delivery is dealt with. Whether it is one of this channel.
    pub fn done(&mut self, tag: u64) -> bool {
        let Ok(place) = self.open.binary_search_by_key(&tag, |open| open.tag) else { return false };
        let Some(open) = self.open.get_mut(place) else { return false };
        if std::mem::replace(&mut open.done, true) {
            return false;
        }
        self.done.push(tag);
        self.undone -= 1;
        true
    }

    /// A delivery was rejected or given back: the broker knows already.
    pub fn forget(&mut self, tag: u64) -> bool {
        let Ok(place) = self.open.binary_search_by_key(&tag, |open| open.tag) else { return false };
        if self.open.get(place).is_none_or(|open| open.done) {
            return false;
        }
        self.open.remove(place);
        self.undone -= 1;
        true
    }

    /// What to acknowledge now. Afterwards all that is done is told.
    pub fn flush(&mut self, mut tell: impl FnMut(Ack)) {
        if self.done.is_empty() {
            return;
        }
        let mut last = None;
        while let Some(first) = self.open.front()
            && first.done
            && first.tag <= self.complete
        {
            last = Some(first.tag);
            self.open.pop_front();
        }
        let beyond: Vec<u64> =
            self.done.drain(..).filter(|tag| last.is_none_or(|last| *tag > last)).collect();
        if let Some(tag) = last {
            tell(Ack { tag, multiple: true });
        }
        for tag in beyond {
            // Told one by one, since an older one is still at work: they are done, not to be told again.
            if let Ok(place) = self.open.binary_search_by_key(&tag, |open| open.tag) {
                self.open.remove(place);
            }
            tell(Ack { tag, multiple: false });
        }
    }
}
