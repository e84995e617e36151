//! One connection of an asyncio client, from its opening to its end, on its loop's thread.
//!
//! Opening happens on a thread without Python, which rings a bell that the loop watches. Requests leave once per
//! turn of the loop; replies are read, decoded and resolved when the loop sees that they are there. A link is
//! used once: when its connection ends, the next call opens another.

mod ending;
mod opening;
mod replies;
mod waiter;

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use crate::bridge::client::channel::Outgoing;
use crate::bridge::client::home::Home;
use crate::bridge::client::multiplex::Multiplex;
use crate::bridge::frame::{self, Kind, PREFIX};
use crate::bridge::hello::Lane;
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Fate};
use crate::core::pending::Pending;
use crate::core::platform::readiness::Bell;
use crate::python::errors::raise;
use crate::python::value::{Encoder, InBuffer, OutBuffer, encode_arguments};

use super::allocate::{Objects, table};
use super::async_client::Shared;
use super::connected::Manner;
use super::outcome;

use opening::{Opening, dial};
use waiter::{Waiter, reply_class};

/// What a reply's value becomes.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    /// Itself.
    Value,
    /// What it says as JSON.
    Json,
}

/// One connection.
#[pyclass(frozen, module = "ironbridge._engine")]
pub(super) struct Link {
    shared: Arc<Shared>,
    event_loop: Py<PyAny>,
    /// `Reply`, with this link in it.
    reply_class: PyOnceLock<(Py<PyAny>, Py<PyDict>)>,
    opening: Arc<Opening>,
    /// Never held across code that may run Python's.
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    pending: Pending<Waiter>,
    flush_is_due: bool,
    waits_for_room: bool,
    timer: Option<(Instant, Py<PyAny>)>,
}

enum Stage {
    /// Calls wait for the connection.
    Opening(Vec<Queued>),
    Open(Box<Multiplex<InBuffer, OutBuffer>>),
    /// The loop looks for a reply; see `poll`.
    Polling,
    Ended,
}

/// A request that waits for the connection.
struct Queued {
    name: Arc<str>,
    schema: Arc<Home<InBuffer>>,
    outgoing: Outgoing<OutBuffer>,
}

impl Link {
    /// Begins to open a connection to the process of this nonce.
    pub(super) fn open<'py>(
        shared: &Arc<Shared>,
        event_loop: &Bound<'py, PyAny>,
        nonce: [u8; 16],
        lane: Lane,
    ) -> PyResult<Bound<'py, Self>> {
        let py = event_loop.py();
        let failed =
            |doing: &str, error: &std::io::Error| raise(py, &Error::io(Code::ConnectionLost, doing, error));
        let bell = Bell::new().map_err(|error| failed("opening a descriptor", &error))?;
        let opening = Arc::new(Opening { bell, opened: Mutex::new(None) });
        let state = State {
            stage: Stage::Opening(Vec::new()),
            pending: Pending::default(),
            flush_is_due: false,
            waits_for_room: false,
            timer: None,
        };
        let link = Self {
            shared: Arc::clone(shared),
            event_loop: event_loop.clone().unbind(),
            reply_class: PyOnceLock::new(),
            opening: Arc::clone(&opening),
            state: Mutex::new(state),
        };
        let link = Bound::new(py, link)?;
        let class = reply_class(&link)?;
        let options = PyDict::new(py);
        options.set_item("loop", event_loop)?;
        let _ = link.get().reply_class.set(py, (class.unbind(), options.unbind()));
        let fd = opening.bell.as_fd().as_raw_fd();
        event_loop.call_method1(intern!(py, "add_reader"), (fd, link.getattr(intern!(py, "opened"))?))?;
        let shared = Arc::clone(shared);
        std::thread::Builder::new()
            .name("ironbridge-dial".into())
            .spawn(move || {
                let opened = dial(&shared, nonce, lane);
                *opening.opened.lock() = Some(opened);
                opening.bell.ring();
            })
            .map_err(|error| failed("starting a thread to connect", &error))?;
        Ok(link)
    }

    /// Makes a call over this connection and returns its reply to come.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the call")]
    pub(super) fn call<'py>(
        &self,
        this: &Bound<'py, Self>,
        home: Arc<Home<InBuffer>>,
        name: &Arc<str>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
        manner: Manner,
        outcome: Outcome,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = this.py();
        let connected = &self.shared.connected;
        let call = manner.begin(py);
        let future = self.new_reply(py)?;
        let number = {
            let mut state = self.state.lock();
            if state.pending.len() >= connected.limits.max_in_flight {
                drop(state);
                return Err(self.overloaded(py));
            }
            let waiter = Waiter {
                future: future.clone().unbind(),
                name: Arc::clone(name),
                manner,
                outcome,
                deadline: call.deadline,
                again: None,
                sent_before: false,
            };
            state.pending.insert(waiter, call.deadline.instant())
        };
        let mut outgoing = Outgoing { head: Vec::with_capacity(256), buffers: Vec::new() };
        let mut encoded = || -> PyResult<()> {
            let prepared = connected.engine.prepare(name, Arc::clone(&home), &mut outgoing, (number, call));
            let (_, open) = prepared.map_err(|error| raise(py, &error))?;
            let Outgoing { head, buffers } = &mut outgoing;
            encode_arguments(args, kwargs, &mut Encoder::new(head, buffers, &connected.limits))?;
            let most = connected.limits.max_frame.min(home.max_frame);
            open.finish(head, table(buffers), most).map_err(|error| raise(py, &error))
        };
        if let Err(error) = encoded() {
            drop(self.state.lock().pending.take(number));
            return Err(error);
        }
        let answered = call.one_way.then(|| self.state.lock().pending.take(number)).flatten();
        self.enqueue(
            this,
            Queued { name: Arc::clone(name), schema: home, outgoing },
            (number, call.idempotent),
        )?;
        if answered.is_some() {
            future.call_method1(intern!(py, "set_result"), (py.None(),))?;
        } else {
            self.set_timer(this, call.deadline)?;
        }
        Ok(future)
    }

    /// Ends the connection: its client is closed.
    pub(super) fn shut(this: &Bound<'_, Self>) {
        let error = Error::new(Code::ConnectionLost, "the client was closed");
        this.get().end(this, &error);
    }

    fn new_reply<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.reply_class.get(py) {
            Some((class, options)) => class.bind(py).call((), Some(options.bind(py))),
            None => Err(pyo3::exceptions::PyRuntimeError::new_err("the connection has not begun")),
        }
    }

    fn overloaded(&self, py: Python<'_>) -> PyErr {
        let most = self.shared.connected.limits.max_in_flight;
        let text =
            format!("{most} calls are in flight, the limit of one connection (IRONBRIDGE_MAX_IN_FLIGHT)");
        raise(py, &Error::new(Code::Overloaded, text))
    }

    /// Leaves a request to the next flush, which comes with the end of this turn of the loop.
    fn enqueue(
        &self,
        this: &Bound<'_, Self>,
        queued: Queued,
        (number, idempotent): (u64, bool),
    ) -> PyResult<()> {
        let flush = {
            let mut state = self.state.lock();
            let State { stage, pending, flush_is_due, .. } = &mut *state;
            if idempotent && queued.outgoing.buffers.is_empty() {
                pending.change(number, |waiter| waiter.again = Some(queued.outgoing.head.clone()));
            }
            match stage {
                Stage::Opening(waiting) => {
                    waiting.push(queued);
                    false
                }
                Stage::Open(connection) => {
                    connection.queue(&queued.outgoing.head, queued.outgoing.buffers);
                    !std::mem::replace(flush_is_due, true)
                }
                Stage::Polling | Stage::Ended => {
                    let waiter = pending.take(number);
                    drop(state);
                    drop(waiter);
                    let error = Error::new(Code::ConnectionLost, "the connection has just ended");
                    return Err(raise(this.py(), &error));
                }
            }
        };
        if flush {
            let py = this.py();
            let flush = this.getattr(intern!(py, "flush"))?;
            self.event_loop.call_method1(py, intern!(py, "call_soon"), (flush,))?;
        }
        Ok(())
    }

    fn set_timer(&self, this: &Bound<'_, Self>, deadline: Deadline) -> PyResult<()> {
        let at = deadline.instant();
        let earlier = {
            let mut state = self.state.lock();
            if state.timer.as_ref().is_some_and(|(due, _)| *due <= at) {
                return Ok(());
            }
            state.timer.take()
        };
        let py = this.py();
        if let Some((_, handle)) = earlier {
            handle.call_method0(py, intern!(py, "cancel"))?;
        }
        let delay = deadline.remaining().as_secs_f64();
        let handle = self.event_loop.call_method1(
            py,
            intern!(py, "call_later"),
            (delay, this.getattr(intern!(py, "expire"))?),
        )?;
        self.state.lock().timer = Some((at, handle));
        Ok(())
    }
}

#[pymethods]
impl Link {
    /// The connection is open, or could not be opened.
    fn opened(this: &Bound<'_, Self>) -> PyResult<()> {
        let link = this.get();
        let py = this.py();
        let Some(opened) = link.opening.opened.lock().take() else { return Ok(()) };
        let event_loop = link.event_loop.bind(py);
        event_loop.call_method1(intern!(py, "remove_reader"), (link.opening.bell.as_fd().as_raw_fd(),))?;
        let (dialled, home) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                link.end(this, &error);
                return Ok(());
            }
        };
        let mut connection = Box::new(Multiplex::new(dialled));
        let engine = &link.shared.connected.engine;
        connection.queue(engine.bind_frame(), Vec::new());
        let fd = connection.fd();
        {
            let mut state = link.state.lock();
            let Stage::Opening(waiting) = &mut state.stage else { return Ok(()) };
            for Queued { name, schema, mut outgoing } in waiting.drain(..) {
                if schema.schema.hash != home.schema.hash
                    && let Some(endpoint) = home.schema.endpoints.get(&*name)
                {
                    // The service came back with other numbers.
                    outgoing.head[PREFIX + 20..PREFIX + 22].copy_from_slice(&endpoint.id.to_le_bytes());
                }
                connection.queue(&outgoing.head, outgoing.buffers);
            }
            state.stage = Stage::Open(connection);
        }
        event_loop.call_method1(intern!(py, "add_reader"), (fd, this.getattr(intern!(py, "readable"))?))?;
        Self::flush(this)
    }

    /// Something has come.
    fn readable(this: &Bound<'_, Self>) -> PyResult<()> {
        this.get().read(this)
    }

    /// Sends the requests of this turn.
    fn flush(this: &Bound<'_, Self>) -> PyResult<()> {
        let link = this.get();
        let py = this.py();
        let (flushed, fd, waited) = {
            let mut state = link.state.lock();
            state.flush_is_due = false;
            let waited = state.waits_for_room;
            let Stage::Open(connection) = &mut state.stage else { return Ok(()) };
            let flushed = connection.flush();
            let fd = connection.fd();
            state.waits_for_room = matches!(flushed, Ok(false));
            (flushed, fd, waited)
        };
        let event_loop = link.event_loop.bind(py);
        match flushed {
            Ok(true) => {
                if waited {
                    event_loop.call_method1(intern!(py, "remove_writer"), (fd,))?;
                }
                link.poll(this)
            }
            Ok(false) => {
                if !waited {
                    event_loop
                        .call_method1(intern!(py, "add_writer"), (fd, this.getattr(intern!(py, "flush"))?))?;
                }
                Ok(())
            }
            Err(error) => {
                link.end(this, &error);
                Ok(())
            }
        }
    }

    /// Deadlines have come.
    fn expire(this: &Bound<'_, Self>) -> PyResult<()> {
        let link = this.get();
        let py = this.py();
        let (late, fate) = {
            let mut state = link.state.lock();
            state.timer = None;
            let never_open = matches!(state.stage, Stage::Opening(_));
            let fate = if never_open { Fate::NotSent } else { Fate::Unknown };
            (state.pending.overdue(Instant::now() + TOLERANCE), fate)
        };
        for (number, waiter) in late {
            let error = Error::new(Code::DeadlineExceeded, "").with_fate(waiter.fate(fate));
            let error = link.shared.connected.explain(error, &waiter.name, waiter.manner.timeout);
            link.cancel(this, number)?;
            waiter.resolve(py, Err(raise(py, &error)));
        }
        let next = link.state.lock().pending.earliest();
        match next {
            Some(at) => link.set_timer(this, Deadline::after(at.saturating_duration_since(Instant::now()))),
            None => Ok(()),
        }
    }

    /// A reply was cancelled by whoever waited for it.
    fn forget(this: &Bound<'_, Self>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let link = this.get();
        let found = {
            let mut state = link.state.lock();
            let number = state.pending.find(|waiter| waiter.future.is(future));
            number.and_then(|number| Some((number, state.pending.take(number)?)))
        };
        match found {
            Some((number, _waiter)) => link.cancel(this, number),
            None => Ok(()),
        }
    }
}

/// Timers of a loop may come this much early.
const TOLERANCE: Duration = Duration::from_millis(1);

impl Link {
    /// Tells the service that nobody waits for this call any more.
    fn cancel(&self, this: &Bound<'_, Self>, number: u64) -> PyResult<()> {
        let flush = {
            let mut state = self.state.lock();
            let State { stage, flush_is_due, .. } = &mut *state;
            match stage {
                Stage::Open(connection) => {
                    let mut bytes = Vec::with_capacity(PREFIX + 8);
                    frame::begin(&mut bytes, Kind::Cancel, 0, &number.to_le_bytes()).finish_small(&mut bytes);
                    connection.queue(&bytes, Vec::new());
                    !std::mem::replace(flush_is_due, true)
                }
                Stage::Opening(waiting) => {
                    waiting.retain(|queued| queued.outgoing.head[PREFIX..PREFIX + 8] != number.to_le_bytes());
                    false
                }
                Stage::Polling | Stage::Ended => false,
            }
        };
        if flush {
            let py = this.py();
            let flush = this.getattr(intern!(py, "flush"))?;
            self.event_loop.call_method1(py, intern!(py, "call_soon"), (flush,))?;
        }
        Ok(())
    }
}
