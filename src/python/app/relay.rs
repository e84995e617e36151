//! Messages to websockets between instances, from Python: an event loop drives the engine's relay.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyList, PyString};

use super::options::Given;
use crate::app::relay::{Arrival, Relay, names};
use crate::core::error::{Code, Error, Fate, Result};
use crate::python::errors::raise;

/// The connections of an instance to the Redis where it meets the others.
#[pyclass(frozen, weakref, name = "WebSocketRelay", module = "ironbridge._engine")]
pub(super) struct WebSocketRelay {
    /// None: it has ended. Never held while code of Python's may run.
    relay: Mutex<Option<Relay<Py<PyAny>>>>,
    place: Mutex<Option<Arc<Place>>>,
    /// A flush at the end of the loop's turn is due.
    flushing: AtomicBool,
    /// The loop watches for room to write.
    blocked: AtomicBool,
}

/// Who drives it, and whom it tells.
struct Place {
    event_loop: Py<PyAny>,
    flush: Py<PyAny>,
    pump: Py<PyAny>,
    on_messages: Py<PyAny>,
    on_dropped: Py<PyAny>,
    on_lost: Py<PyAny>,
}

type Message = (Py<PyBytes>, Option<Vec<Py<PyString>>>);

#[pymethods]
impl WebSocketRelay {
    /// On any thread but the loop's: connects and subscribes.
    #[staticmethod]
    fn connect(py: Python<'_>, given: Given) -> PyResult<Self> {
        let relay = py.detach(|| {
            let deadline = given.deadline();
            Relay::connect(given.config()?, deadline)
        });
        let relay = Mutex::new(Some(relay.map_err(|error| raise(py, &error))?));
        Ok(Self { relay, place: Mutex::new(None), flushing: false.into(), blocked: false.into() })
    }

    /// On the loop's thread: has it drive the connections, and tell what comes.
    fn attach(
        this: &Bound<'_, Self>,
        event_loop: &Bound<'_, PyAny>,
        on_messages: Py<PyAny>,
        on_dropped: Py<PyAny>,
        on_lost: Py<PyAny>,
    ) -> PyResult<()> {
        let method = |name: &str| this.getattr(name);
        let (pump, answered) = (method("_pump")?, method("_answered")?);
        *this.get().place.lock() = Some(Arc::new(Place {
            event_loop: event_loop.clone().unbind(),
            flush: method("_flush")?.unbind(),
            pump: pump.clone().unbind(),
            on_messages,
            on_dropped,
            on_lost,
        }));
        let [messages, answers] = this.get().descriptors()?;
        let add_reader = intern!(this.py(), "add_reader");
        event_loop.call_method1(add_reader, (messages, pump))?;
        event_loop.call_method1(add_reader, (answers, answered)).map(drop)
    }

    /// Publishes to all. Gives a future that ends when Redis has answered.
    fn broadcast(&self, py: Python<'_>, data: PyBackedBytes) -> PyResult<Py<PyAny>> {
        self.ask(py, |relay, waiter| relay.broadcast(&data, waiter))
    }

    /// Publishes to those in rooms. Gives a future that ends when Redis has answered.
    fn send(&self, py: Python<'_>, rooms: Vec<PyBackedStr>, data: PyBackedBytes) -> PyResult<Py<PyAny>> {
        self.ask(py, |relay, waiter| relay.send(&rooms, &data, waiter))
    }

    /// Asks whether Redis is there. Gives a future that ends when it has answered.
    fn ping(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.ask(py, |relay, waiter| {
            relay.ping(Some(waiter));
            Ok(())
        })
    }

    /// On the loop's thread, now and then: ends what takes too long.
    fn watch(&self, py: Python<'_>) -> PyResult<()> {
        // What stands in the sockets is no fault of Redis's.
        self.pump(py)?;
        self.answered(py)?;
        let mut late = Vec::new();
        let watched = self.with(|relay| relay.watch(Instant::now(), |waiter| late.push(waiter)));
        let error = unavailable("Redis did not answer for websockets in time");
        for waiter in late {
            settle(py, &waiter, Err(error.clone()))?;
        }
        self.keep(py, watched).map(drop)
    }

    /// On the loop's thread: ends the connections. Nobody is told.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.end(py, &unavailable("the websockets' connection to Redis was closed")).map(drop)
    }

    /// On the loop's thread: messages have come.
    #[pyo3(name = "_pump")]
    fn pump(&self, py: Python<'_>) -> PyResult<()> {
        let (mut messages, mut dropped): (Vec<Message>, Vec<String>) = (Vec::new(), Vec::new());
        let read = self.with(|relay| {
            relay.read(|arrival| match arrival {
                Arrival::Message { rooms, payload } => messages.push((
                    PyBytes::new(py, payload).unbind(),
                    rooms.map(|rooms| names(rooms).map(|name| PyString::new(py, &name).unbind()).collect()),
                )),
                Arrival::Roomless(length) => {
                    dropped.push(format!("a message to websockets without rooms is dropped ({length} bytes)"));
                }
                Arrival::Oversized(length) => dropped.push(format!(
                    "a message to websockets of {length} bytes is over the bound (IRONBRIDGE_MAX_FRAME), and dropped"
                )),
            })
        });
        let Some(place) = self.place() else { return Ok(()) };
        for text in dropped {
            place.on_dropped.call1(py, (text,))?;
        }
        if !messages.is_empty() {
            place.on_messages.call1(py, (PyList::new(py, messages)?,))?;
        }
        if self.keep(py, read)? {
            // Others have their turn before.
            place.event_loop.call_method1(py, intern!(py, "call_soon"), (&place.pump,))?;
        }
        Ok(())
    }

    /// On the loop's thread: answers have come.
    #[pyo3(name = "_answered")]
    fn answered(&self, py: Python<'_>) -> PyResult<()> {
        let mut told = Vec::new();
        loop {
            let read = self.with(|relay| relay.answers(|waiter, outcome| told.push((waiter, outcome))));
            for (waiter, outcome) in told.drain(..) {
                settle(py, &waiter, outcome)?;
            }
            if !self.keep(py, read)? {
                return Ok(());
            }
        }
    }

    /// On the loop's thread: what was appended is sent.
    #[pyo3(name = "_flush")]
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.flushing.store(false, Ordering::Relaxed);
        let flushed = self.with(|relay| relay.flush().map(|all| !all));
        let blocked = self.keep(py, flushed)?;
        if self.blocked.swap(blocked, Ordering::Relaxed) == blocked {
            return Ok(());
        }
        let Some(place) = self.place() else { return Ok(()) };
        let [_, publishing] = self.descriptors()?;
        match blocked {
            true => place.event_loop.call_method1(py, intern!(py, "add_writer"), (publishing, &place.flush)),
            false => place.event_loop.call_method1(py, intern!(py, "remove_writer"), (publishing,)),
        }
        .map(drop)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        if let Some(relay) = self.relay.try_lock() {
            relay.iter().flat_map(Relay::waiters).try_for_each(|waiter| visit.call(waiter))?;
        }
        let Some(place) = self.place.try_lock() else { return Ok(()) };
        let Some(place) = &*place else { return Ok(()) };
        let Place { event_loop, flush, pump, on_messages, on_dropped, on_lost } = &**place;
        [event_loop, flush, pump, on_messages, on_dropped, on_lost]
            .into_iter()
            .try_for_each(|object| visit.call(object))
    }

    fn __clear__(&self) {
        let place = self.place.lock().take();
        drop(place);
    }
}

impl WebSocketRelay {
    /// Appends something that Redis answers; it leaves at the end of the loop's turn.
    fn ask(
        &self,
        py: Python<'_>,
        append: impl FnOnce(&mut Relay<Py<PyAny>>, Py<PyAny>) -> Result<()>,
    ) -> PyResult<Py<PyAny>> {
        let closed = || unavailable("the websockets' connection to Redis is closed");
        let place = self.place().ok_or_else(|| raise(py, &closed()))?;
        let future = place.event_loop.call_method0(py, intern!(py, "create_future"))?;
        let waiter = future.clone_ref(py);
        let appended = match &mut *self.relay.lock() {
            Some(relay) => append(relay, waiter),
            None => Err(closed()),
        };
        appended.map_err(|error| raise(py, &error))?;
        if !self.flushing.swap(true, Ordering::Relaxed) {
            place.event_loop.call_method1(py, intern!(py, "call_soon"), (&place.flush,))?;
        }
        Ok(future)
    }

    fn with<T: Default>(&self, work: impl FnOnce(&mut Relay<Py<PyAny>>) -> Result<T>) -> Result<T> {
        self.relay.lock().as_mut().map_or_else(|| Ok(T::default()), work)
    }

    /// What came of a look at the connections. When they are lost, whoever waits is told, and the loop watches no more.
    fn keep<T: Default>(&self, py: Python<'_>, outcome: Result<T>) -> PyResult<T> {
        let error = match outcome {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let told = unavailable(&format!("Redis may not have taken a message to websockets: {error}"));
        if let Some(place) = self.end(py, &told.with_fate(Fate::Unknown))? {
            place.on_lost.call1(py, (raise(py, &error).into_value(py),))?;
        }
        Ok(T::default())
    }

    /// Ends the connections, and all that waits; gives who drove them.
    fn end(&self, py: Python<'_>, error: &Error) -> PyResult<Option<Arc<Place>>> {
        let (relay, place) = (self.relay.lock().take(), self.place.lock().take());
        let Some(relay) = relay else { return Ok(None) };
        if let Some(place) = &place {
            for fd in relay.watched().map(|fd| fd.as_raw_fd()) {
                place.event_loop.call_method1(py, intern!(py, "remove_reader"), (fd,))?;
                place.event_loop.call_method1(py, intern!(py, "remove_writer"), (fd,))?;
            }
        }
        for waiter in relay.end() {
            settle(py, &waiter, Err(error.clone()))?;
        }
        Ok(place)
    }

    fn place(&self) -> Option<Arc<Place>> {
        self.place.lock().clone()
    }

    /// Of messages, and of answers.
    fn descriptors(&self) -> PyResult<[RawFd; 2]> {
        let relay = self.relay.lock();
        let watched = relay.as_ref().map(|relay| relay.watched().map(|fd| fd.as_raw_fd()));
        watched.ok_or_else(|| PyRuntimeError::new_err("the relay has ended"))
    }
}

fn unavailable(text: &str) -> Error {
    Error::new(Code::ServiceUnavailable, text)
}

/// Ends a future, unless it was cancelled.
fn settle(py: Python<'_>, future: &Py<PyAny>, outcome: Result<()>) -> PyResult<()> {
    if future.call_method0(py, intern!(py, "done"))?.is_truthy(py)? {
        return Ok(());
    }
    match outcome {
        Ok(()) => future.call_method1(py, intern!(py, "set_result"), (py.None(),)),
        Err(error) => {
            future.call_method1(py, intern!(py, "set_exception"), (raise(py, &error).into_value(py),))
        }
    }
    .map(drop)
}
