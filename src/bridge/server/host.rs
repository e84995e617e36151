//! What the engine asks of whoever runs the user's code. The bindings implement it for Python, tests for Rust.

use std::sync::Arc;

use crate::bridge::frame::{self, Allocate, ENVELOPE, Open, Outbound, PREFIX, ReplyEnvelope};
use crate::core::error::{Code, Error, Fate, Result};

use super::call::{Call, Running};
use super::connection::Connection;
use super::seat::Seat;

/// Runs the user's code.
pub trait Host: Allocate<Buffer: Send + 'static> + Send + Sync + Sized + 'static {
    /// A large part of a reply.
    type Out: Outbound + 'static;
    /// An instance of the user's class.
    type Instance: Clone + Send + Sync + 'static;

    /// Runs a worker's whole life: what a thread needs to call user code is made once, around `body`.
    fn on_worker_thread(&self, body: &mut (dyn FnMut() + Send));

    /// Runs `body`, in which several calls may be run one after the other.
    fn together(&self, body: &mut dyn FnMut());

    /// Whether this endpoint is a coroutine, and whether it needs an instance; `None` for no endpoint.
    fn endpoint(&self, id: u16) -> Option<EndpointKind>;

    /// The canonical key of these encoded constructor's arguments.
    ///
    /// # Errors
    /// The answer to every call on that instance.
    fn key(&self, arguments: &[u8]) -> Result<Vec<u8>, Answer<Self::Out>>;

    /// Builds an instance.
    ///
    /// # Errors
    /// The answer to the calls that wanted it.
    fn build(&self, arguments: &[u8]) -> Result<Self::Instance, Answer<Self::Out>>;

    /// Runs a plain endpoint to its end, on a worker thread.
    fn invoke(
        &self,
        call: &mut Call<Self>,
        instance: Option<&Self::Instance>,
        seated: Seated<'_, Self>,
        answer: &mut Answer<Self::Out>,
    );

    /// Starts a coroutine on the event loop, from whatever thread; its end calls [`Running::complete`].
    fn spawn(&self, running: Running<Self>);

    /// Gives the event loop a connection to read: it calls `Engine::read_on_loop` when something is there.
    fn adopt(&self, connection: Arc<Connection<Self>>);

    /// Cancels a coroutine: `Some(call)` that one, `None` all of the connection but one-way calls.
    fn cancel(&self, connection: u64, call: Option<u64>);

    /// An instance's last call has ended and nothing will call it again.
    fn close(&self, instance: Self::Instance);

    /// Tells whoever runs the service something worth knowing.
    fn log(&self, message: &str);
}

/// By which a running call learns that it was given up: `seat.is_cancelled(number)`.
pub struct Seated<'a, H: Host> {
    /// The worker's seat.
    pub seat: &'a Arc<Seat<H>>,
    /// The call's number on it.
    pub number: u64,
}

/// What the engine needs to know of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointKind {
    /// Runs on the event loop.
    pub coroutine: bool,
    /// Belongs to an instance.
    pub instance: bool,
}

/// A reply in the making: room for prefix and envelope, then the payload.
#[derive(Debug)]
pub struct Answer<O> {
    head: Vec<u8>,
    /// Large parts that leave out of band.
    pub buffers: Vec<O>,
    /// How it went.
    pub code: Code,
    /// What became of the call.
    pub fate: Fate,
}

impl<O> Default for Answer<O> {
    fn default() -> Self {
        Self { head: vec![0; PREFIX + ENVELOPE], buffers: Vec::new(), code: Code::Ok, fate: Fate::Executed }
    }
}

impl<O: AsRef<[u8]>> Answer<O> {
    /// Empties it for the next reply.
    pub fn reset(&mut self) {
        // An answer that was too large has been taken back whole.
        self.head.resize(PREFIX + ENVELOPE, 0);
        // One large reply should not keep its memory for ever.
        self.head.shrink_to(64 << 10);
        self.buffers.clear();
        (self.code, self.fate) = (Code::Ok, Fate::Executed);
    }

    /// Where the payload is appended, and the large buffers.
    pub fn parts(&mut self) -> (&mut Vec<u8>, &mut Vec<O>) {
        (&mut self.head, &mut self.buffers)
    }

    /// The payload so far.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.head[PREFIX + ENVELOPE..]
    }

    /// Makes it the answer of a failure that the engine tells.
    pub fn fail(&mut self, error: &Error) {
        self.reset();
        (self.code, self.fate) = (error.code, error.fate);
        // Writing to a vector cannot fail.
        let _ = rmp::encode::write_map_len(&mut self.head, 1);
        let _ = rmp::encode::write_str(&mut self.head, "message");
        let _ = rmp::encode::write_str(&mut self.head, &error.message);
    }

    /// The answer of a failure that the engine tells.
    #[must_use]
    pub fn failure(error: &Error) -> Self {
        let mut answer = Self::default();
        answer.fail(error);
        answer
    }

    /// The same answer for another call; `None` when it has large parts.
    #[must_use]
    pub fn copy(&self) -> Option<Self> {
        let (code, fate) = (self.code, self.fate);
        self.buffers.is_empty().then(|| Self { head: self.head.clone(), buffers: Vec::new(), code, fate })
    }

    /// The whole frame but its buffers, once sealed.
    pub(super) fn sealed(&self) -> &[u8] {
        &self.head
    }

    /// The same, and its buffers, which are taken.
    pub(super) fn take_sealed(&mut self) -> (&[u8], impl Iterator<Item = O> + '_) {
        (&self.head, self.buffers.drain(..))
    }
}

impl<O: Outbound> Answer<O> {
    /// Fills in prefix and envelope. An answer over the limit becomes the failure that says so.
    pub(super) fn seal(&mut self, call: u64, server_micros: u32, queue_depth: u32, max_frame: usize) {
        if let Err(error) = self.try_seal(call, server_micros, queue_depth, max_frame) {
            self.fail(&error.with_fate(Fate::Executed));
            // A short message always fits.
            let _ = self.try_seal(call, server_micros, queue_depth, usize::MAX >> 33);
        }
    }

    fn try_seal(&mut self, call: u64, server_micros: u32, queue_depth: u32, max_frame: usize) -> Result<()> {
        let envelope = ReplyEnvelope { call, code: self.code, fate: self.fate, server_micros, queue_depth };
        let Some(start) = self.head.first_chunk_mut() else {
            return Err(Error::protocol("an answer without room for its envelope"));
        };
        let open: Open = frame::begin_reply(start, &envelope);
        let buffers = self.buffers.iter().map(|buffer| (buffer.as_ref().len(), buffer.mutable()));
        open.finish(&mut self.head, buffers, max_frame)
    }
}
