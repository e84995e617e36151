//! One connection of an asyncio client, from its opening to its end, on its loop's thread.
//!
//! Opening happens on a thread without Python, which rings a bell that the loop watches. Requests leave once per
//! turn of the loop; replies are read, decoded and resolved when the loop sees that they are there. A link is
//! used once: when its connection ends, the next call opens another.

mod ending;
mod opening;
mod replies;
mod reply;
mod requests;
mod waiter;
mod waking;

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;

use crate::bridge::client::channel::Outgoing;
use crate::bridge::client::home::Home;
use crate::bridge::client::multiplex::Multiplex;
use crate::bridge::frame::{self, Kind, PREFIX};
use crate::bridge::hello::Lane;
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Fate};
use crate::core::pending::Pending;
use crate::core::platform::readiness::Bell;
use crate::core::polling::Gate;
use crate::python::errors::raise;
use crate::python::value::{InBuffer, OutBuffer};

use super::allocate::Objects;
use super::async_client::Shared;
use super::connected::Manner;
use super::outcome;

use opening::{Opening, dial};
use waiter::Waiter;
use waking::Waking;

use reply::Ends;
pub(super) use reply::Reply;
pub(super) use requests::Route;
pub(super) use waking::running_loop;

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
    ends: Ends,
    /// Whether the next call may come here: cleared once, before its client opens another.
    takes_calls: AtomicBool,
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
    parts: Parts,
}

/// Whether requests leave in parts while others are still being made: good when the service runs on another core,
/// and goes on with the first meanwhile. Found out by trying.
#[derive(Default)]
struct Parts {
    gate: Gate,
    /// One has left in this turn.
    sent: bool,
    /// When the last turn ended in which one did.
    tried: Option<Instant>,
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
            parts: Parts::default(),
        };
        let link = Self {
            shared: Arc::clone(shared),
            ends: Ends::new(event_loop)?,
            takes_calls: AtomicBool::new(true),
            opening: Arc::clone(&opening),
            state: Mutex::new(state),
        };
        let link = Bound::new(py, link)?;
        reply::register(py)?;
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

    /// Ends the connection: its client is closed.
    pub(super) fn shut(this: &Bound<'_, Self>) {
        let error = Error::new(Code::ConnectionLost, "the client was closed");
        this.get().end(this, &error);
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
        let handle = self.ends.event_loop.call_method1(
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
        let event_loop = link.ends.event_loop.bind(py);
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
        Self::turn(this, true)
    }

    /// Sends the requests of this turn.
    fn flush(this: &Bound<'_, Self>) -> PyResult<()> {
        Self::turn(this, false)
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
        let mut waking = Waking::later(py, &link.ends);
        for (number, waiter) in late {
            let error = Error::new(Code::DeadlineExceeded, "").with_fate(waiter.fate(fate));
            let error = link.shared.connected.explain(error, &waiter.name, waiter.manner.timeout);
            link.cancel(this, number)?;
            waiter.resolve(py, Err(raise(py, &error)), &mut waking);
        }
        let next = link.state.lock().pending.earliest();
        match next {
            Some(at) => link.set_timer(this, Deadline::after(at.saturating_duration_since(Instant::now()))),
            None => Ok(()),
        }
    }
}

/// Timers of a loop may come this much early.
const TOLERANCE: Duration = Duration::from_millis(1);

impl Link {
    /// A reply was cancelled by whoever waited for it.
    fn forget(this: &Bound<'_, Self>, number: u64) -> PyResult<()> {
        let link = this.get();
        let found = link.state.lock().pending.take(number);
        match found {
            Some(_waiter) => link.cancel(this, number),
            None => Ok(()),
        }
    }

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
        if flush { self.flush_soon(this) } else { Ok(()) }
    }
}
