//! Those that wait for an answer, and the one timer that wakes them all.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::core::error::{Code, Error, Fate};
use crate::hub::member::{Call, Taken};
use crate::hub::message::Instance;
use crate::python::errors::raise;

use super::HubMember;

/// Whoever waits for an answer, or for all.
pub(super) struct Waiter {
    future: Py<PyAny>,
    timeout: Duration,
    /// What has come so far, when all answers are wanted.
    collected: Option<Vec<(String, Py<PyAny>)>>,
}

/// The loop's timer, and when it is due.
pub(super) struct Timer {
    due: Instant,
    handle: Py<PyAny>,
}

/// Timers of a loop may come this much early.
pub(super) const TOLERANCE: Duration = Duration::from_millis(1);

impl Waiter {
    pub(super) fn new(future: Py<PyAny>, timeout: Duration, all: bool) -> Self {
        Self { future, timeout, collected: all.then(Vec::new) }
    }

    /// What it holds of Python's.
    pub(super) fn objects(&self) -> impl Iterator<Item = &Py<PyAny>> {
        let collected = self.collected.iter().flatten().map(|(_, answer)| answer);
        std::iter::once(&self.future).chain(collected)
    }
}

impl Timer {
    pub(super) fn handle(&self) -> &Py<PyAny> {
        &self.handle
    }
}

fn is_done(future: &Bound<'_, PyAny>) -> bool {
    let done = future.call_method0(intern!(future.py(), "done"));
    done.and_then(|done| done.is_truthy()).unwrap_or(true)
}

/// Sets a future's result. One that is done already was cancelled: nobody waits.
pub(super) fn resolve(future: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) {
    let _ = future.call_method1(intern!(future.py(), "set_result"), (value,));
}

/// Sets a future's exception.
pub(super) fn fail(future: &Bound<'_, PyAny>, error: &PyErr) {
    let py = future.py();
    let error = error.clone_ref(py).into_value(py);
    let _ = future.call_method1(intern!(py, "set_exception"), (error,));
}

impl HubMember {
    /// An answer has come.
    pub(super) fn answered<'py>(
        this: &Bound<'py, Self>,
        number: u64,
        from: (&str, Option<Instance>),
        answer: PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let py = this.py();
        let outcome = match &answer {
            Ok(value) => value.clone().unbind(),
            Err(error) => error.clone_ref(py).into_value(py).into_any(),
        };
        let taken = this.get().state.lock().view.calls.answered(number, from, |waiter| {
            if let Some(collected) = &mut waiter.collected {
                collected.push((from.0.to_owned(), outcome));
            }
        });
        let Taken::Ends(call) = taken else { return Ok(()) };
        if call.waiter.collected.is_some() {
            return Self::end_call(py, call, None);
        }
        let future = call.waiter.future.bind(py);
        match answer {
            Ok(value) => resolve(future, &value),
            Err(error) => fail(future, &error),
        }
        Ok(())
    }

    /// Ends a call without another answer: what was collected is its outcome, or the error.
    pub(super) fn end_call(py: Python<'_>, call: Call<Waiter>, error: Option<&Error>) -> PyResult<()> {
        let Call { waiter, .. } = call;
        let future = waiter.future.bind(py);
        match (waiter.collected, error) {
            (Some(collected), _) => resolve(future, PyList::new(py, collected)?.as_any()),
            (None, Some(error)) => fail(future, &raise(py, error)),
            (None, None) => {}
        }
        Ok(())
    }

    /// A service has left: calls that only it could answer end.
    pub(super) fn give_up_on(
        this: &Bound<'_, Self>,
        service: &str,
        instance: Option<Instance>,
        actions: &[String],
    ) -> PyResult<()> {
        let py = this.py();
        let ended = {
            let mut state = this.get().state.lock();
            if state.view.calls.is_empty() {
                return Ok(());
            }
            state.view.give_up_on((service, instance), actions)
        };
        for call in ended {
            let text = format!(
                "{service} left the hub before it answered the action {:?}, and nobody else has it",
                call.action
            );
            let error = Error::new(Code::ConnectionLost, text).with_fate(Fate::Unknown);
            Self::end_call(py, call, Some(&error))?;
        }
        Ok(())
    }

    /// Calls whose future was cancelled are forgotten when room is needed: an answer to one does no harm.
    pub(super) fn forget_cancelled(&self, py: Python<'_>) {
        let waiting: Vec<Py<PyAny>> =
            self.state.lock().view.calls.waiters().map(|waiter| waiter.future.clone_ref(py)).collect();
        let done: HashSet<usize> = waiting
            .iter()
            .filter(|future| is_done(future.bind(py)))
            .map(|future| future.as_ptr() as usize)
            .collect();
        let forgotten = {
            let mut state = self.state.lock();
            state.view.calls.forget_all(|waiter| done.contains(&(waiter.future.as_ptr() as usize)))
        };
        drop(forgotten);
    }

    /// Sees to it that the loop calls `expire` at this time, or before.
    pub(super) fn arm(this: &Bound<'_, Self>, due: Instant) -> PyResult<()> {
        let py = this.py();
        let member = this.get();
        let earlier = {
            let mut state = member.state.lock();
            if state.timer.as_ref().is_some_and(|timer| timer.due <= due) {
                return Ok(());
            }
            state.timer.take()
        };
        if let Some(timer) = earlier {
            timer.handle.call_method0(py, intern!(py, "cancel"))?;
        }
        let delay = due.saturating_duration_since(Instant::now()).as_secs_f64();
        let expire = this.getattr(intern!(py, "_expire"))?;
        let handle = member.event_loop(py)?.call_method1(intern!(py, "call_later"), (delay, expire))?;
        member.state.lock().timer = Some(Timer { due, handle: handle.unbind() });
        Ok(())
    }

    /// No timer is wanted any more.
    pub(super) fn disarm(this: &Bound<'_, Self>) -> PyResult<()> {
        let timer = this.get().state.lock().timer.take();
        match timer {
            Some(timer) => timer.handle.call_method0(this.py(), intern!(this.py(), "cancel")).map(drop),
            None => Ok(()),
        }
    }

    /// The timer has come.
    pub(super) fn take_overdue(this: &Bound<'_, Self>) -> PyResult<()> {
        let py = this.py();
        let member = this.get();
        let now = Instant::now() + TOLERANCE;
        let (late, begun, _timer) = {
            let mut state = member.state.lock();
            let timer = state.timer.take();
            let late = state.view.calls.overdue(now);
            let mut outbox = member.member.outbox();
            let begun = outbox.begun();
            // What nobody waits for any more does not leave: "not sent" must stay true.
            let unsent: HashSet<u64> =
                late.iter().filter(|call| !call.was_sent(begun)).map(Call::message).collect();
            if !unsent.is_empty() {
                outbox.withdraw(|number| unsent.contains(&number));
            }
            (late, begun, timer)
        };
        for call in late {
            let known = member.state.lock().view.knows_action(&call.action);
            let error = call.late(call.waiter.timeout.as_secs_f64(), known, call.was_sent(begun));
            if !is_done(call.waiter.future.bind(py)) {
                Self::end_call(py, call, Some(&error))?;
            }
        }
        Self::drop_held(this, now);
        Self::hurry(this, now)?;
        let next = {
            let state = member.state.lock();
            let held = state.held.iter().map(|held| held.deadline).min();
            let leaving = state.leaving.as_ref().map(|leaving| leaving.deadline);
            [state.view.calls.earliest(), held, leaving].into_iter().flatten().min()
        };
        next.map_or(Ok(()), |due| Self::arm(this, due))
    }
}

/// An answer that nobody can give any more.
pub(super) fn stopped() -> Error {
    Error::new(Code::ServiceUnavailable, "the service was stopped before an answer came")
        .with_fate(Fate::Unknown)
}
