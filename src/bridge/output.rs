//! What waits to be sent on a connection: small frames joined, large buffers left where they are.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use crate::core::platform::socket::{Interest, wait};

use super::stream::Stream;

/// Pieces up to this length are joined.
const JOINED: usize = 64 << 10;

/// A queue of bytes in order.
pub(crate) struct Output<O> {
    pieces: VecDeque<Piece<O>>,
    /// Bytes of the first piece that are sent.
    sent: usize,
    queued: usize,
    blocked: Option<Instant>,
}

enum Piece<O> {
    Bytes(Vec<u8>),
    Buffer(O),
}

/// What came of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Everything has left.
    All,
    /// The rest waits for room.
    Blocked,
    /// The peer has gone.
    Closed,
}

impl<O> Default for Output<O> {
    fn default() -> Self {
        Self { pieces: VecDeque::new(), sent: 0, queued: 0, blocked: None }
    }
}

impl<O: AsRef<[u8]>> Piece<O> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Buffer(buffer) => buffer.as_ref(),
        }
    }
}

impl<O: AsRef<[u8]>> Output<O> {
    /// Bytes that wait.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Since when the peer has left no room.
    pub(crate) fn blocked(&self) -> Option<Instant> {
        self.blocked
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Appends frames and the buffers that belong after them.
    pub(crate) fn push(&mut self, head: &[u8], buffers: impl Iterator<Item = O>) {
        self.queued += head.len();
        match self.pieces.back_mut() {
            Some(Piece::Bytes(last)) if last.len() + head.len() <= JOINED => last.extend_from_slice(head),
            _ => self.pieces.push_back(Piece::Bytes(head.to_vec())),
        }
        for buffer in buffers {
            self.queued += buffer.as_ref().len();
            self.pieces.push_back(Piece::Buffer(buffer));
        }
    }

    /// Sends `head` at once when nothing waits before it; what does not leave waits. Saves a copy.
    pub(crate) fn send(&mut self, stream: &mut Stream, head: &[u8], patience: Duration) -> Sent {
        let mut sent = 0;
        if self.pieces.is_empty() {
            match stream.write(head) {
                Ok(count) if count == head.len() && !stream.wants_write() => return Sent::All,
                Ok(count) => sent = count,
                Err(error) if is_passing(&error) => {}
                Err(_) => return Sent::Closed,
            }
        }
        if sent < head.len() {
            self.push(&head[sent..], std::iter::empty());
        }
        self.flush(stream, patience)
    }

    /// Sends what waits, waiting for room at most for `patience` at a time.
    pub(crate) fn flush(&mut self, stream: &mut Stream, patience: Duration) -> Sent {
        while !self.pieces.is_empty() || stream.wants_write() {
            match self.write(stream) {
                Ok(count) => {
                    self.advance(count);
                    self.blocked = None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_passing(&error) => {
                    // A large frame fills the socket faster than its reader empties it: worth a short wait.
                    if !patience.is_zero()
                        && matches!(wait(stream.fd(), Interest::Writable, patience), Ok(true))
                    {
                        continue;
                    }
                    self.blocked.get_or_insert_with(Instant::now);
                    return Sent::Blocked;
                }
                Err(_) => return Sent::Closed,
            }
        }
        self.blocked = None;
        Sent::All
    }

    fn write(&self, stream: &mut Stream) -> io::Result<usize> {
        match self.pieces.len() {
            0 => stream.flush().map(|()| 0),
            1 => stream.write(&self.pieces[0].bytes()[self.sent..]),
            _ => {
                let mut slices = [IoSlice::new(&[]); 16];
                let mut count = 0;
                for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                    let skipped = if count == 0 { self.sent } else { 0 };
                    *slice = IoSlice::new(&piece.bytes()[skipped..]);
                    count += 1;
                }
                stream.write_vectored(&slices[..count])
            }
        }
    }

    fn advance(&mut self, mut count: usize) {
        self.queued = self.queued.saturating_sub(count);
        while let Some(piece) = self.pieces.front() {
            let left = piece.bytes().len() - self.sent;
            if count < left {
                self.sent += count;
                return;
            }
            count -= left;
            self.sent = 0;
            self.pieces.pop_front();
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
