//! What a connector's parts in Python share: its event loop's mailbox, its threads, and how values are written.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::codec::{Codec, Fallback};
use super::running;
use super::serving::Incoming;
use super::subscribing::Message;
use super::waiting::Ended;
use crate::core::error::Error;
use crate::core::limits::Limits;
use crate::fabric::link::{Observer, State};
use crate::python::mailbox::Mailbox;
use crate::python::workers::Workers;

/// What the engine's thread tells the event loop.
pub(super) enum Event {
    /// Something that was begun has ended.
    Ended(Ended),
    /// A call for an `async def` method.
    Call(Incoming),
    /// A message for an `async def` callback.
    Message(Box<Message>),
    /// The connection's state has changed.
    State(State, Option<Error>),
    /// Something failed that nobody waits for.
    Trouble(Error, String),
    /// The user's own code did.
    Failed(PyErr, String),
}

pub(super) struct Shared {
    pub(super) mailbox: Mailbox<Event>,
    pub(super) workers: Workers,
    pub(super) codec: Codec,
    pub(super) fallback: Fallback,
    pub(super) limits: Limits,
    pub(super) place: Mutex<Place>,
    /// The connector ends: handlers that are cancelled now have not failed.
    pub(super) ending: AtomicBool,
    /// Handlers that have not ended, by number.
    pub(super) running: Mutex<Running>,
}

/// Where the loop is.
#[derive(Default)]
pub(super) struct Place {
    pub(super) event_loop: Option<Py<PyAny>>,
    pub(super) thread: Option<ThreadId>,
    /// Handlers begin with a copy of it.
    pub(super) context: Option<Py<PyAny>>,
}

#[derive(Default)]
pub(super) struct Running {
    next: u64,
    pub(super) tasks: HashMap<u64, Py<PyAny>>,
}

impl Running {
    pub(super) fn insert(&mut self, task: Py<PyAny>) -> u64 {
        self.next += 1;
        self.tasks.insert(self.next, task);
        self.next
    }
}

impl Shared {
    /// The loop, and a copy of the context in which the connector was opened.
    pub(super) fn place<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
        let (event_loop, context) = {
            let place = self.place.lock();
            let (Some(event_loop), Some(context)) = (&place.event_loop, &place.context) else {
                return Ok(None);
            };
            (event_loop.bind(py).clone(), context.bind(py).clone())
        };
        Ok(Some((event_loop, context.call_method0(intern!(py, "copy"))?)))
    }

    /// Whether a handler was cancelled since the connector ends.
    pub(super) fn is_cut_off<T>(&self, py: Python<'_>, outcome: &PyResult<T>) -> bool {
        let cancelled = outcome.as_ref().is_err_and(|error| running::is_cancelled(py, error));
        cancelled && self.ending.load(Ordering::Acquire)
    }

    /// Whether this is the loop's thread.
    pub(super) fn is_on_loop(&self) -> bool {
        self.place.lock().thread == Some(std::thread::current().id())
    }

    /// Tells of a failure that nobody waits for; from any thread.
    pub(super) fn trouble(&self, error: Error, place: impl Into<String>) {
        let _ = self.mailbox.push(Event::Trouble(error, place.into()));
    }
}

impl Shared {
    /// Tells of a failure of the user's own code; from any thread.
    pub(super) fn failed(&self, py: Python<'_>, error: &PyErr, place: &str) {
        let told = self.mailbox.push(Event::Failed(error.clone_ref(py), place.to_owned()));
        if told.is_err() {
            error.display(py);
        }
    }
}

/// Tells the loop what the engine has to tell.
pub(super) struct Telling(pub(super) Arc<Shared>);

impl Observer for Telling {
    fn state(&self, state: State, why: Option<&Error>) {
        let _ = self.0.mailbox.push(Event::State(state, why.cloned()));
    }

    fn trouble(&self, error: &Error, place: &str) {
        self.0.trouble(error.clone(), place);
    }
}

/// A function of the fabric's Python part, found once.
pub(super) fn helper<'py>(
    py: Python<'py>,
    cell: &'static PyOnceLock<Py<PyAny>>,
    module: &str,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    cell.import(py, module, name).cloned()
}
