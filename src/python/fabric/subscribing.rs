//! The user's callbacks: `async def` ones on the connector's loop, plain ones on its threads, in order.

use std::sync::Arc;

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
}

/// A message for the loop.
pub(super) struct Message {
    arrived: Arrived,
    subscriber: Arc<Subscriber>,
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
        Arc::new(Self { callback, is_coroutine, ack, headers_only, name, shared: Arc::clone(shared), lane })
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
        let verdict = match (&outcome, self.ack) {
            (Ok(()), Ack::Auto { .. }) => Some(Verdict::Ack),
            (Err(error), Ack::Auto { .. }) if running::is_cancelled(py, error) => {
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
            && !running::is_cancelled(py, &error)
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
    fn receive(&self, arrived: Arrived) {
        let subscriber = Arc::clone(&self.0);
        if subscriber.is_coroutine {
            let shared = Arc::clone(&subscriber.shared);
            drop(shared.mailbox.push(Event::Message(Box::new(Message { arrived, subscriber }))));
        } else {
            let lane = subscriber.lane.clone();
            lane.submit(Box::new(move |py| subscriber.run(py, arrived)));
        }
    }
}

/// A subscriber as the engine knows it.
pub(super) struct Registered(pub(super) Arc<Subscriber>);

impl Message {
    /// Runs it on the loop's thread.
    pub(super) fn run(self, py: Python<'_>) {
        let Self { arrived, subscriber } = self;
        if let Err(error) = Self::begin(py, arrived, &subscriber) {
            subscriber.told(py, &error);
        }
    }

    fn begin(py: Python<'_>, arrived: Arrived, subscriber: &Arc<Subscriber>) -> PyResult<()> {
        let Some((event_loop, context)) = subscriber.shared.place(py)? else { return Ok(()) };
        let (message, argument) = subscriber.argument(py, arrived)?;
        let after = Received { message, subscriber: Arc::clone(subscriber) };
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
    subscriber: Arc<Subscriber>,
}

impl After for Received {
    fn deadline(&self) -> Option<Deadline> {
        None
    }

    fn ended(self: Box<Self>, py: Python<'_>, outcome: PyResult<Bound<'_, PyAny>>) {
        self.subscriber.ended(py, self.message.get(), outcome.map(drop));
    }
}
