//! What a node gives to whoever drives it: calls and events for its services, answers to its own calls, and news.

use std::sync::Arc;
use std::time::Instant;

use super::kept::Kept;
use crate::core::error::Error;
use crate::mesh::catalog::{Change, Endpoint, Reached};

/// One thing.
#[derive(Debug)]
pub enum Delivery<W> {
    /// A call for a service of this node.
    Request(Box<Incoming>),
    /// An event for services of this node.
    Event(Box<Happened>),
    /// How a call of this node ended.
    Reply(W, Box<Outcome>),
    /// A part of a stream.
    Chunk(Chunk),
    /// The registry has changed.
    Change(Change),
    /// A node has answered a ping.
    Pong(Echo),
    /// The connection's state has changed.
    State(State, Option<Error>),
    /// The nodes that were there before have told of themselves, or took too long.
    Settled,
    /// Something failed that nobody waits for.
    Trouble(Error),
}

/// The connection's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It stands.
    Connected,
    /// It does not; it is made again.
    Lost,
    /// It will not be made any more.
    Closed,
}

/// A call that has come.
#[derive(Debug)]
pub struct Incoming {
    /// What is called.
    pub endpoint: Endpoint,
    /// When it came.
    pub arrived: Instant,
    /// How long its caller waits, in milliseconds; 0: for ever.
    pub timeout_ms: f64,
    /// How many calls led to it, with itself.
    pub level: u32,
    /// Whether it is traced.
    pub tracing: Option<bool>,
    /// The stream that its parameters are.
    pub stream: Option<u64>,
    /// The packet's parts: see the accessors.
    pub kept: Kept<8>,
}

impl Incoming {
    /// Which call it is, to its caller.
    #[must_use]
    pub fn id(&self) -> &str {
        self.kept.text(0).unwrap_or_default()
    }

    /// The node that calls.
    #[must_use]
    pub fn sender(&self) -> &str {
        self.kept.text(1).unwrap_or_default()
    }

    /// Its parameters, in the mesh's serializer.
    #[must_use]
    pub fn params(&self) -> Option<&[u8]> {
        self.kept.part(2)
    }

    /// What travels with it.
    #[must_use]
    pub fn meta(&self) -> Option<&[u8]> {
        self.kept.part(3)
    }

    /// What travels with it alone.
    #[must_use]
    pub fn headers(&self) -> Option<&[u8]> {
        self.kept.part(4)
    }

    /// The first call of all that led to it.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.kept.text(5)
    }

    /// The call within which it was made.
    #[must_use]
    pub fn parent_id(&self) -> Option<&str> {
        self.kept.text(6)
    }

    /// The service that calls.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        self.kept.text(7)
    }
}

/// An event that has come.
#[derive(Debug)]
pub struct Happened {
    /// Who listens.
    pub reached: Vec<Reached>,
    /// Whether it is for all of them.
    pub broadcast: bool,
    /// The groups that it is for.
    pub groups: Option<Vec<String>>,
    /// As a call's.
    pub level: u32,
    /// As a call's.
    pub tracing: Option<bool>,
    /// The packet's parts: see the accessors.
    pub kept: Kept<9>,
}

impl Happened {
    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.kept.text(0)
    }

    /// The node that tells.
    #[must_use]
    pub fn sender(&self) -> &str {
        self.kept.text(1).unwrap_or_default()
    }

    /// What happened, in the mesh's serializer.
    #[must_use]
    pub fn data(&self) -> Option<&[u8]> {
        self.kept.part(2)
    }

    /// As a call's.
    #[must_use]
    pub fn meta(&self) -> Option<&[u8]> {
        self.kept.part(3)
    }

    /// As a call's.
    #[must_use]
    pub fn headers(&self) -> Option<&[u8]> {
        self.kept.part(4)
    }

    /// As a call's.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.kept.text(5)
    }

    /// As a call's.
    #[must_use]
    pub fn parent_id(&self) -> Option<&str> {
        self.kept.text(6)
    }

    /// As a call's.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        self.kept.text(7)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.kept.text(8).unwrap_or_default()
    }
}

/// How a call ended.
#[derive(Debug)]
pub enum Outcome {
    /// With a result.
    Result(Answer),
    /// With a stream, whose parts follow.
    Stream(u64, Answer),
    /// With an error of its handler, or of the node that served it.
    Error(Answer),
    /// Without an answer.
    Failed(Failure),
}

/// What a node has answered.
#[derive(Debug)]
pub struct Answer(pub(super) Kept<4>);

impl Answer {
    /// The node that answered.
    #[must_use]
    pub fn sender(&self) -> &str {
        self.0.text(0).unwrap_or_default()
    }

    /// The result, or the error: an object.
    #[must_use]
    pub fn data(&self) -> Option<&[u8]> {
        self.0.part(1)
    }

    /// The call's meta as its handler left it.
    #[must_use]
    pub fn meta(&self) -> Option<&[u8]> {
        self.0.part(2)
    }

    /// The answer's own headers.
    #[must_use]
    pub fn headers(&self) -> Option<&[u8]> {
        self.0.part(3)
    }
}

/// A part of a stream.
#[derive(Debug)]
pub struct Chunk {
    /// Which one it is.
    pub stream: u64,
    /// The part, and what travels with it.
    pub kept: Kept<3>,
    /// Whether it is the last.
    pub end: bool,
    /// Why the stream ended before its end, where it is this side that knows.
    pub failure: Option<Failure>,
}

impl Chunk {
    /// The part, in the mesh's serializer.
    #[must_use]
    pub fn data(&self) -> Option<&[u8]> {
        self.kept.part(0)
    }

    /// Why the other side ended it before its end: an object.
    #[must_use]
    pub fn error(&self) -> Option<&[u8]> {
        self.kept.part(1)
    }

    /// What travels with it: meta in protocol 4, headers in protocol 5.
    #[must_use]
    pub fn flags(&self) -> Option<&[u8]> {
        self.kept.part(2)
    }
}

/// An answer to a ping.
#[derive(Debug)]
pub struct Echo {
    /// The node that answered.
    pub node: Arc<str>,
    /// The ping's id.
    pub id: Option<String>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: f64,
    /// How far that node's clock is ahead, in milliseconds.
    pub difference_ms: f64,
}

/// Why a call has no answer. Each has an error of Moleculer's of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// What was called.
    pub action: Arc<str>,
    /// The node that it is about.
    pub node: Option<Arc<str>>,
}

/// What happened to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Nobody serves the action.
    NotFound,
    /// It cannot be called now.
    NotAvailable,
    /// Its time ran out.
    TimedOut,
    /// The node that served it went away.
    Rejected,
    /// The transporter is not there.
    Disconnected,
    /// Too many calls wait.
    QueueFull,
    /// The node is closed.
    Closed,
    /// A part of its stream is missing.
    Broken,
}
