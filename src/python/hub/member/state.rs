//! What a member knows, between two turns of its loop.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::thread::ThreadId;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::hub::member::{Inbound, MemberLimits, View};
use crate::hub::message::Head;

use super::handlers::Handlers;
use super::leaving::Leaving;
use super::saying::Held;
use super::waiting::{Timer, Waiter};

pub(super) struct State {
    pub(super) event_loop: Option<Py<PyAny>>,
    /// The loop's.
    pub(super) thread: Option<ThreadId>,
    /// Handlers begin with a copy of it.
    pub(super) context: Option<Py<PyAny>>,
    pub(super) handlers: Option<Arc<Handlers>>,
    /// Done when the first hub has taken the registration.
    pub(super) opened: Option<Py<PyAny>>,
    pub(super) view: View<Waiter>,
    pub(super) inbound: Option<Box<Inbound>>,
    /// The descriptor that the loop watches for what is heard.
    pub(super) watched: Option<i32>,
    /// A batch is being handled: what it says leaves at its end.
    pub(super) in_turn: bool,
    pub(super) flush_is_due: bool,
    /// Messages for which the outbox has no room.
    pub(super) held: VecDeque<Held>,
    /// Messages that wait for a handler to end.
    pub(super) backlog: Backlog,
    pub(super) timer: Option<Timer>,
    /// Handlers that have not ended.
    pub(super) running: HashMap<u64, Py<PyAny>>,
    pub(super) started: u64,
    pub(super) leaving: Option<Leaving>,
    pub(super) closed: bool,
    /// A handler has asked for the program's end.
    pub(super) exit: Option<PyErr>,
    pub(super) counts: Counts,
}

/// What `stats()` tells.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) malformed: u64,
    pub(super) failed: u64,
    pub(super) unconfirmed: u64,
    pub(super) joined: u64,
    pub(super) refused: u64,
}

/// Messages as they came, in order.
#[derive(Default)]
pub(super) struct Backlog {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Backlog {
    pub(super) fn push(&mut self, message: &[u8]) {
        self.bytes += message.len();
        self.messages.push_back(message.to_vec());
    }

    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }
}

impl State {
    pub(super) fn new(handlers: Handlers, view: View<Waiter>) -> Self {
        Self {
            event_loop: None,
            thread: None,
            context: None,
            handlers: Some(Arc::new(handlers)),
            opened: None,
            view,
            inbound: None,
            watched: None,
            in_turn: false,
            flush_is_due: false,
            held: VecDeque::new(),
            backlog: Backlog::default(),
            timer: None,
            running: HashMap::new(),
            started: 0,
            leaving: None,
            closed: false,
            exit: None,
            counts: Counts::default(),
        }
    }

    /// Whether a message is to wait for a handler to end. When even the backlog is full, it is refused.
    pub(super) fn must_wait(&self, head: Head, bounds: &MemberLimits) -> bool {
        let runs = matches!(head, Head::Action(_) | Head::Broadcast | Head::Response);
        let busy = self.running.len() >= bounds.max_running || !self.backlog.messages.is_empty();
        runs && busy
            && self.backlog.messages.len() < bounds.max_running
            && self.backlog.bytes < bounds.outbox_bytes
    }

    /// Whether nothing more is to be read for now. Answers are, whatever runs: handlers may wait for them.
    pub(super) fn is_full(&self, most_running: usize) -> bool {
        self.closed || (self.running.len() >= most_running && self.view.calls.is_empty())
    }

    /// Shows the garbage collector what is held.
    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let single = [&self.event_loop, &self.context, &self.opened].into_iter().flatten();
        let handlers = self.handlers.iter().flat_map(|handlers| handlers.all());
        let held = self.held.iter().filter_map(Held::future);
        let waiting = self.view.calls.waiters().flat_map(Waiter::objects);
        let timer = self.timer.iter().map(Timer::handle);
        let leaving = self.leaving.iter().map(Leaving::future);
        let all = single.chain(handlers).chain(held).chain(waiting).chain(timer).chain(leaving);
        for object in all.chain(self.running.values()) {
            visit.call(object)?;
        }
        Ok(())
    }

    /// Gives all that away, so that whoever drops it holds no lock.
    pub(super) fn empty(&mut self) -> impl Sized + use<> {
        let ended = (self.handlers.take(), self.context.take(), self.opened.take(), self.event_loop.take());
        let waiting = (self.view.calls.drain(), std::mem::take(&mut self.held), self.timer.take());
        (ended, waiting, std::mem::take(&mut self.running), self.leaving.take())
    }
}
