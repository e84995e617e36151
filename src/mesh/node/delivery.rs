//! What a node gives to whoever drives it: calls and events for its services, answers to its own calls, and news.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::envelope::Envelope;
use super::kept::Kept;
use crate::core::deadline::Deadline;
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
    /// The stream that its parameters are.
    pub stream: Option<u64>,
    /// The rest of its packet.
    pub envelope: Envelope,
}

impl Incoming {
    /// Which call it is, to its caller.
    #[must_use]
    pub fn id(&self) -> &str {
        self.envelope.id().unwrap_or_default()
    }

    /// When its caller waits no longer; `None`: it waits for ever.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        (self.timeout_ms > 0.0).then(|| {
            Deadline::after_at(self.arrived, Duration::from_secs_f64((self.timeout_ms / 1e3).min(1e9)))
        })
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
    /// The rest of its packet.
    pub envelope: Envelope,
}

impl Happened {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.envelope.event()
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
