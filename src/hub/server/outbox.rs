//! What waits to be sent to one peer: bounded, small messages joined, large ones shared among their receivers.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::hub::socket::Socket;
use crate::hub::zmtp;

/// Messages of at least this size are not copied for each receiver.
pub(super) const LARGE: usize = 16 << 10;
/// Small messages are joined up to this length, which one write takes.
const JOINED: usize = 64 << 10;
/// An empty buffer up to this size is kept for what comes next.
const KEPT: usize = 64 << 10;

/// The bounds of what waits.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) bytes: usize,
    pub(super) messages: usize,
}

/// The queue.
#[derive(Default)]
pub(super) struct Outbox {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that have left.
    sent: usize,
    bytes: usize,
    messages: usize,
    /// Since when the peer has taken nothing.
    pub(super) blocked: Option<Instant>,
}

struct Chunk {
    bytes: Bytes,
    messages: usize,
}

enum Bytes {
    Own(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Own(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
}

/// What came of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Everything has left.
    All,
    /// The rest waits for room.
    Blocked,
    /// The peer has gone.
    Closed,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    /// Takes a message; `false` when a bound is reached, and then it is dropped. One that is larger than the bound
    /// by itself is taken when nothing else waits.
    #[inline]
    pub(super) fn push(&mut self, body: &[u8], shared: &mut Option<Arc<[u8]>>, bounds: Bounds) -> bool {
        let length = zmtp::HEADER + body.len();
        if !self.is_empty()
            && (self.bytes.saturating_add(length) > bounds.bytes || self.messages >= bounds.messages)
        {
            return false;
        }
        if body.len() >= LARGE {
            let whole = shared.get_or_insert_with(|| {
                let mut whole = Vec::with_capacity(length);
                zmtp::message(&mut whole, &[body]);
                whole.into()
            });
            self.bytes += whole.len();
            self.chunks.push_back(Chunk { bytes: Bytes::Shared(Arc::clone(whole)), messages: 1 });
        } else {
            self.append(1, |out| zmtp::message(out, &[body]));
        }
        self.messages += 1;
        true
    }

    /// Takes bytes that are no message: an answer to a ping, a refusal.
    pub(super) fn push_raw(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.append(0, write);
    }

    #[inline]
    fn append(&mut self, messages: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if !matches!(self.chunks.back(), Some(Chunk { bytes: Bytes::Own(own), .. }) if own.len() < JOINED) {
            self.chunks.push_back(Chunk { bytes: Bytes::Own(Vec::new()), messages: 0 });
        }
        if let Some(Chunk { bytes: Bytes::Own(own), messages: count }) = self.chunks.back_mut() {
            let before = own.len();
            write(own);
            self.bytes += own.len() - before;
            *count += messages;
        }
    }

    /// Sends as much as there is room for. Returns how many messages have left whole.
    pub(super) fn send(&mut self, socket: &Socket) -> (usize, Sent) {
        let mut left = 0;
        while let Some(first) = self.chunks.front() {
            let rest = first.bytes().get(self.sent..).unwrap_or_default();
            if rest.is_empty() {
                left += self.finish_first();
                if self.bytes == 0 {
                    break;
                }
                continue;
            }
            match socket.write(rest) {
                Ok(count) => {
                    self.sent += count;
                    self.bytes -= count.min(self.bytes);
                    self.blocked = None;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked.get_or_insert_with(Instant::now);
                    return (left, Sent::Blocked);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return (left, Sent::Closed),
            }
        }
        self.blocked = None;
        (left, Sent::All)
    }

    /// The first chunk has left: it goes, or stays as an empty one to be filled again.
    fn finish_first(&mut self) -> usize {
        self.sent = 0;
        let last = self.chunks.len() == 1;
        let left = match self.chunks.front_mut() {
            Some(Chunk { bytes: Bytes::Own(own), messages })
                if last && own.capacity() <= KEPT + (LARGE * 2) =>
            {
                own.clear();
                std::mem::take(messages)
            }
            _ => self.chunks.pop_front().map_or(0, |chunk| chunk.messages),
        };
        self.messages -= left.min(self.messages);
        left
    }

    /// Gives back the memory of an empty queue.
    pub(super) fn rest(&mut self) {
        if self.is_empty() {
            self.chunks = VecDeque::new();
            self.sent = 0;
        }
    }
}
