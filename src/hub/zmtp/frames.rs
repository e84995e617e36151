//! Frames of an open connection, from bytes as they arrive.

use super::{Role, command, flag};
use crate::core::error::{Code, Error, Result};

/// A read into the buffer has at least this much room once anything big has come.
const GROWTH: usize = 64 << 10;
/// An empty buffer larger than this is given back.
const KEPT: usize = 256 << 10;

/// Up to this much moves between a decoder's own buffer and a shared one.
const SMALL: usize = 16 << 10;

/// What a peer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message of one frame.
    Message(&'a [u8]),
    /// A message of several frames has gone by; its parts are not kept.
    Multipart,
    /// The peer wants messages that begin so.
    Subscribe(&'a [u8]),
    /// The peer takes one such wish back.
    Cancel(&'a [u8]),
    /// The peer wants a pong with this context.
    Ping {
        /// At most 16 bytes.
        context: &'a [u8],
    },
    /// The answer to a ping.
    Pong,
    /// Nothing that concerns a hub.
    Other,
}

/// The decoder and its buffer.
#[derive(Debug)]
pub struct Frames {
    local: Role,
    max_frame: usize,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Within a message of several frames.
    skipping: bool,
}

/// Where a whole frame is.
struct Found {
    flags: u8,
    from: usize,
    to: usize,
}

impl Frames {
    /// For a socket of this kind of ours. A larger frame than `max_frame` bytes is an error.
    #[must_use]
    pub fn new(local: Role, max_frame: usize) -> Self {
        Self { local, max_frame, buffer: Vec::new(), start: 0, end: 0, skipping: false }
    }

    /// Room to read into, `least` bytes or more. Nothing of it counts before [`Frames::filled`].
    pub fn space(&mut self, least: usize) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > KEPT.max(least) {
                self.buffer = Vec::new();
            }
        } else if self.start > 0 && self.buffer.len() - self.end < least {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let wanted = self.end.saturating_add(least);
        if self.buffer.len() < wanted {
            // Twice what has arrived at most, and no more than the bound asks for.
            let twice = (2 * self.end).min(self.max_frame.saturating_add(GROWTH));
            self.buffer.resize(wanted.max(twice), 0);
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes of [`Frames::space`] have been read.
    pub fn filled(&mut self, n: usize) {
        self.end = (self.end + n).min(self.buffer.len());
    }

    /// Takes bytes that were read elsewhere.
    pub fn extend(&mut self, bytes: &[u8]) {
        if let Some(space) = self.space(bytes.len()).get_mut(..bytes.len()) {
            space.copy_from_slice(bytes);
        }
        self.filled(bytes.len());
    }

    /// Whether everything that arrived has been handed out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// What has arrived and has not been handed out.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Moves into a larger buffer that many decoders share in turn, unless much has arrived already. Read, take the
    /// events, then [`Frames::settle`].
    pub fn lend(&mut self, room: &mut Vec<u8>) {
        let pending = self.buffer.get(self.start..self.end).unwrap_or_default();
        let length = pending.len();
        if length <= SMALL
            && room.len() > self.buffer.len()
            && let Some(place) = room.get_mut(..length)
        {
            place.copy_from_slice(pending);
            std::mem::swap(&mut self.buffer, room);
            (self.start, self.end) = (0, length);
            *room = Vec::new();
        }
    }

    /// Gives the shared buffer back, and keeps just what has not been handed out.
    pub fn settle(&mut self, room: &mut Vec<u8>) {
        let pending = self.buffer.get(self.start..self.end).unwrap_or_default();
        if pending.len() <= SMALL && (room.is_empty() || self.buffer.len() > KEPT) {
            let own = pending.to_vec();
            (self.start, self.end) = (0, own.len());
            let left = std::mem::replace(&mut self.buffer, own);
            if room.is_empty() && left.len() <= KEPT {
                *room = left;
            }
        }
    }

    /// The next whole frame, as what it means; `None` until more has arrived.
    ///
    /// # Errors
    /// `Payload` when a frame is over the bound, `Protocol` when the peer breaks the protocol: close the connection.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "what it returns borrows it")]
    pub fn next(&mut self) -> Result<Option<Event<'_>>> {
        loop {
            let Some(Found { flags, from, to }) = self.whole()? else { return Ok(None) };
            self.start = to;
            if flags & flag::COMMAND != 0 {
                return command_event(self.buffer.get(from..to).unwrap_or_default()).map(Some);
            }
            let more = flags & flag::MORE != 0;
            if !more && !self.skipping {
                return Ok(Some(message_event(self.local, self.buffer.get(from..to).unwrap_or_default())));
            }
            self.skipping = more;
            if !more {
                return Ok(Some(Event::Multipart));
            }
        }
    }

    #[inline]
    fn whole(&self) -> Result<Option<Found>> {
        let arrived = self.buffer.get(self.start..self.end).unwrap_or_default();
        let [flags, short, ..] = *arrived else {
            // A first byte alone is judged too: nobody waits for the rest of nonsense.
            return arrived.first().map_or(Ok(None), |flags| check(*flags).map(|()| None));
        };
        check(flags)?;
        let (head, length) = if flags & flag::LONG == 0 {
            (2, usize::from(short))
        } else {
            let Some(long) = arrived.get(1..9).and_then(|long| <[u8; 8]>::try_from(long).ok()) else {
                return Ok(None);
            };
            (9, usize::try_from(u64::from_be_bytes(long)).unwrap_or(usize::MAX))
        };
        if length > self.max_frame {
            return Err(too_large(length, self.max_frame));
        }
        let (from, to) = (self.start + head, (self.start + head).saturating_add(length));
        Ok((to <= self.end).then_some(Found { flags, from, to }))
    }
}

#[inline]
fn check(flags: u8) -> Result<()> {
    if flags & !(flag::MORE | flag::LONG | flag::COMMAND) == 0 && flags & 5 != 5 {
        return Ok(());
    }
    Err(Error::protocol(format!("a frame begins with {flags:#04x}, which means nothing")))
}

#[cold]
fn too_large(length: usize, bound: usize) -> Error {
    Error::new(Code::Payload, format!("a frame of {length} bytes, and {bound} is the largest that is taken"))
}

#[inline]
fn message_event(local: Role, body: &[u8]) -> Event<'_> {
    if local != Role::Pub {
        return Event::Message(body);
    }
    match body.split_first() {
        Some((1, prefix)) => Event::Subscribe(prefix),
        Some((0, prefix)) => Event::Cancel(prefix),
        _ => Event::Other,
    }
}

fn command_event(body: &[u8]) -> Result<Event<'_>> {
    let (name, rest) = command::split(body)?;
    Ok(match name {
        b"SUBSCRIBE" => Event::Subscribe(rest),
        b"CANCEL" => Event::Cancel(rest),
        b"PING" => match rest.get(2..) {
            Some(context) if context.len() <= 16 => Event::Ping { context },
            _ => return Err(Error::protocol("a PING of the wrong length")),
        },
        b"PONG" => Event::Pong,
        _ => Event::Other,
    })
}
