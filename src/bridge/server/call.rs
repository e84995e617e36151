//! A call in the service: accepted, perhaps parked or handed on, run, completed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bridge::frame::{Frame, RequestEnvelope, flag};
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Fate};
use crate::core::instances::{BuildTicket, Lease};
use crate::core::observe::CallEvent;

use super::connection::Connection;
use super::engine::Engine;
use super::host::{Answer, Host};

/// An accepted call.
pub struct Call<H: Host> {
    /// Where it came from.
    pub connection: Arc<Connection<H>>,
    /// Its number on that connection.
    pub id: u64,
    /// The endpoint's number.
    pub endpoint: u16,
    /// The instance's number on that connection; 0 for none.
    pub instance: u32,
    /// See `frame::flag`.
    pub flags: u8,
    /// Until when.
    pub deadline: Option<Deadline>,
    /// When it was read.
    pub accepted: Instant,
    /// How long it took, once it has ended.
    pub(super) took: Option<Duration>,
    /// Its arguments.
    pub frame: Frame<H::Buffer>,
    /// It keeps the turn of its one-call connection until it is answered.
    pub(super) holds_turn: bool,
    /// It was chosen to build its instance.
    pub(super) ticket: Option<BuildTicket<H::Instance, Call<H>>>,
}

impl<H: Host> std::fmt::Debug for Call<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.id)
            .field("endpoint", &self.endpoint)
            .field("peer", &self.connection.peer)
            .finish_non_exhaustive()
    }
}

impl<H: Host> Call<H> {
    pub(super) fn new(
        connection: &Arc<Connection<H>>,
        envelope: RequestEnvelope,
        frame: Frame<H::Buffer>,
        holds_turn: bool,
        accepted: Instant,
    ) -> Self {
        Self {
            connection: Arc::clone(connection),
            id: envelope.call,
            endpoint: envelope.endpoint,
            instance: envelope.instance,
            flags: frame.flags,
            deadline: Deadline::from_wire(envelope.remaining, accepted),
            accepted,
            took: None,
            frame,
            holds_turn,
            ticket: None,
        }
    }

    /// How observers know it.
    pub(super) fn event(&self) -> CallEvent {
        CallEvent { connection: self.connection.token, id: self.id, endpoint: usize::from(self.endpoint) }
    }

    /// Whether its caller wants no reply.
    #[must_use]
    pub fn is_one_way(&self) -> bool {
        self.flags & flag::ONE_WAY != 0
    }

    /// Whether nobody waits for it any more at `now`.
    #[must_use]
    pub fn is_given_up(&self, now: Instant) -> bool {
        (!self.is_one_way() && self.connection.is_gone())
            || self.deadline.is_some_and(|deadline| deadline.passed_at(now))
    }
}

impl<H: Host> Call<H> {
    /// Answers without an engine: for calls that are left over.
    pub(super) fn answer(self, answer: &mut Answer<H::Out>) {
        if !self.is_one_way() {
            answer.seal(self.id, 0, 0, self.connection.max_frame);
            self.connection.send(answer);
        }
    }
}

/// A coroutine's call: the host holds it while the coroutine runs.
pub struct Running<H: Host> {
    engine: Arc<Engine<H>>,
    /// The call.
    pub call: Call<H>,
    /// The instance, held open.
    pub lease: Option<Lease<H::Instance>>,
    done: bool,
}

impl<H: Host> std::fmt::Debug for Running<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("call", &self.call).finish_non_exhaustive()
    }
}

impl<H: Host> Running<H> {
    pub(super) fn new(engine: Arc<Engine<H>>, call: Call<H>, lease: Option<Lease<H::Instance>>) -> Self {
        Self { engine, call, lease, done: false }
    }

    /// Answers the call. With `queued` the reply waits for [`Connection`]'s next flush
    /// (`Engine::flush_on_loop`), so that the replies of one turn of the loop leave together.
    pub fn complete(mut self, answer: &mut Answer<H::Out>, queued: bool) {
        self.done = true;
        self.lease = None;
        let engine = Arc::clone(&self.engine);
        engine.end_coroutine(&mut self.call, answer, queued);
    }
}

impl<H: Host> Drop for Running<H> {
    fn drop(&mut self) {
        if !self.done {
            // The host lost it (its loop has ended): the caller must not wait for ever.
            let error = Error::new(Code::ServiceUnavailable, "the service stopped before the call ended");
            let mut answer = Answer::failure(&error.with_fate(Fate::Unknown));
            self.lease = None;
            let engine = Arc::clone(&self.engine);
            engine.end_coroutine(&mut self.call, &mut answer, false);
        }
    }
}
