//! NATS's protocol, without JetStream: bytes in, events out, and commands to write.
//!
//! A message over the bound is passed over as it arrives, and told; what the server claims is never believed further
//! than what has come.

mod write;

use std::ops::Range;

use serde::Deserialize;

pub use write::{Connect, check_subject, connect, ping, pong, publish, subscribe, unsubscribe};

use crate::core::error::{Error, Result};
use crate::core::net::arrived::{Arrived, digits};

/// The longest line: what a server tells of itself and its cluster.
const LONGEST_LINE: usize = 256 << 10;

/// What the server says.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// What the server is: first of all, and again when its cluster changes.
    Info(Box<ServerInfo>),
    /// A message.
    Message {
        /// Its subject.
        subject: &'a [u8],
        /// The subscription that it came for.
        sid: u64,
        /// Where an answer is awaited.
        reply: Option<&'a [u8]>,
        /// Its headers as they came; empty when it has none.
        headers: &'a [u8],
        /// What it says.
        payload: &'a [u8],
    },
    /// A message over the bound has gone by, or will.
    Oversized {
        /// Its subject.
        subject: &'a [u8],
        /// The subscription that it came for.
        sid: u64,
        /// How long it is.
        length: u64,
    },
    /// The server wants a pong.
    Ping,
    /// The answer to a ping.
    Pong,
    /// It is done (only where it was asked to say so).
    Ok,
    /// It is refused, and why.
    Error(&'a [u8]),
}

/// What a server tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServerInfo {
    /// Its id.
    pub server_id: String,
    /// Its version.
    pub version: String,
    /// The largest message that it takes.
    pub max_payload: u64,
    /// Whether it wants to know who comes.
    pub auth_required: bool,
    /// Whether it wants encryption, once this is read.
    pub tls_required: bool,
    /// Whether it offers encryption.
    pub tls_available: bool,
    /// What a key must sign.
    pub nonce: Option<String>,
    /// Others of its cluster, as `host:port`.
    pub connect_urls: Vec<String>,
    /// Whether it is about to leave.
    pub ldm: bool,
    /// Whether its messages may have headers.
    pub headers: bool,
    /// Whether it keeps messages.
    pub jetstream: bool,
}

/// Reads what a server sends.
#[derive(Debug)]
pub struct Decoder {
    arrived: Arrived,
    max_message: usize,
}

/// Where a message's parts are in its line.
struct Head {
    subject: Range<usize>,
    sid: u64,
    reply: Option<Range<usize>>,
    /// Of all that follows, how much are headers.
    headers: u64,
    length: u64,
}

impl Decoder {
    /// Messages over `max_message` bytes are passed over.
    #[must_use]
    pub fn new(max_message: usize) -> Self {
        Self { arrived: Arrived::default(), max_message }
    }

    /// Room to read into, `least` bytes or more. Nothing of it counts before [`Decoder::filled`].
    pub fn space(&mut self, least: usize) -> &mut [u8] {
        self.arrived.space(least)
    }

    /// So many bytes of [`Decoder::space`] have been read.
    pub fn filled(&mut self, n: usize) {
        self.arrived.filled(n);
    }

    /// Takes bytes that were read elsewhere.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.arrived.extend(bytes);
    }

    /// Whether everything that arrived has been handed out: a connection is encrypted from there on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arrived.unread().is_empty()
    }

    /// The next thing that the server says; `None` until more has arrived.
    ///
    /// # Errors
    /// `Protocol` when this is not NATS: close the connection.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "what it returns borrows it")]
    pub fn next(&mut self) -> Result<Option<Event<'_>>> {
        let bytes = self.arrived.unread();
        let near = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
        let Some(end) = memchr::memchr(b'\n', near) else {
            if bytes.len() >= LONGEST_LINE {
                return Err(Error::protocol("NATS sends a line without an end"));
            }
            return Ok(None);
        };
        let line = near.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let blank = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
        let (word, _) = line.split_at(blank);
        if word.eq_ignore_ascii_case(b"MSG") || word.eq_ignore_ascii_case(b"HMSG") {
            let headers = word.len() == 4;
            let head = Head::read(line, blank, headers).ok_or_else(|| nonsense(line))?;
            return self.message(&head, end + 1);
        }
        let (rest, length) = (blank..line.len(), end + 1);
        if word.eq_ignore_ascii_case(b"INFO") {
            let info = serde_json::from_slice(line.get(rest).unwrap_or_default());
            let info =
                info.map_err(|error| Error::protocol(format!("what NATS tells of itself: {error}")))?;
            self.arrived.take(length);
            return Ok(Some(Event::Info(info)));
        }
        let event = match word {
            _ if word.eq_ignore_ascii_case(b"PING") => Event::Ping,
            _ if word.eq_ignore_ascii_case(b"PONG") => Event::Pong,
            _ if word.eq_ignore_ascii_case(b"+OK") => Event::Ok,
            _ if word.eq_ignore_ascii_case(b"-ERR") => {
                let why = self.arrived.take(length).get(rest).unwrap_or_default().trim_ascii();
                return Ok(Some(Event::Error(unquoted(why))));
            }
            _ => return Err(nonsense(line)),
        };
        self.arrived.take(length);
        Ok(Some(event))
    }

    /// A message whose payload begins at `begin`.
    #[inline]
    fn message(&mut self, head: &Head, begin: usize) -> Result<Option<Event<'_>>> {
        let Head { sid, length, .. } = *head;
        let short = usize::try_from(length).ok().filter(|length| *length <= self.max_message);
        let Some(short) = short else {
            // Its end, `\r\n`, too.
            let line = self.arrived.take_before(begin, length.saturating_add(2));
            let subject = line.get(head.subject.clone()).unwrap_or_default();
            return Ok(Some(Event::Oversized { subject, sid, length }));
        };
        let end = begin + short;
        match self.arrived.unread().get(end..end + 2) {
            None => return Ok(None),
            Some(b"\r\n") => {}
            Some(other) => return Err(nonsense(other)),
        }
        let taken = self.arrived.take(end + 2);
        let at = |range: Range<usize>| taken.get(range).unwrap_or_default();
        let body = begin + usize::try_from(head.headers).unwrap_or_default();
        Ok(Some(Event::Message {
            subject: at(head.subject.clone()),
            sid,
            reply: head.reply.clone().map(at),
            headers: at(begin..body),
            payload: at(body..end),
        }))
    }
}

impl Head {
    /// `MSG subject sid [reply] length`, or `HMSG subject sid [reply] headers length`.
    #[inline]
    fn read(line: &[u8], mut at: usize, headers: bool) -> Option<Self> {
        let mut words: [Range<usize>; 5] = Default::default();
        let mut count = 0;
        while at < line.len() {
            if matches!(line[at], b' ' | b'\t') {
                at += 1;
                continue;
            }
            let length = line[at..].iter().position(|byte| matches!(byte, b' ' | b'\t'));
            let end = length.map_or(line.len(), |length| at + length);
            *words.get_mut(count)? = at..end;
            (count, at) = (count + 1, end);
        }
        let least = if headers { 4 } else { 3 };
        if count != least && count != least + 1 {
            return None;
        }
        let number = |place: usize| digits(line.get(words.get(place)?.clone())?);
        let length = number(count - 1)?;
        let of_headers = if headers { number(count - 2)? } else { 0 };
        if of_headers > length {
            return None;
        }
        Some(Self {
            subject: words[0].clone(),
            sid: number(1)?,
            reply: (count > least).then(|| words[2].clone()),
            headers: of_headers,
            length,
        })
    }
}

/// A text without the quotes around it.
fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"'").and_then(|inner| inner.strip_suffix(b"'")).unwrap_or(text)
}

fn nonsense(bytes: &[u8]) -> Error {
    let shown = String::from_utf8_lossy(bytes.get(..32).unwrap_or(bytes)).into_owned();
    Error::protocol(format!("this is nothing that NATS says: {shown:?}"))
}
