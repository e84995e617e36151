//! Redis's protocol, as far as messages need it: bytes in, events out, and commands to write.
//!
//! A message over the bound is passed over as it arrives, and told; what the server claims is never believed further
//! than what has come.

mod write;

use std::ops::Range;

pub use write::{auth, command, ping, publish, publish_parts, select, subscribe, unsubscribe};

use crate::core::error::{Code, Error, Result};
use crate::core::net::arrived::{Arrived, digits};

/// The longest line: a status, an error, a number.
const LONGEST_LINE: usize = 64 << 10;
/// The most that an answer may hold which is no message.
const MOST_VALUES: u64 = 1 << 20;

/// What the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message.
    Message {
        /// Its channel.
        channel: &'a [u8],
        /// What it says.
        payload: &'a [u8],
    },
    /// A message over the bound has gone by, or will.
    Oversized {
        /// Its channel.
        channel: &'a [u8],
        /// How long it is.
        length: u64,
    },
    /// A subscription holds.
    Subscribed {
        /// Its channel.
        channel: &'a [u8],
        /// All that now hold.
        count: i64,
    },
    /// A subscription has ended.
    Unsubscribed {
        /// Its channel; empty when there was none.
        channel: &'a [u8],
        /// All that still hold.
        count: i64,
    },
    /// The answer to a ping.
    Pong,
    /// It is done: `OK`, most often.
    Status(&'a [u8]),
    /// It is refused, and why: a code, and a sentence.
    Error(&'a [u8]),
    /// A number: how many heard a message.
    Integer(i64),
    /// Bytes, or nothing.
    Bulk(Option<&'a [u8]>),
    /// An answer of many parts, which are not kept.
    Other,
}

/// Reads what a server sends.
#[derive(Debug)]
pub struct Decoder {
    arrived: Arrived,
    max_message: usize,
}

/// A value as it stands in the buffer.
#[derive(Clone, Debug)]
enum Part {
    Status(Range<usize>),
    Error(Range<usize>),
    Integer(i64),
    Bulk(Range<usize>),
    Nothing,
    /// Bytes over the bound, from there on.
    Oversized(usize, u64),
    /// An array of so many; its elements follow.
    Array(u64),
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

    /// The next thing that the server says; `None` until more has arrived.
    ///
    /// # Errors
    /// `Protocol` when this is not Redis, `Payload` when an answer that is no message is over the bound: close the
    /// connection.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "what it returns borrows it")]
    pub fn next(&mut self) -> Result<Option<Event<'_>>> {
        let bytes = self.arrived.unread();
        let Some((part, length)) = self.part(bytes, 0)? else { return Ok(None) };
        if let Part::Array(count) = part {
            return self.array(count, length);
        }
        if let Part::Oversized(_, claimed) = part {
            return Err(too_large(claimed, self.max_message));
        }
        let taken = self.arrived.take(length);
        let at = |range: Range<usize>| taken.get(range).unwrap_or_default();
        Ok(Some(match part {
            Part::Status(text) if at(text.clone()) == b"PONG" => Event::Pong,
            Part::Status(text) => Event::Status(at(text)),
            Part::Error(text) => Event::Error(at(text)),
            Part::Integer(number) => Event::Integer(number),
            Part::Bulk(bytes) => Event::Bulk(Some(at(bytes))),
            _ => Event::Bulk(None),
        }))
    }

    /// An array whose elements begin at `from`.
    fn array(&mut self, count: u64, from: usize) -> Result<Option<Event<'_>>> {
        let bytes = self.arrived.unread();
        let mut first: [Part; 3] = [Part::Nothing, Part::Nothing, Part::Nothing];
        let (mut left, mut seen, mut at) = (bounded(count)?, 0, from);
        while left > 0 {
            let Some((part, end)) = self.part(bytes, at)? else { return Ok(None) };
            left -= 1;
            if let Part::Array(more) = part {
                left = bounded(left.saturating_add(more))?;
            }
            let oversized = match part {
                Part::Oversized(begin, length) => Some((begin, length)),
                _ => None,
            };
            if let Some(place) = first.get_mut(seen) {
                *place = part;
            }
            seen += 1;
            at = end;
            if let Some((begin, length)) = oversized {
                return self.oversized(&first, (count, seen), begin, length);
            }
        }
        let taken = self.arrived.take(at);
        let text = |part: &Part| match part {
            Part::Bulk(range) | Part::Status(range) => taken.get(range.clone()).unwrap_or_default(),
            _ => &[],
        };
        let [kind, channel, last] = &first;
        Ok(Some(match (text(kind), last) {
            (b"message", Part::Bulk(_)) if count == 3 => {
                Event::Message { channel: text(channel), payload: text(last) }
            }
            (b"subscribe", Part::Integer(count)) => {
                Event::Subscribed { channel: text(channel), count: *count }
            }
            (b"unsubscribe", Part::Integer(count)) => {
                Event::Unsubscribed { channel: text(channel), count: *count }
            }
            (b"pong", Part::Nothing) if count == 2 => Event::Pong,
            _ => Event::Other,
        }))
    }

    /// A message's payload is too long: it is passed over. Anything else of that size is nothing to live with.
    fn oversized(
        &mut self,
        first: &[Part; 3],
        (count, seen): (u64, usize),
        begin: usize,
        length: u64,
    ) -> Result<Option<Event<'_>>> {
        let [Part::Bulk(kind), Part::Bulk(channel), _] = first else {
            return Err(too_large(length, self.max_message));
        };
        if (count, seen) != (3, 3) || self.arrived.unread().get(kind.clone()) != Some(b"message") {
            return Err(too_large(length, self.max_message));
        }
        // Its end, `\r\n`, too.
        let head = self.arrived.take_before(begin, length.saturating_add(2));
        let channel = head.get(channel.clone()).unwrap_or_default();
        Ok(Some(Event::Oversized { channel, length }))
    }

    /// The value at `at`, and where it ends; `None` until all of it has arrived.
    #[inline]
    fn part(&self, bytes: &[u8], at: usize) -> Result<Option<(Part, usize)>> {
        let Some(kind) = bytes.get(at) else { return Ok(None) };
        let Some((line, end)) = line(bytes, at + 1)? else { return Ok(None) };
        let text = bytes.get(line.clone()).unwrap_or_default();
        let part = match kind {
            b'+' => Part::Status(line),
            b'-' => Part::Error(line),
            b':' => Part::Integer(integer(text)?),
            b'*' | b'>' => match integer(text)? {
                -1 => Part::Nothing,
                count => Part::Array(u64::try_from(count).map_err(|_| nonsense(text))?),
            },
            b'$' => match integer(text)? {
                -1 => Part::Nothing,
                length => {
                    let length = u64::try_from(length).map_err(|_| nonsense(text))?;
                    return self.bulk(bytes, end, length);
                }
            },
            _ => return Err(nonsense(bytes.get(at..).unwrap_or_default())),
        };
        Ok(Some((part, end)))
    }

    #[inline]
    fn bulk(&self, bytes: &[u8], begin: usize, length: u64) -> Result<Option<(Part, usize)>> {
        let short = usize::try_from(length).ok().filter(|length| *length <= self.max_message);
        let Some(short) = short else { return Ok(Some((Part::Oversized(begin, length), begin))) };
        let end = begin + short;
        match bytes.get(end..end + 2) {
            Some(b"\r\n") => Ok(Some((Part::Bulk(begin..end), end + 2))),
            Some(other) => Err(nonsense(other)),
            None => Ok(None),
        }
    }
}

/// The line from `at` on, and where the next begins; `None` until it has arrived.
#[inline]
fn line(bytes: &[u8], at: usize) -> Result<Option<(Range<usize>, usize)>> {
    let rest = bytes.get(at..).unwrap_or_default();
    let near = rest.get(..LONGEST_LINE).unwrap_or(rest);
    match memchr::memchr(b'\n', near) {
        Some(end) if near.get(..end).is_some_and(|line| line.ends_with(b"\r")) => {
            Ok(Some((at..at + end - 1, at + end + 1)))
        }
        Some(_) => Err(nonsense(near)),
        None if rest.len() >= LONGEST_LINE => Err(Error::protocol("Redis sends a line without an end")),
        None => Ok(None),
    }
}

fn integer(text: &[u8]) -> Result<i64> {
    let (negative, number) = match text.strip_prefix(b"-") {
        Some(number) => (true, number),
        None => (false, text),
    };
    let number =
        digits(number).and_then(|number| i64::try_from(number).ok()).ok_or_else(|| nonsense(text))?;
    Ok(if negative { -number } else { number })
}

fn nonsense(bytes: &[u8]) -> Error {
    let shown = String::from_utf8_lossy(bytes.get(..32).unwrap_or(bytes)).into_owned();
    Error::protocol(format!("this is no answer of Redis: {shown:?}"))
}

fn bounded(parts: u64) -> Result<u64> {
    if parts > MOST_VALUES {
        return Err(Error::new(Code::Payload, format!("Redis sends an answer of {parts} parts")));
    }
    Ok(parts)
}

fn too_large(length: u64, most: usize) -> Error {
    Error::new(Code::Payload, format!("Redis sends an answer of {length} bytes, over the bound of {most}"))
}
