//! A connection that carries one call at a time, driven by the thread that calls.

use std::io::{self, IoSlice};
use std::time::Duration;

use crate::bridge::frame::{Allocate, Frame, Kind, PREFIX, Reader};
use crate::bridge::hello::{self, Welcome};
use crate::bridge::stream::Stream;
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Fate, Result};
use crate::core::platform::socket::{Interest, wait};
use crate::core::polling::Gate;

use super::{Interrupt, PATIENCE};

/// Bytes to send: a head that holds frames, then the buffers of the last of them.
#[derive(Debug)]
pub struct Outgoing<O> {
    /// Frames, whole but for their buffers.
    pub head: Vec<u8>,
    /// Out-of-band buffers.
    pub buffers: Vec<O>,
}

impl<O> Default for Outgoing<O> {
    fn default() -> Self {
        Self { head: Vec::new(), buffers: Vec::new() }
    }
}

impl<O: AsRef<[u8]>> Outgoing<O> {
    /// Bytes in all.
    #[must_use]
    pub fn length(&self) -> usize {
        self.head.len() + self.buffers.iter().map(|buffer| buffer.as_ref().len()).sum::<usize>()
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Channel<B> {
    stream: Stream,
    reader: Reader<B>,
    gate: Gate,
    poll_budget: Duration,
    /// What the service said of itself.
    pub welcome: Welcome,
    /// Counts the process's forks: a channel of another count belongs to the parent.
    pub generation: u64,
}

/// Reads of small frames take at most this much at once.
const CHUNK: usize = 16 << 10;

impl<B: AsMut<[u8]>> Channel<B> {
    pub(super) fn new(
        stream: Stream,
        reader: Reader<B>,
        welcome: Welcome,
        poll_budget: Duration,
        generation: u64,
    ) -> Self {
        Self { stream, reader, gate: Gate::default(), poll_budget, welcome, generation }
    }

    /// Whether the service takes a message of this many bytes, its prefix included.
    ///
    /// # Errors
    /// `Payload`, *not sent*.
    pub fn admits(&self, bytes: usize) -> Result<()> {
        let most = self.welcome.max_frame;
        if bytes.saturating_sub(PREFIX) as u64 <= most {
            return Ok(());
        }
        Err(Error::new(
            Code::Payload,
            format!(
                "a message of {bytes} bytes is over the service's limit of {most} bytes; \
                 send it in parts, or raise IRONBRIDGE_MAX_FRAME on both sides"
            ),
        )
        .with_fate(Fate::NotSent))
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// `ConnectionLost`: *not sent* when nothing left, *outcome unknown* when some did. `DeadlineExceeded`,
    /// and `Cancelled` when interrupted, with the same distinction. After any, the channel must be dropped.
    pub fn send<O: AsRef<[u8]>>(
        &mut self,
        outgoing: &Outgoing<O>,
        deadline: Deadline,
        interrupt: Interrupt<'_>,
    ) -> Result<()> {
        let total = outgoing.length();
        let mut sent = 0;
        while sent < total || self.stream.wants_write() {
            let step = if sent == total {
                self.stream.flush().map(|()| 0)
            } else if outgoing.buffers.is_empty() {
                self.stream.write(&outgoing.head[sent..])
            } else {
                self.stream.write_vectored(&pieces(outgoing, sent))
            };
            let fate = if sent == 0 { Fate::NotSent } else { Fate::Unknown };
            match step {
                Ok(count) => sent += count,
                Err(error) => {
                    self.wait_or_fail(error, Interest::Writable, deadline, interrupt)
                        .map_err(|error| error.with_fate(fate))?;
                }
            }
        }
        Ok(())
    }

    /// Waits for the next frame.
    ///
    /// # Errors
    /// As [`Channel::send`], always with *outcome unknown*; `Protocol` or `Payload` for what is no frame.
    pub fn receive<A: Allocate<Buffer = B>>(
        &mut self,
        allocator: &A,
        deadline: Deadline,
        interrupt: Interrupt<'_>,
    ) -> Result<Frame<B>> {
        loop {
            if let Some(frame) = self.reader.next_frame(allocator).map_err(|e| e.with_fate(Fate::Unknown))? {
                return Ok(frame);
            }
            self.fill(deadline, interrupt).map_err(|error| error.with_fate(Fate::Unknown))?;
        }
    }

    /// Waits for the next reply, past whatever else the service says.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    pub fn receive_reply<A: Allocate<Buffer = B>>(
        &mut self,
        allocator: &A,
        deadline: Deadline,
        interrupt: Interrupt<'_>,
    ) -> Result<Frame<B>> {
        loop {
            let frame = self.receive(allocator, deadline, interrupt)?;
            match frame.kind {
                Kind::Reply => return Ok(frame),
                Kind::Drain => {}
                // Says why it ends the connection; reading it as anything else gives that as the error.
                Kind::Refuse => {
                    hello::read::<Welcome, _>(&frame, Kind::Welcome)
                        .map_err(|e| e.with_fate(Fate::Unknown))?;
                }
                kind => {
                    return Err(Error::protocol(format!("{kind:?} came where a reply was due"))
                        .with_fate(Fate::Unknown));
                }
            }
        }
    }

    /// Reads something: polls by the rule, then sleeps.
    fn fill(&mut self, deadline: Deadline, interrupt: Interrupt<'_>) -> Result<()> {
        let Self { stream, reader, gate, .. } = self;
        let polled = gate.poll(self.poll_budget, || stream.read(reader.space()));
        let read = match polled {
            Ok(Some(count)) => Ok(count),
            Ok(None) => self.stream.read_waiting(self.reader.space(), deadline.remaining().min(PATIENCE)),
            Err(error) => Err(error),
        };
        match read {
            Ok(0) => Err(Error::new(
                Code::ConnectionLost,
                "the service's process ended, or closed the connection, before its answer came",
            )),
            Ok(count) => {
                self.reader.filled(count);
                Ok(())
            }
            Err(error) => self.wait_or_fail(error, Interest::Readable, deadline, interrupt),
        }
    }

    /// After a failed read or write: waits when it only has to, fails when it must.
    fn wait_or_fail(
        &mut self,
        error: io::Error,
        interest: Interest,
        deadline: Deadline,
        interrupt: Interrupt<'_>,
    ) -> Result<()> {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {
                let remaining = deadline.remaining();
                if remaining.is_zero() {
                    return Err(Error::new(Code::DeadlineExceeded, "the call's deadline passed"));
                }
                // A look at the signals costs the interpreter's lock: only after a signal, or when nothing came.
                if interest == Interest::Writable && error.kind() == io::ErrorKind::WouldBlock {
                    match wait(self.stream.fd(), interest, remaining.min(PATIENCE)) {
                        Ok(true) => return Ok(()),
                        Ok(false) => {}
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(lost(&error)),
                    }
                }
                if interrupt() {
                    return Err(Error::interrupted());
                }
                Ok(())
            }
            _ => Err(lost(&error)),
        }
    }
}

impl<B: AsMut<[u8]>> Channel<B> {
    /// Whether the service has closed its end while the channel was idle. Costs a system call. What came
    /// meanwhile is kept: under TLS there is more to read than frames.
    #[must_use]
    pub fn is_stale(&mut self) -> bool {
        loop {
            match self.stream.read(self.reader.space()) {
                Ok(0) => return true,
                Ok(count) => self.reader.filled(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
    }
}

pub(super) fn chunk() -> usize {
    CHUNK
}

fn lost(error: &io::Error) -> Error {
    Error::new(Code::ConnectionLost, format!("the connection to the service broke: {error}"))
}

/// What is left to send after `sent` bytes.
fn pieces<O: AsRef<[u8]>>(outgoing: &Outgoing<O>, mut sent: usize) -> Vec<IoSlice<'_>> {
    std::iter::once(outgoing.head.as_slice())
        .chain(outgoing.buffers.iter().map(AsRef::as_ref))
        .filter_map(|piece| {
            let skipped = sent.min(piece.len());
            sent -= skipped;
            (skipped < piece.len()).then(|| IoSlice::new(&piece[skipped..]))
        })
        .collect()
}
