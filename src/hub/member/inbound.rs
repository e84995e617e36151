//! The connection on which a service hears what it subscribed to.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::core::error::{Code, Error, Result};
use crate::hub::socket::Socket;
use crate::hub::zmtp::{self, Event, Frames};

/// One open subscription connection, and what has come on it so far.
#[derive(Debug)]
pub struct Inbound {
    socket: Socket,
    frames: Frames,
    /// Which connection of its member it is.
    pub session: u64,
    /// Messages of several frames, which no service sends.
    pub multipart: u64,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Something, and there may be more.
    Some,
    /// Everything that is there for now.
    Dry,
    /// The end.
    Closed,
}

/// Read at most this much at once.
const CHUNK: usize = 64 << 10;

impl Inbound {
    /// Takes a connection whose handshake is done.
    #[must_use]
    pub fn new(socket: Socket, frames: Frames, session: u64) -> Self {
        Self { socket, frames, session, multipart: 0 }
    }

    /// The descriptor, to be watched.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Reads what is there, once.
    ///
    /// # Errors
    /// `ConnectionLost` when the connection broke.
    pub fn read(&mut self) -> Result<Read> {
        let room = self.frames.space(CHUNK);
        let length = room.len();
        match self.socket.read(room) {
            Ok(0) => Ok(Read::Closed),
            Ok(count) => {
                self.frames.filled(count);
                Ok(if count < length { Read::Dry } else { Read::Some })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::Dry),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Read::Some),
            Err(error) => Err(Error::io(Code::ConnectionLost, "reading from the hub", &error)),
        }
    }

    /// Hands out the whole messages that have come, until `take` says to stop. Pings are answered on the way.
    ///
    /// # Errors
    /// What [`Frames::next`] finds wrong: the connection is of no use any more.
    #[inline]
    pub fn each(&mut self, mut take: impl FnMut(&[u8]) -> bool) -> Result<()> {
        while let Some(event) = self.frames.next()? {
            match event {
                Event::Message(message) if !take(message) => break,
                Event::Multipart => self.multipart += 1,
                Event::Ping { context } => {
                    let mut pong = Vec::new();
                    zmtp::pong(&mut pong, context);
                    // A hub that does not read its pongs will find out by itself.
                    let _ = self.socket.write(&pong);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl AsFd for Inbound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
