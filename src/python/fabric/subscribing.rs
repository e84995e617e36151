//! The user's callbacks: `async def` ones on the connector's loop, plain ones on its threads, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::message::IncomingMessage;
use super::running::{self, After};
use super::shared::{Event, Shared};
use crate::core::deadline::Deadline;
use crate::fabric::consume::{Arrived, Receive, Verdict};
use crate::python::workers::{self, Lane};

/// Who says what becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ack {
    /// The callback's end does, unless the callback itself has: it is dealt with, or not when it raised.
    Auto {
        /// What was not dealt with comes again.
        requeue: bool,
    },
    /// The callback, whenever it likes.
    Manual,
}

/// One callback.
pub(super) struct Subscriber {
    callback: Py<PyAny>,
    is_coroutine: bool,
    ack: Ack,
    /// It is given the headers alone.
    headers_only: bool,
    name: String,
    shared: Arc<Shared>,
    lane: Lane,
    /// Messages whose callback has not come to its end.
    busy: AtomicUsize,
}

/// A message for the loop.
pub(super) struct Message {
    arrived: Arrived,
    busy: Busy,
}

impl Subscriber {
    pub(super) fn new(
        callback: Py<PyAny>,
        is_coroutine: bool,
        ack: Ack,
        headers_only: bool,
        name: String,
        shared: &Arc<Shared>,
    ) -> Arc<Self> {
        let lane = shared.workers.lane();
        Arc::new(Self {
            callback,
            is_coroutine,
            ack,
            headers_only,
            name,
            shared: Arc::clone(shared),
            lane,
            busy: AtomicUsize::new(0),
        })
    }

    fn argument(&self, py: Python<'_>, arrived: Arrived) -> PyResult<(Py<IncomingMessage>, Py<PyAny>)> {
        let limits = self.shared.limits.clone();
        let message = Py::new(py, IncomingMessage::new(arrived.delivery, arrived.settle, limits))?;
        let argument = if self.headers_only {
            message.bind(py).getattr("headers")?.unbind()
        } else {
            message.clone_ref(py).into_any()
        };
        Ok((message, argument))
    }

    /// On one of the connector's threads.
    fn run(&self, py: Python<'_>, arrived: Arrived) {
        let called = self.argument(py, arrived).and_then(|(message, argument)| {
            let arguments = PyTuple::new(py, [argument])?;
            Ok((message, workers::call(self.callback.bind(py), &arguments, None)))
        });
        match called {
            Ok((message, outcome)) => self.ended(py, message.get(), outcome.map(drop)),
            Err(error) => self.told(py, &error),
        }
    }

    /// The callback has ended.
    fn ended(&self, py: Python<'_>, message: &IncomingMessage, outcome: PyResult<()>) {
        let cut_off = self.shared.is_cut_off(py, &outcome);
        let verdict = match (&outcome, self.ack) {
            (Ok(()), Ack::Auto { .. }) => Some(Verdict::Ack),
            (Err(_), Ack::Auto { .. }) if cut_off => {
                // The connector closes before it could end: the message comes again.
                Some(Verdict::Reject { requeue: true })
            }
            (Err(_), Ack::Auto { requeue }) => Some(Verdict::Reject { requeue }),
            (_, Ack::Manual) => None,
        };
        if let Some(verdict) = verdict {
            message.settle_if_open(verdict);
        }
        if let Err(error) = outcome
            && !cut_off
        {
            self.told(py, &error);
        }
    }

    fn told(&self, py: Python<'_>, error: &PyErr) {
        let place = format!("the callback of {}", self.name);
        self.shared.failed(py, error, &place);
    }
}

impl Receive for Registered {
    fn busy(&self) -> usize {
        self.0.busy.load(Ordering::Acquire)
    }

    fn receive(&self, arrived: Arrived) {
        let busy = Busy::new(&self.0);
        if busy.0.is_coroutine {
            let shared = Arc::clone(&busy.0.shared);
            drop(shared.mailbox.push(Event::Message(Box::new(Message { arrived, busy }))));
        } else {
            let lane = busy.0.lane.clone();
            lane.submit(Box::new(move |py| busy.0.run(py, arrived)));
        }
    }
}

/// A subscriber that has a message to come to an end with.
struct Busy(Arc<Subscriber>);

impl Busy {
    fn new(subscriber: &Arc<Subscriber>) -> Self {
        subscriber.busy.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(subscriber))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A subscriber as the engine knows it.
pub(super) struct Registered(pub(super) Arc<Subscriber>);

impl Message {
    /// Runs it on the loop's thread.
    pub(super) fn run(self, py: Python<'_>) {
        let Self { arrived, busy } = self;
        let subscriber = Arc::clone(&busy.0);
        if let Err(error) = Self::begin(py, arrived, busy) {
            subscriber.told(py, &error);
        }
    }

    fn begin(py: Python<'_>, arrived: Arrived, busy: Busy) -> PyResult<()> {
        let subscriber = Arc::clone(&busy.0);
        let Some((event_loop, context)) = subscriber.shared.place(py)? else { return Ok(()) };
        let (message, argument) = subscriber.argument(py, arrived)?;
        let after = Received { message, busy };
        match subscriber.callback.bind(py).call1((argument,)) {
            Ok(value) => {
                running::run(py, &subscriber.shared, &event_loop, &context, &value, Box::new(after));
            }
            Err(error) => Box::new(after).ended(py, Err(error)),
        }
        Ok(())
    }
}

struct Received {
    message: Py<IncomingMessage>,
    busy: Busy,
}

impl After for Received {
    fn deadline(&self) -> Option<Deadline> {
        None
    }

    fn ended(self: Box<Self>, py: Python<'_>, outcome: PyResult<Bound<'_, PyAny>>) {
        self.busy.0.ended(py, self.message.get(), outcome.map(drop));
    }
}
