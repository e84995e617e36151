//! What a service has to say and the hub has not taken yet: bounded, in order, kept while there is no hub.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::hub::socket::Socket;
use crate::hub::zmtp;

/// Messages on their way to the hub. Any thread may add to it and flush it: frames go out whole.
#[derive(Debug)]
pub struct Outbox {
    socket: Option<Arc<Socket>>,
    /// Frames, the first of which may have left in part.
    bytes: Vec<u8>,
    /// How far `bytes` has been written.
    written: usize,
    /// Where the first frame begins that has not left whole.
    gone: usize,
    /// Where in `bytes` each frame ends, and what it counts as.
    ends: VecDeque<End>,
    /// The number of the first message that has not left over the present connection, or an earlier one.
    sent: u64,
    /// Messages added.
    added: u64,
    /// Messages taken back before they left.
    withdrawn: u64,
    most_bytes: usize,
    most_messages: usize,
}

#[derive(Clone, Copy, Debug)]
struct End {
    at: usize,
    /// How many messages' numbers it stands for: none when it is the protocol's own; more than one when messages
    /// that were taken back came after it.
    counts: u64,
    /// Whether its message is there, and was not taken back.
    real: bool,
}

/// Written bytes are let go of from this many on.
const COMPACT: usize = 64 << 10;

impl Outbox {
    /// An empty one, without a connection.
    #[must_use]
    pub fn new(most_bytes: usize, most_messages: usize) -> Self {
        Self {
            socket: None,
            bytes: Vec::new(),
            written: 0,
            gone: 0,
            ends: VecDeque::new(),
            sent: 0,
            added: 0,
            withdrawn: 0,
            most_bytes,
            most_messages,
        }
    }

    /// Whether a message must wait outside.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes.len() - self.written >= self.most_bytes || self.ends.len() >= self.most_messages
    }

    /// Whether everything has left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Messages that wait here.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.ends.iter().filter(|end| end.real && end.counts > 0).count() as u64
    }

    /// Messages that have left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.added - self.withdrawn - self.waiting()
    }

    /// The number of the first message that has not left.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The number of the first message of which nothing has left.
    #[must_use]
    pub fn begun(&self) -> u64 {
        let partly = self.written > self.gone && self.ends.front().is_some_and(|end| end.counts > 0);
        self.sent + u64::from(partly)
    }

    /// The number that the next message gets: it has left when `sent` has passed it.
    #[must_use]
    pub fn added(&self) -> u64 {
        self.added
    }

    /// Whether there is a hub to flush to.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// Adds a message at the end.
    pub fn add(&mut self, message: &[u8]) {
        self.append(message, 1);
        self.added += 1;
    }

    /// Adds a message of the protocol's own, which no count tells of. Without a hub it is dropped: a new
    /// connection begins with its own.
    pub fn add_own(&mut self, message: &[u8]) {
        if self.socket.is_some() {
            self.append(message, 0);
        }
    }

    /// Adds bytes that are frames already. A hub that asks for many, and takes none, gets no more.
    pub fn add_raw(&mut self, frames: &[u8]) {
        if self.socket.is_some() && !self.is_full() {
            self.bytes.extend_from_slice(frames);
            self.ends.push_back(End { at: self.bytes.len(), counts: 0, real: true });
        }
    }

    fn append(&mut self, message: &[u8], counts: u64) {
        zmtp::message(&mut self.bytes, &[message]);
        self.ends.push_back(End { at: self.bytes.len(), counts, real: true });
    }

    /// Takes messages back by their numbers, if nothing of them has left.
    pub fn withdraw(&mut self, which: impl Fn(u64) -> bool) {
        let mut number = self.sent;
        let (mut from, mut kept) = (self.gone, self.gone);
        for end in std::mem::take(&mut self.ends) {
            let taken = end.real && end.counts > 0 && from >= self.written && which(number);
            self.withdrawn += u64::from(taken);
            number += end.counts;
            let to = if taken { from } else { end.at };
            self.bytes.copy_within(from..to, kept);
            kept += to - from;
            from = end.at;
            let real = end.real && !taken;
            match self.ends.back_mut() {
                Some(last) if !real && last.counts > 0 => last.counts += end.counts,
                _ => self.ends.push_back(End { at: kept, counts: end.counts, real }),
            }
        }
        self.bytes.truncate(kept);
    }

    /// From now on messages leave over this connection. `own` goes first; what waited goes after it.
    pub fn attach(&mut self, socket: Arc<Socket>, own: &[Vec<u8>]) {
        self.socket = Some(socket);
        let waiting = std::mem::take(&mut self.bytes);
        let ends = std::mem::take(&mut self.ends);
        for message in own {
            self.append(message, 0);
        }
        let shift = self.bytes.len();
        self.bytes.extend_from_slice(&waiting);
        self.ends.extend(ends.into_iter().map(|end| End { at: end.at + shift, ..end }));
    }

    /// The connection has ended. A frame that left in part was never read: it will be sent again, whole. The
    /// protocol's own frames are forgotten.
    pub fn detach(&mut self) -> Option<Arc<Socket>> {
        let socket = self.socket.take()?;
        let bytes = std::mem::take(&mut self.bytes);
        let ends = std::mem::take(&mut self.ends);
        let mut start = std::mem::take(&mut self.gone);
        self.written = 0;
        for end in ends {
            if end.counts > 0 {
                self.bytes.extend_from_slice(&bytes[start..end.at]);
                self.ends.push_back(End { at: self.bytes.len(), ..end });
            }
            start = end.at;
        }
        Some(socket)
    }

    /// Writes what there is room for; `true` when everything has left.
    ///
    /// # Errors
    /// What broke the connection.
    pub fn flush(&mut self) -> io::Result<bool> {
        let Some(socket) = &self.socket else { return Ok(self.ends.is_empty()) };
        while self.written < self.bytes.len() {
            match socket.write(&self.bytes[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.settle();
                    return Ok(false);
                }
                Err(error) => {
                    self.settle();
                    return Err(error);
                }
            }
        }
        self.settle();
        Ok(true)
    }

    /// Counts the frames that have left, and lets go of their bytes.
    fn settle(&mut self) {
        while let Some(end) = self.ends.front().copied()
            && end.at <= self.written
        {
            self.gone = end.at;
            self.sent += end.counts;
            self.ends.pop_front();
        }
        if self.ends.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(COMPACT);
            (self.written, self.gone) = (0, 0);
        } else if self.gone >= COMPACT && self.gone >= self.bytes.len() / 2 {
            self.bytes.drain(..self.gone);
            self.written -= self.gone;
            for end in &mut self.ends {
                end.at -= self.gone;
            }
            self.gone = 0;
        }
    }
}
