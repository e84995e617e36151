//! The end of a service: handlers that run end first, then what they said leaves, then the service says goodbye.

use std::time::{Duration, Instant};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::core::error::{Code, Error, Fate};
use crate::core::platform::fork::generation;
use crate::python::errors::raise;

use super::{HubMember, waiting};

/// A service that ends.
pub(super) struct Leaving {
    future: Py<PyAny>,
    pub(super) deadline: Instant,
    /// It has said goodbye.
    said: bool,
    cancelled: usize,
}

impl Leaving {
    pub(super) fn future(&self) -> &Py<PyAny> {
        &self.future
    }
}

/// After the deadline, time for cancelled handlers to end and for the last words to leave.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl HubMember {
    pub(super) fn leave<'py>(this: &Bound<'py, Self>, grace: Duration) -> PyResult<Bound<'py, PyAny>> {
        let py = this.py();
        let member = this.get();
        let future = member.event_loop(py)?.call_method0(intern!(py, "create_future"))?;
        let deadline = Instant::now() + grace;
        {
            let mut state = member.state.lock();
            if let Some(leaving) = &state.leaving {
                return Ok(leaving.future.bind(py).clone());
            }
            if state.closed {
                drop(state);
                waiting::resolve(&future, member.left_over(py, 0)?.as_any());
                return Ok(future);
            }
            state.leaving =
                Some(Leaving { future: future.clone().unbind(), deadline, said: false, cancelled: 0 });
        }
        Self::arm(this, deadline)?;
        Self::left_yet(this)?;
        Ok(future)
    }

    /// Whether there is nothing left to do.
    pub(super) fn left_yet(this: &Bound<'_, Self>) -> PyResult<()> {
        let member = this.get();
        let parting = {
            let mut state = member.state.lock();
            let idle = state.running.is_empty() && state.held.is_empty();
            let Some(leaving) = &mut state.leaving else { return Ok(()) };
            if !idle {
                return Ok(());
            }
            !std::mem::replace(&mut leaving.said, true)
        };
        if parting {
            let mut outbox = member.member.outbox();
            outbox.add_own(&member.member.writer().parting());
        }
        member.member.flush();
        let empty = {
            let outbox = member.member.outbox();
            outbox.is_empty() || !outbox.is_connected() && outbox.waiting() == 0
        };
        if empty {
            return Self::gone(this);
        }
        member.member.want_room();
        Ok(())
    }

    /// A handler has ended: there may be room for more messages, or nothing left to do.
    pub(super) fn after_handler(this: &Bound<'_, Self>) -> PyResult<()> {
        Self::work_off(this);
        Self::read_on(this)?;
        Self::left_yet(this)
    }

    /// Its grace is over: handlers that still run are cancelled, and a moment later it is gone.
    pub(super) fn hurry(this: &Bound<'_, Self>, now: Instant) -> PyResult<()> {
        let py = this.py();
        let member = this.get();
        let running: Vec<Py<PyAny>> = {
            let mut state = member.state.lock();
            let running: Vec<Py<PyAny>> = state.running.values().map(|task| task.clone_ref(py)).collect();
            let count = running.len();
            let Some(leaving) = &mut state.leaving else { return Ok(()) };
            if leaving.deadline > now {
                return Ok(());
            }
            if leaving.cancelled > 0 || count == 0 {
                drop(state);
                return Self::gone(this);
            }
            leaving.cancelled = count;
            leaving.deadline = Instant::now() + LAST_WORDS;
            running
        };
        for task in running {
            task.call_method0(py, intern!(py, "cancel"))?;
        }
        Ok(())
    }

    fn gone(this: &Bound<'_, Self>) -> PyResult<()> {
        let py = this.py();
        let member = this.get();
        let leaving = member.state.lock().leaving.take();
        let Some(leaving) = leaving else { return Ok(()) };
        let left = member.left_over(py, leaving.cancelled)?;
        Self::end(this)?;
        waiting::resolve(leaving.future.bind(py), left.as_any());
        Ok(())
    }

    /// What its end has left undone.
    fn left_over<'py>(&self, py: Python<'py>, cancelled: usize) -> PyResult<Bound<'py, PyDict>> {
        let held = self.state.lock().held.len() as u64;
        let left = PyDict::new(py);
        left.set_item("unsent", self.member.outbox().waiting() + held)?;
        left.set_item("cancelled", cancelled)?;
        Ok(left)
    }

    /// Ends at once: nothing is read or sent any more, whoever waits is told.
    pub(super) fn end(this: &Bound<'_, Self>) -> PyResult<()> {
        let py = this.py();
        let member = this.get();
        let (calls, held, running, opened, event_loop) = {
            let mut state = member.state.lock();
            // In a forked child the loop and its descriptors are the parent's.
            if std::mem::replace(&mut state.closed, true) || member.made_in != generation() {
                return Ok(());
            }
            let calls = state.view.calls.drain();
            let held = std::mem::take(&mut state.held);
            let running: Vec<Py<PyAny>> = state.running.values().map(|task| task.clone_ref(py)).collect();
            let event_loop = state.event_loop.as_ref().map(|event_loop| event_loop.clone_ref(py));
            (calls, held, running, state.opened.take(), event_loop)
        };
        Self::disarm(this)?;
        if let Some(event_loop) = event_loop {
            let event_loop = event_loop.bind(py);
            if !event_loop.call_method0(intern!(py, "is_closed"))?.is_truthy()? {
                Self::unwatch(this)?;
                let bell = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(member.member.bell()));
                event_loop.call_method1(intern!(py, "remove_reader"), (bell,))?;
                for task in running {
                    task.call_method0(py, intern!(py, "cancel"))?;
                }
                for call in calls {
                    Self::end_call(py, call, Some(&waiting::stopped()))?;
                }
                for held in held {
                    let text = "the service was stopped before the message was sent";
                    let error = Error::new(Code::ServiceUnavailable, text).with_fate(Fate::NotSent);
                    held.give_up(this, &raise(py, &error));
                }
                if let Some(opened) = opened {
                    let _ = opened.bind(py).call_method0(intern!(py, "cancel"));
                }
            }
        }
        py.detach(|| member.member.stop());
        let dropped = {
            let mut state = member.state.lock();
            (state.inbound.take(), state.handlers.take(), state.context.take())
        };
        drop(dropped);
        Ok(())
    }
}
