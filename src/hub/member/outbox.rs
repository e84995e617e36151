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
    /// Where in `bytes` each frame ends, and whether it counts as a message.
    ends: VecDeque<End>,
    /// Messages that have left over the present connection, or an earlier one.
    sent: u64,
    /// Messages added.
    added: u64,
    most_bytes: usize,
    most_messages: usize,
}

#[derive(Clone, Copy, Debug)]
struct End {
    at: usize,
    counts: bool,
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
        self.added - self.sent
    }

    /// Messages that have left.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
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
        self.append(message, true);
        self.added += 1;
    }

    /// Adds a message of the protocol's own, which no count tells of. Without a hub it is dropped: a new
    /// connection begins with its own.
    pub fn add_own(&mut self, message: &[u8]) {
        if self.socket.is_some() {
            self.append(message, false);
        }
    }

    /// Adds bytes that are frames already.
    pub fn add_raw(&mut self, frames: &[u8]) {
        if self.socket.is_some() {
            self.bytes.extend_from_slice(frames);
            self.ends.push_back(End { at: self.bytes.len(), counts: false });
        }
    }

    fn append(&mut self, message: &[u8], counts: bool) {
        zmtp::message(&mut self.bytes, &[message]);
        self.ends.push_back(End { at: self.bytes.len(), counts });
    }

    /// From now on messages leave over this connection. `own` goes first; what waited goes after it.
    pub fn attach(&mut self, socket: Arc<Socket>, own: &[Vec<u8>]) {
        self.socket = Some(socket);
        let waiting = std::mem::take(&mut self.bytes);
        let ends = std::mem::take(&mut self.ends);
        for message in own {
            self.append(message, false);
        }
        let shift = self.bytes.len();
        self.bytes.extend_from_slice(&waiting);
        self.ends.extend(ends.into_iter().map(|end| End { at: end.at + shift, counts: end.counts }));
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
            if end.counts {
                self.bytes.extend_from_slice(&bytes[start..end.at]);
                self.ends.push_back(End { at: self.bytes.len(), counts: true });
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
            self.sent += u64::from(end.counts);
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
