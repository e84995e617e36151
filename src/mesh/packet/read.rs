//! Reads packets. What a field should not be counts as absent, where the packet makes sense without it; fields that
//! nobody knows are passed over.

use std::borrow::Cow;

use super::{
    Command, Event, Heartbeat, Info, MAX_GROUPS, MAX_NAME, Packet, Ping, Pong, Request, Response, Serializer,
    Value, Version, fields,
};

/// A packet, and who sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Received<'a> {
    /// The node that sent it.
    pub sender: Cow<'a, str>,
    /// What it says.
    pub packet: Packet<'a>,
}

/// Why a packet was not read. It is told, and survived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It makes no sense.
    #[error("{} that cannot be read: {why}", .command.name())]
    Malformed {
        /// What it should have been.
        command: Command,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It is of another version of the protocol.
    #[error(
        "{} of {} in protocol {}, where {} is spoken: all nodes of a mesh must speak the same",
        .command.name(), .sender.as_deref().unwrap_or("an unnamed node"),
        .received.as_deref().unwrap_or("no version"), .actual.name()
    )]
    Version {
        /// What it was.
        command: Command,
        /// Who sent it.
        sender: Option<String>,
        /// The version spoken here.
        actual: Version,
        /// The version it names, as it is written.
        received: Option<String>,
    },
}

/// Reads a packet. One of another version than `expected` is not read; `None` takes all.
///
/// # Errors
/// [`Unread`], which says whose it was as far as it is known.
pub fn read(
    serializer: Serializer,
    command: Command,
    body: &[u8],
    expected: Option<Version>,
) -> Result<Received<'_>, Unread> {
    let reading = Reading { serializer, command, body, expected };
    match command {
        Command::Discover => reading.each(|_, _| {})?.ok(Packet::Discover),
        Command::Disconnect => reading.each(|_, _| {})?.ok(Packet::Disconnect),
        Command::Info => reading.info(),
        Command::Heartbeat => reading.heartbeat(),
        Command::Ping => reading.ping(),
        Command::Pong => reading.pong(),
        Command::Request => reading.request(),
        Command::Response => reading.response(),
        Command::Event => reading.event(),
    }
}

struct Reading<'a> {
    serializer: Serializer,
    command: Command,
    body: &'a [u8],
    expected: Option<Version>,
}

/// Who sent it: the fields that all packets share.
struct Sender<'a>(Cow<'a, str>);

impl<'a> Sender<'a> {
    #[expect(clippy::unnecessary_wraps, reason = "ends each reading")]
    fn ok(self, packet: Packet<'a>) -> Result<Received<'a>, Unread> {
        Ok(Received { sender: self.0, packet })
    }
}

impl<'a> Reading<'a> {
    /// Hands out each field but `ver` and `sender`, which are judged.
    #[inline]
    fn each(&self, mut take: impl FnMut(&[u8], Value<'a>)) -> Result<Sender<'a>, Unread> {
        let mut sender = None;
        let mut version: Option<Value<'a>> = None;
        for field in fields(self.serializer, self.body) {
            let Some((name, value)) = field else {
                return Err(self.malformed("it is no object, or not whole"));
            };
            match &*name {
                b"ver" => version = Some(value),
                b"sender" => sender = name_of(value),
                name => take(name, value),
            }
        }
        if let Some(actual) = self.expected
            && version.and_then(|version| version.text()).as_deref() != Some(actual.name())
        {
            let received = version.map(|version| shown(version.raw));
            let sender = sender.map(Cow::into_owned);
            return Err(Unread::Version { command: self.command, sender, actual, received });
        }
        let sender = sender.filter(|sender| !sender.is_empty());
        sender.map(Sender).ok_or_else(|| self.malformed("it does not say who sent it (\"sender\")"))
    }

    fn malformed(&self, why: &'static str) -> Unread {
        Unread::Malformed { command: self.command, why }
    }

    fn info(&self) -> Result<Received<'a>, Unread> {
        let mut info = Info::default();
        let sender = self.each(|name, value| match name {
            b"services" => info.services = value.present(),
            b"ipList" => info.ip_list = value.present(),
            b"hostname" => info.hostname = name_of(value),
            b"client" => info.client = value.present(),
            b"config" => info.config = value.present(),
            b"instanceID" => info.instance_id = name_of(value),
            b"metadata" => info.metadata = value.present(),
            b"seq" => info.seq = value.count().unwrap_or_default(),
            _ => {}
        })?;
        info.seq = info.seq.max(1);
        sender.ok(Packet::Info(info))
    }

    fn heartbeat(&self) -> Result<Received<'a>, Unread> {
        let mut heartbeat = Heartbeat::default();
        let sender = self.each(|name, value| {
            if name == b"cpu" {
                heartbeat.cpu = value.number();
            }
        })?;
        sender.ok(Packet::Heartbeat(heartbeat))
    }

    fn ping(&self) -> Result<Received<'a>, Unread> {
        let mut ping = Ping::default();
        let sender = self.each(|name, value| match name {
            b"id" => ping.id = name_of(value),
            b"time" => ping.time = value.number(),
            _ => {}
        })?;
        sender.ok(Packet::Ping(ping))
    }

    fn pong(&self) -> Result<Received<'a>, Unread> {
        let mut pong = Pong::default();
        let sender = self.each(|name, value| match name {
            b"id" => pong.id = name_of(value),
            b"time" => pong.time = value.number(),
            b"arrived" => pong.arrived = value.number(),
            _ => {}
        })?;
        sender.ok(Packet::Pong(pong))
    }

    fn request(&self) -> Result<Received<'a>, Unread> {
        let mut request = Request { level: 1, ..Request::default() };
        let (mut id, mut action) = (None, None);
        let sender = self.each(|name, value| match name {
            b"id" => id = name_of(value),
            b"action" => action = name_of(value),
            b"params" => request.params = Some(value.raw),
            b"meta" => request.meta = value.present(),
            b"headers" => request.headers = value.present(),
            b"timeout" => request.timeout_ms = value.number(),
            b"level" => request.level = level(value),
            b"tracing" => request.tracing = tracing(value),
            b"parentID" => request.parent_id = name_of(value),
            b"requestID" => request.request_id = name_of(value),
            b"caller" => request.caller = name_of(value),
            b"stream" => request.stream = value.truth(),
            b"seq" => request.seq = value.count(),
            _ => {}
        })?;
        request.id = id.ok_or_else(|| self.malformed("its \"id\" is no text"))?;
        request.action = action.ok_or_else(|| self.malformed("its \"action\" is no text"))?;
        sender.ok(Packet::Request(request))
    }

    fn response(&self) -> Result<Received<'a>, Unread> {
        let mut response = Response::default();
        let mut id = None;
        let sender = self.each(|name, value| match name {
            b"id" => id = name_of(value),
            b"meta" => response.meta = value.present(),
            b"headers" => response.headers = value.present(),
            b"success" => response.success = value.truth(),
            b"data" => response.data = Some(value.raw),
            b"error" => response.error = value.present(),
            b"stream" => response.stream = value.present().map(|_| value.truth()),
            b"seq" => response.seq = value.count(),
            _ => {}
        })?;
        response.id = id.ok_or_else(|| self.malformed("its \"id\" is no text"))?;
        sender.ok(Packet::Response(response))
    }

    fn event(&self) -> Result<Received<'a>, Unread> {
        let mut event = Event { level: 1, ..Event::default() };
        let mut name_of_event = None;
        let mut groups: Option<Value<'a>> = None;
        let sender = self.each(|name, value| match name {
            b"id" => event.id = name_of(value),
            b"event" => name_of_event = name_of(value),
            b"data" => event.data = Some(value.raw),
            b"groups" => groups = Some(value),
            b"broadcast" => event.broadcast = value.truth(),
            b"meta" => event.meta = value.present(),
            b"headers" => event.headers = value.present(),
            b"level" => event.level = level(value),
            b"tracing" => event.tracing = tracing(value),
            b"parentID" => event.parent_id = name_of(value),
            b"requestID" => event.request_id = name_of(value),
            b"caller" => event.caller = name_of(value),
            _ => {}
        })?;
        event.event = name_of_event.ok_or_else(|| self.malformed("its \"event\" is no text"))?;
        if let Some(groups) = groups.filter(|groups| !groups.is_null()) {
            // Taken for none, it would reach everybody.
            let texts = groups.texts(MAX_GROUPS);
            event.groups = Some(texts.ok_or_else(|| self.malformed("its \"groups\" are no list of texts"))?);
        }
        sender.ok(Packet::Event(event))
    }
}

/// A text within its bound.
fn name_of(value: Value<'_>) -> Option<Cow<'_, str>> {
    value.text().filter(|text| text.len() <= MAX_NAME)
}

#[expect(clippy::cast_possible_truncation, reason = "in range")]
fn level(value: Value<'_>) -> u32 {
    value.count().map_or(1, |level| level.min(u32::MAX.into()) as u32)
}

fn tracing(value: Value<'_>) -> Option<bool> {
    value.present().map(|_| value.truth())
}

/// As much of a value as a message has room for.
fn shown(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw.get(..32).unwrap_or(raw)).into_owned()
}
