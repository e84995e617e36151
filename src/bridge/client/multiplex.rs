//! One connection for many calls at once, driven by whoever watches its descriptor: an event loop.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use crate::bridge::frame::Reader;
use crate::bridge::hello::Welcome;
use crate::bridge::output::{Output, Sent};
use crate::bridge::stream::Stream;
use crate::core::error::{Code, Error, Fate, Result};
use crate::core::polling::Gate;

use super::dial::Dialled;

/// An open connection.
pub struct Multiplex<B, O> {
    stream: Stream,
    reader: Reader<B>,
    output: Output<O>,
    gate: Gate,
    /// What the service said of itself.
    pub welcome: Welcome,
}

/// Reads of small frames take at most this much at once.
pub const CHUNK: usize = 64 << 10;

impl<B: AsMut<[u8]>, O: AsRef<[u8]>> Multiplex<B, O> {
    /// Takes a connection whose handshake is done.
    #[must_use]
    pub fn new(dialled: Dialled<B>) -> Self {
        let Dialled { stream, reader, welcome } = dialled;
        Self { stream, reader, output: Output::default(), gate: Gate::default(), welcome }
    }

    /// The descriptor to watch.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.stream.fd().as_raw_fd()
    }

    /// Leaves a frame to be sent with the next flush.
    pub fn queue(&mut self, head: &[u8], buffers: Vec<O>) {
        self.output.push(head, buffers.into_iter());
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.output.queued()
    }

    /// Sends what waits; `false` while some is left: watch for room, and flush again.
    ///
    /// # Errors
    /// `ConnectionLost`.
    pub fn flush(&mut self) -> Result<bool> {
        match self.output.flush(&mut self.stream, Duration::ZERO) {
            Sent::All => Ok(true),
            Sent::Blocked => Ok(false),
            Sent::Closed => Err(lost("the service closed the connection")),
        }
    }

    /// Receives what has come, as much as fits. Returns whether that was all; take the frames out before the next.
    ///
    /// # Errors
    /// `ConnectionLost`.
    pub fn receive(&mut self) -> Result<bool> {
        let room = self.reader.space();
        let asked = room.len();
        if asked == 0 {
            return Ok(false);
        }
        match self.stream.read(room) {
            Ok(0) => Err(lost("the service's process ended, or closed the connection")),
            Ok(count) => {
                self.reader.filled(count);
                // The socket had less than was asked for: asking again would find nothing.
                Ok(count < asked && !self.stream.has_buffered() && self.reader.is_small())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(lost(&format!("the connection to the service broke: {error}"))),
        }
    }

    /// Takes the reader out, for its frames to be handled while the connection is used; to be put back.
    #[must_use]
    pub fn take_reader(&mut self) -> Reader<B> {
        std::mem::replace(&mut self.reader, Reader::new(0, 0))
    }

    /// Puts the reader back.
    pub fn put_reader(&mut self, reader: Reader<B>) {
        self.reader = reader;
    }

    /// Looks for a reply for a moment, by the rule of `core::polling`; `None` when none came, else as
    /// [`Multiplex::receive`].
    pub fn poll(&mut self, budget: Duration) -> Option<bool> {
        let Self { stream, reader, gate, .. } = self;
        let room = reader.space().len();
        match gate.poll(budget, || stream.read(reader.space())) {
            Ok(Some(count)) if count > 0 => {
                reader.filled(count);
                Some(count < room && !stream.has_buffered() && reader.is_small())
            }
            // The end, or an error: receiving says which.
            Ok(Some(_)) | Err(_) => Some(false),
            Ok(None) => None,
        }
    }
}

fn lost(message: &str) -> Error {
    Error::new(Code::ConnectionLost, message).with_fate(Fate::Unknown)
}
