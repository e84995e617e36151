//! Moleculer's packets, of its protocols 4 and 5. Payloads (`params`, `data`, `meta` and the like) are never read:
//! they stay as they came, and go as they are given, in the serializer that all nodes of a mesh share.

mod msgpack;
mod object;
mod read;
mod transcode;
mod value;
mod write;

use std::borrow::Cow;

pub use read::{Received, Unread, read};
pub use transcode::{to_json, to_msgpack};
pub use value::{Fields, Serializer, Value, fields};
pub use write::Writer;

/// A payload as it is on the wire.
pub type Raw<'a> = &'a [u8];

/// The longest name, id or node id that is read or believed, in bytes.
pub const MAX_NAME: usize = 4096;
/// The most groups that one event names.
pub const MAX_GROUPS: usize = 4096;

/// The protocol's version. Nodes of different versions do not hear each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Version {
    /// Moleculer 0.14.
    #[default]
    V4,
    /// Moleculer 0.15: `headers` beside `meta`.
    V5,
}

impl Version {
    /// As packets name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "4",
            Self::V5 => "5",
        }
    }

    /// The version of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::V4, Self::V5].into_iter().find(|version| version.name() == name)
    }
}

/// What a packet is for: the second part of its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// `EVENT`
    Event,
    /// `REQ`
    Request,
    /// `RES`
    Response,
    /// `DISCOVER`
    Discover,
    /// `INFO`
    Info,
    /// `DISCONNECT`
    Disconnect,
    /// `HEARTBEAT`
    Heartbeat,
    /// `PING`
    Ping,
    /// `PONG`
    Pong,
}

impl Command {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Event,
        Self::Request,
        Self::Response,
        Self::Discover,
        Self::Info,
        Self::Disconnect,
        Self::Heartbeat,
        Self::Ping,
        Self::Pong,
    ];

    /// As topics name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "EVENT",
            Self::Request => "REQ",
            Self::Response => "RES",
            Self::Discover => "DISCOVER",
            Self::Info => "INFO",
            Self::Disconnect => "DISCONNECT",
            Self::Heartbeat => "HEARTBEAT",
            Self::Ping => "PING",
            Self::Pong => "PONG",
        }
    }

    /// The command of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.name() == name)
    }
}

/// What a node says.
#[derive(Clone, Debug, PartialEq)]
pub enum Packet<'a> {
    /// Who is there?
    Discover,
    /// Who I am, and what I serve.
    Info(Info<'a>),
    /// I am alive.
    Heartbeat(Heartbeat),
    /// I leave.
    Disconnect,
    /// Do you hear me?
    Ping(Ping<'a>),
    /// I do.
    Pong(Pong<'a>),
    /// A call, or a part of its stream.
    Request(Request<'a>),
    /// Its answer, or a part of its stream.
    Response(Response<'a>),
    /// Something happened.
    Event(Event<'a>),
}

/// Who a node is, and what it serves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Info<'a> {
    /// An array of services; absent, it says nothing of them.
    pub services: Option<Raw<'a>>,
    /// An array of texts.
    pub ip_list: Option<Raw<'a>>,
    /// Where it runs.
    pub hostname: Option<Cow<'a, str>>,
    /// What it runs: an object.
    pub client: Option<Raw<'a>>,
    /// An object, `{}` in practice.
    pub config: Option<Raw<'a>>,
    /// Which run of the node it is.
    pub instance_id: Option<Cow<'a, str>>,
    /// The user's own: an object.
    pub metadata: Option<Raw<'a>>,
    /// How often its services have changed; 1 where a packet does not say.
    pub seq: u64,
}

/// A sign of life.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Heartbeat {
    /// How busy its processor is, in percent.
    pub cpu: Option<f64>,
}

/// A question for a pong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ping<'a> {
    /// Which one it is.
    pub id: Option<Cow<'a, str>>,
    /// When it was sent: milliseconds since 1970.
    pub time: Option<f64>,
}

/// The answer to a ping.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pong<'a> {
    /// The ping's.
    pub id: Option<Cow<'a, str>>,
    /// The ping's.
    pub time: Option<f64>,
    /// When the ping arrived: milliseconds since 1970.
    pub arrived: Option<f64>,
}

/// A call, or a part of its stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    /// Which call it is.
    pub id: Cow<'a, str>,
    /// The action's full name.
    pub action: Cow<'a, str>,
    /// The arguments, or a chunk of the stream; absent: undefined.
    pub params: Option<Raw<'a>>,
    /// What travels with the call and all that follow from it; absent: empty.
    pub meta: Option<Raw<'a>>,
    /// What travels with this call alone (protocol 5); absent: empty.
    pub headers: Option<Raw<'a>>,
    /// The time its caller waits, in milliseconds; 0: for ever. Absent, the action's own holds.
    pub timeout_ms: Option<f64>,
    /// How many calls led to it, with itself.
    pub level: u32,
    /// Whether it is traced; absent: undecided.
    pub tracing: Option<bool>,
    /// The call within which it was made.
    pub parent_id: Option<Cow<'a, str>>,
    /// The first call of all that led to it.
    pub request_id: Option<Cow<'a, str>>,
    /// The full name of the service that calls.
    pub caller: Option<Cow<'a, str>>,
    /// Whether more of its stream will come.
    pub stream: bool,
    /// Where in its stream it is; a call without a stream has none.
    pub seq: Option<u64>,
}

/// An answer, or a part of its stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    /// The call's.
    pub id: Cow<'a, str>,
    /// The call's as its handler left it; absent: empty.
    pub meta: Option<Raw<'a>>,
    /// What travels with this answer alone (protocol 5); absent: empty.
    pub headers: Option<Raw<'a>>,
    /// Whether it went well.
    pub success: bool,
    /// The result, or a chunk of the stream; absent: undefined.
    pub data: Option<Raw<'a>>,
    /// What went wrong: an object.
    pub error: Option<Raw<'a>>,
    /// Whether more of its stream will come; absent: it is no stream.
    pub stream: Option<bool>,
    /// Where in its stream it is.
    pub seq: Option<u64>,
}

/// Something happened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event<'a> {
    /// Which one it is: another for each node that it is sent to.
    pub id: Option<Cow<'a, str>>,
    /// Its name.
    pub event: Cow<'a, str>,
    /// What happened; absent: undefined.
    pub data: Option<Raw<'a>>,
    /// For these groups of services only; absent or none: for all.
    pub groups: Option<Vec<Cow<'a, str>>>,
    /// For every service of a group, not for one of each.
    pub broadcast: bool,
    /// As a call's.
    pub meta: Option<Raw<'a>>,
    /// As a call's.
    pub headers: Option<Raw<'a>>,
    /// As a call's.
    pub level: u32,
    /// As a call's.
    pub tracing: Option<bool>,
    /// As a call's.
    pub parent_id: Option<Cow<'a, str>>,
    /// As a call's.
    pub request_id: Option<Cow<'a, str>>,
    /// As a call's.
    pub caller: Option<Cow<'a, str>>,
}

impl Packet<'_> {
    /// What it is for.
    #[must_use]
    pub fn command(&self) -> Command {
        match self {
            Self::Discover => Command::Discover,
            Self::Info(_) => Command::Info,
            Self::Heartbeat(_) => Command::Heartbeat,
            Self::Disconnect => Command::Disconnect,
            Self::Ping(_) => Command::Ping,
            Self::Pong(_) => Command::Pong,
            Self::Request(_) => Command::Request,
            Self::Response(_) => Command::Response,
            Self::Event(_) => Command::Event,
        }
    }
}
