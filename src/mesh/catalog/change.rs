//! What the registry tells.

use std::sync::Arc;

/// Something has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node has come.
    Connected {
        /// Its id.
        node: Arc<str>,
        /// Whether it was here before.
        reconnected: bool,
    },
    /// A node has told of itself again.
    Updated {
        /// Its id.
        node: Arc<str>,
    },
    /// A node has gone: calls that wait for it end.
    Disconnected {
        /// Its id.
        node: Arc<str>,
        /// Whether it was lost, without a word.
        unexpected: bool,
    },
    /// A node that had gone is forgotten.
    Removed {
        /// Its id.
        node: Arc<str>,
    },
    /// Services have come, changed or gone.
    ServicesChanged {
        /// Whether they are this node's.
        local: bool,
    },
    /// A node has told something that could not be read, and is left out.
    Unread {
        /// Its id.
        node: Arc<str>,
        /// What it was.
        why: &'static str,
    },
}

/// What to do about a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing: its sender is known.
    Known,
    /// Ask its sender who it is.
    Discover,
    /// Nothing: it is this node's own.
    Own,
}

/// Why a node is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is this node itself.
    #[error("this node's own INFO has come back")]
    Own,
    /// Another node has this node's id.
    #[error("another node (instance {instance_id}) has the id of this one: give each node an id of its own")]
    Conflict {
        /// Which run of a node it is.
        instance_id: String,
    },
    /// There are too many.
    #[error("{most} nodes are known, and no more are taken")]
    Full {
        /// The bound.
        most: usize,
    },
    /// It tells too much.
    #[error("a node tells more of its services than {most} bytes")]
    TooLarge {
        /// The bound.
        most: usize,
    },
}
