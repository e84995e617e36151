//! What a node's parts in Python share: its event loop, its threads, its handlers, and how values are written.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

use super::codec::Codec;
use super::host::Spare;
use super::table::{Entry, Table};
use super::waiting::Waiter;
use crate::core::error::Result;
use crate::mesh::node::{Delivery, Node};
use crate::python::mailbox::Mailbox;
use crate::python::workers::Workers;

/// What other threads tell the event loop.
pub(super) enum Event {
    /// What the node's keeper has to tell.
    Delivered(Vec<Delivery<Waiter>>),
    /// The node is connected, or never will be.
    Started(Py<PyAny>, Result<()>),
    /// A plain handler that was called here has ended.
    Worked(Py<PyAny>, PyResult<Py<PyAny>>),
    /// A handler of an event has failed.
    Failed(PyErr, String),
}

pub(super) struct Shared {
    pub(super) node: OnceLock<Arc<Node<Waiter>>>,
    pub(super) mailbox: Mailbox<Event>,
    pub(super) workers: Workers,
    pub(super) codec: Codec,
    pub(super) table: RwLock<Arc<Table>>,
    pub(super) place: Mutex<Place>,
    /// Tasks of handlers that have not ended, by number.
    pub(super) running: Mutex<Running>,
    pub(super) streams: Mutex<HashMap<u64, Py<PyAny>>>,
    /// Calls go through Python: middlewares are there.
    pub(super) through_python: AtomicBool,
    /// What was appended is sent soon.
    pub(super) flushing: AtomicBool,
    pub(super) max_level: u32,
}

/// Where the loop is.
#[derive(Default)]
pub(super) struct Place {
    pub(super) broker: Option<Py<PyAny>>,
    pub(super) event_loop: Option<Py<PyAny>>,
    /// Handlers begin with a copy of it.
    pub(super) context: Option<Py<PyAny>>,
    /// Sends what was appended.
    pub(super) flush: Option<Py<PyAny>>,
    pub(super) spare: Option<Spare>,
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

/// What is told of a broker that is not started.
const NOT_STARTED: &str = "the broker is not started: await broker.start() first";

impl Shared {
    /// The node of this process.
    pub(super) fn node(&self) -> PyResult<&Arc<Node<Waiter>>> {
        self.node.get().ok_or_else(|| PyRuntimeError::new_err(NOT_STARTED))
    }

    pub(super) fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let place = self.place.lock();
        let event_loop = place.event_loop.as_ref().map(|event_loop| event_loop.bind(py).clone());
        event_loop.ok_or_else(|| PyRuntimeError::new_err(NOT_STARTED))
    }

    pub(super) fn broker(&self, py: Python<'_>) -> Py<PyAny> {
        let place = self.place.lock();
        place.broker.as_ref().map_or_else(|| py.None(), |broker| broker.clone_ref(py))
    }

    pub(super) fn action(&self, name: &str) -> Option<Arc<Entry>> {
        self.table.read().action(name).cloned()
    }

    /// What was appended is sent: at once when nothing else is on its way, or together with what the loop still does
    /// in this turn.
    pub(super) fn flush_soon(&self, py: Python<'_>, at_once: bool) -> PyResult<()> {
        let node = self.node()?;
        if at_once && !self.flushing.load(Ordering::Relaxed) {
            node.flush();
            return Ok(());
        }
        if self.flushing.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let (event_loop, flush) = {
            let place = self.place.lock();
            match (&place.event_loop, &place.flush) {
                (Some(event_loop), Some(flush)) => (event_loop.bind(py).clone(), flush.bind(py).clone()),
                _ => return Err(PyRuntimeError::new_err(NOT_STARTED)),
            }
        };
        event_loop.call_method1(intern!(py, "call_soon"), (flush,)).map(drop)
    }

    /// Tells of a failure that nobody waits for; from any thread.
    pub(super) fn failed(&self, py: Python<'_>, error: &PyErr, place: &str) {
        let told = self.mailbox.push(Event::Failed(error.clone_ref(py), place.to_owned()));
        if told.is_err() {
            error.display(py);
        }
    }
}
