//! One connection for many calls at once, driven by whoever watches its descriptor: an event loop.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use crate::bridge::frame::{Allocate, Frame, Reader};
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
/// Reads in one turn of the loop: its other callbacks wait meanwhile.
const READS: usize = 16;

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

    /// Hands over each frame that has come. Returns whether it stopped with more to read.
    ///
    /// # Errors
    /// `ConnectionLost`, or what the service sent that is no frame.
    pub fn read<A: Allocate<Buffer = B>>(
        &mut self,
        allocator: &A,
        mut taken: impl FnMut(Frame<B>),
    ) -> Result<bool> {
        for _ in 0..READS {
            while let Some(frame) = self.reader.next_frame(allocator)? {
                taken(frame);
            }
            let room = self.reader.space();
            let asked = room.len();
            match self.stream.read(room) {
                Ok(0) => return Err(lost("the service's process ended, or closed the connection")),
                Ok(count) => {
                    self.reader.filled(count);
                    if count < asked && !self.stream.has_buffered() && self.reader.is_small() {
                        // The socket had less than was asked for: asking again would find nothing.
                        while let Some(frame) = self.reader.next_frame(allocator)? {
                            taken(frame);
                        }
                        return Ok(false);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(lost(&format!("the connection to the service broke: {error}"))),
            }
        }
        Ok(true)
    }

    /// Looks for a reply for a moment, by the rule of `core::polling`; `true` when something is there to read.
    pub fn poll(&mut self, budget: Duration) -> bool {
        let Self { stream, reader, gate, .. } = self;
        match gate.poll(budget, || stream.read(reader.space())) {
            Ok(Some(count)) if count > 0 => {
                reader.filled(count);
                true
            }
            // The end, or an error: the next read says which.
            Ok(Some(_)) | Err(_) => true,
            Ok(None) => false,
        }
    }
}

fn lost(message: &str) -> Error {
    Error::new(Code::ConnectionLost, message).with_fate(Fate::Unknown)
}
