//! Who wants messages that begin how: a tree of prefixes, byte by byte.

/// A connection's place in the hub.
pub(super) type Place = u32;

/// The tree. Its nodes are kept in one vector and used again.
pub(super) struct Subscriptions {
    nodes: Vec<Node>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Node {
    /// By their byte, sorted.
    children: Vec<(u8, u32)>,
    /// Whoever wants what begins with the bytes that lead here, and how often it said so.
    wanted_by: Vec<(Place, u32)>,
}

const ROOT: u32 = 0;

impl Subscriptions {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()], free: Vec::new() }
    }

    /// Tells `take` who wants this message; one that wants it for several reasons is told several times.
    #[inline]
    pub(super) fn matching(&self, message: &[u8], mut take: impl FnMut(Place)) {
        let mut node = self.nodes.first();
        let mut rest = message.iter();
        while let Some(here) = node {
            for (place, _) in &here.wanted_by {
                take(*place);
            }
            node = rest.next().and_then(|byte| here.child(*byte)).and_then(|child| self.node(child));
        }
    }

    /// Adds a wish; `true` when it is a new one and not the same once more.
    pub(super) fn add(&mut self, prefix: &[u8], place: Place) -> bool {
        let mut at = ROOT;
        for byte in prefix {
            let Some(child) = self.child_or_new(at, *byte) else { return false };
            at = child;
        }
        let Some(node) = self.node_mut(at) else { return false };
        match node.wanted_by.iter_mut().find(|(other, _)| *other == place) {
            Some((_, count)) => {
                *count = count.saturating_add(1);
                false
            }
            None => {
                node.wanted_by.push((place, 1));
                true
            }
        }
    }

    /// Takes a wish back; `true` when it was the last of its kind. With `all`, however often it was made.
    pub(super) fn remove(&mut self, prefix: &[u8], place: Place, all: bool) -> bool {
        let mut path = vec![ROOT];
        for byte in prefix {
            let Some(child) = path.last().and_then(|at| self.node(*at)).and_then(|node| node.child(*byte))
            else {
                return false;
            };
            path.push(child);
        }
        let Some(node) = path.last().and_then(|at| self.node_mut(*at)) else { return false };
        let Some(index) = node.wanted_by.iter().position(|(other, _)| *other == place) else { return false };
        if let Some((_, count)) = node.wanted_by.get_mut(index)
            && *count > 1
            && !all
        {
            *count -= 1;
            return false;
        }
        node.wanted_by.swap_remove(index);
        self.prune(&path, prefix);
        true
    }

    /// Gives back the nodes at the end of a path that lead to nobody any more.
    fn prune(&mut self, path: &[u32], prefix: &[u8]) {
        for (at, (byte, parent)) in path.iter().skip(1).zip(prefix.iter().zip(path)).rev() {
            let unused = |node: &Node| node.children.is_empty() && node.wanted_by.is_empty();
            if !self.node(*at).is_some_and(unused) {
                return;
            }
            if let Some(parent) = self.node_mut(*parent) {
                parent.children.retain(|(other, _)| other != byte);
            }
            if let Some(node) = self.node_mut(*at) {
                *node = Node::default();
            }
            self.free.push(*at);
        }
    }

    fn child_or_new(&mut self, at: u32, byte: u8) -> Option<u32> {
        let index = match self.node(at)?.children.binary_search_by_key(&byte, |(other, _)| *other) {
            Ok(found) => return self.node(at)?.children.get(found).map(|(_, child)| *child),
            Err(index) => index,
        };
        let new = match self.free.pop() {
            Some(free) => free,
            None => {
                let new = u32::try_from(self.nodes.len()).ok()?;
                self.nodes.push(Node::default());
                new
            }
        };
        self.node_mut(at)?.children.insert(index, (byte, new));
        Some(new)
    }

    #[inline]
    fn node(&self, at: u32) -> Option<&Node> {
        self.nodes.get(at as usize)
    }

    fn node_mut(&mut self, at: u32) -> Option<&mut Node> {
        self.nodes.get_mut(at as usize)
    }
}

impl Node {
    #[inline]
    fn child(&self, byte: u8) -> Option<u32> {
        // Most have one.
        match self.children.as_slice() {
            [] => None,
            [(only, child)] => (*only == byte).then_some(*child),
            many => {
                let found = many.binary_search_by_key(&byte, |(other, _)| *other).ok()?;
                many.get(found).map(|(_, child)| *child)
            }
        }
    }
}
