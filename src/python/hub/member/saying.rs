//! What is said: encoded at once, sent at the end of the loop's turn, held while there is no room for it.

use std::time::{Duration, Instant};

use pyo3::intern;
use pyo3::prelude::*;

use crate::core::error::{Code, Error, Fate};
use crate::hub::message::{Wanted, check_name};
use crate::python::errors::raise;

use super::HubMember;
use super::codec::Extra;
use super::waiting::{self, Waiter};

/// A message for which there is no room, and whoever waits until there is.
pub(super) struct Held {
    message: Vec<u8>,
    from: From,
    pub(super) deadline: Instant,
}

/// Who has something to say, and hears when it cannot be said.
pub(super) enum From {
    /// Code that awaits this future until there is room.
    Sender(Py<PyAny>),
    /// The call of this number, which has a deadline of its own.
    Call(u64),
    /// A handler that has ended.
    Handler,
}

impl HubMember {
    pub(super) fn say<'py>(
        this: &Bound<'py, Self>,
        head: &[u8],
        data: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let member = this.get();
        member.check(this.py())?;
        let message =
            member.codec.write(member.member.writer(), head, data, Extra::Nothing, &member.limits)?;
        if Self::push(this, &message, None)? {
            return Ok(None);
        }
        let py = this.py();
        let future = member.event_loop(py)?.call_method0(intern!(py, "create_future"))?;
        Self::hold(this, message, From::Sender(future.clone().unbind()), None)?;
        Ok(Some(future))
    }

    /// Sends an answer.
    pub(super) fn reply(this: &Bound<'_, Self>, message: Vec<u8>) -> PyResult<()> {
        if this.get().state.lock().closed || Self::push(this, &message, None)? {
            return Ok(());
        }
        Self::hold(this, message, From::Handler, None)
    }

    pub(super) fn ask<'py>(
        this: &Bound<'py, Self>,
        action: &str,
        data: &Bound<'py, PyAny>,
        timeout: Option<f64>,
        all: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = this.py();
        let member = this.get();
        member.check(py)?;
        let timeout = match timeout {
            None => member.bounds.call_timeout,
            Some(time) if time > 0.0 && time.is_finite() => Duration::from_secs_f64(time.min(1e8)),
            Some(time) => {
                let text = format!("timeout={time} is no time in seconds above zero");
                return Err(raise(py, &Error::new(Code::Configuration, text)));
            }
        };
        check_name("action", action).map_err(|error| raise(py, &error))?;
        let event_loop = member.event_loop(py)?;
        let future = event_loop.call_method0(intern!(py, "create_future"))?;
        let waiter = Waiter::new(future.clone().unbind(), timeout, all);
        let deadline = Instant::now() + timeout;
        let call = {
            let mut state = member.state.lock();
            if state.view.calls.len() >= member.limits.max_in_flight {
                drop(state);
                member.forget_cancelled(py);
                state = member.state.lock();
            }
            if state.view.calls.len() >= member.limits.max_in_flight {
                drop(state);
                let most = member.limits.max_in_flight;
                let text = format!("{most} calls wait for an answer, the limit (IRONBRIDGE_MAX_IN_FLIGHT)");
                return Err(raise(py, &Error::new(Code::Overloaded, text)));
            }
            let awaited = all.then(|| state.view.with_action(action));
            state.view.calls.insert(waiter, action, awaited, u64::MAX, deadline)
        };
        let extra = Extra::Request(Wanted { call, timeout });
        let written =
            member.codec.write(member.member.writer(), action.as_bytes(), data, extra, &member.limits);
        let asked = written.and_then(|message| match Self::push(this, &message, Some(call))? {
            true => Ok(()),
            false => Self::hold(this, message, From::Call(call), Some(deadline)),
        });
        if let Err(error) = asked {
            let _forgotten = member.state.lock().view.calls.forget(call);
            return Err(error);
        }
        Self::read_on(this)?;
        Self::arm(this, deadline)?;
        Ok(future)
    }

    /// Leaves a message to the next flush; `false` when there is no room for it.
    fn push(this: &Bound<'_, Self>, message: &[u8], call: Option<u64>) -> PyResult<bool> {
        let py = this.py();
        let member = this.get();
        let most = member.bounds.max_message;
        if message.len() > most {
            let size = message.len();
            let text =
                format!("a message of {size} bytes is over the limit of {most} (IRONBRIDGE_HUB_MAX_MESSAGE)");
            return Err(raise(py, &Error::new(Code::Payload, text)));
        }
        let flush = {
            let mut state = member.state.lock();
            let mut outbox = member.member.outbox();
            if !state.held.is_empty() || outbox.is_full() {
                return Ok(false);
            }
            if let Some(call) = call {
                state.view.calls.sent_as(call, outbox.added());
            }
            outbox.add(message);
            !state.in_turn && state.event_loop.is_some() && !std::mem::replace(&mut state.flush_is_due, true)
        };
        if flush {
            let event_loop = member.event_loop(py)?;
            event_loop.call_method1(intern!(py, "call_soon"), (this.getattr(intern!(py, "_flush"))?,))?;
        }
        Ok(true)
    }

    /// Keeps a message until there is room for it.
    fn hold(this: &Bound<'_, Self>, message: Vec<u8>, from: From, deadline: Option<Instant>) -> PyResult<()> {
        let member = this.get();
        let deadline = deadline.unwrap_or_else(|| Instant::now() + member.bounds.send_timeout);
        let most = member.bounds.outbox_messages;
        {
            let mut state = member.state.lock();
            if state.held.len() >= most {
                drop(state);
                let text = format!(
                    "{most} messages wait for room to be sent: await what you send (IRONBRIDGE_HUB_OUTBOX_MESSAGES)"
                );
                return Err(raise(this.py(), &Error::new(Code::Overloaded, text)));
            }
            state.held.push_back(Held { message, from, deadline });
        }
        member.member.want_room();
        Self::arm(this, deadline)
    }

    /// The outbox has room for some of what is held.
    pub(super) fn make_room(this: &Bound<'_, Self>) -> PyResult<()> {
        let py = this.py();
        let member = this.get();
        let calls = member.state.lock().held.iter().any(|held| matches!(held.from, From::Call(_)));
        if calls {
            member.forget_cancelled(py);
        }
        let mut taken = Vec::new();
        let more = {
            let mut state = member.state.lock();
            let mut outbox = member.member.outbox();
            while !outbox.is_full()
                && let Some(held) = state.held.pop_front()
            {
                let wanted = match held.from {
                    From::Call(call) => state.view.calls.sent_as(call, outbox.added()),
                    _ => true,
                };
                if wanted {
                    outbox.add(&held.message);
                }
                taken.push(held);
            }
            !state.held.is_empty()
        };
        member.member.flush();
        if more {
            member.member.want_room();
        }
        for held in taken {
            if let From::Sender(future) = held.from {
                waiting::resolve(future.bind(py), &py.None().into_bound(py));
            }
        }
        Self::left_yet(this)
    }

    /// Gives up what has been held for too long.
    pub(super) fn drop_held(this: &Bound<'_, Self>, now: Instant) {
        let py = this.py();
        let member = this.get();
        let mut late = Vec::new();
        {
            let mut state = member.state.lock();
            let held = std::mem::take(&mut state.held);
            for held in held {
                if held.deadline > now {
                    state.held.push_back(held);
                } else {
                    late.push(held);
                }
            }
        }
        for held in late {
            let text = format!(
                "the hub at {} has taken nothing for {} s and the outbox is full: the message was not sent",
                member.member.config().receiver,
                member.bounds.send_timeout.as_secs_f64()
            );
            let error = Error::new(Code::DeadlineExceeded, text).with_fate(Fate::NotSent);
            held.give_up(this, &raise(py, &error));
        }
    }
}

impl Held {
    /// What its sender awaits.
    pub(super) fn future(&self) -> Option<&Py<PyAny>> {
        match &self.from {
            From::Sender(future) => Some(future),
            _ => None,
        }
    }

    /// Tells whoever has said it that it was not sent.
    pub(super) fn give_up(self, this: &Bound<'_, HubMember>, error: &PyErr) {
        match self.from {
            From::Sender(future) => waiting::fail(future.bind(this.py()), error),
            From::Call(_) => {}
            From::Handler => HubMember::failed(this, error, "an answer"),
        }
    }
}
