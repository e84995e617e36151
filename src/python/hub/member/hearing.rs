//! What is heard: read, decoded and handed on, a batch at a time, on the loop's thread.

use std::sync::Arc;
use std::time::Instant;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::core::error::{Code, Error, Fate};
use crate::core::json as envelope;
use crate::hub::member::{Change, Event, Inbound, Notice, Read};
use crate::python::errors::raise;

use super::codec::Data;
use super::handlers::{Asked, Handlers, arguments};
use super::{HubMember, waiting};

/// At most so many reads in one turn of the loop: others' callbacks wait.
const READS: usize = 8;

impl HubMember {
    /// The bell has rung.
    pub(super) fn take_notices(this: &Bound<'_, Self>) -> PyResult<()> {
        let member = this.get();
        let py = this.py();
        for notice in member.member.notices() {
            let Some(handlers) = member.handlers() else { return Ok(()) };
            match notice {
                Notice::Joined { inbound, .. } => {
                    Self::watch(this, inbound)?;
                    Self::hear(this)?;
                }
                Notice::NotJoined { error, fatal } => {
                    Self::tell_state(this, &handlers, "searching");
                    if fatal {
                        let error = raise(py, &error);
                        let opened = member.state.lock().opened.take();
                        match opened {
                            Some(opened) => waiting::fail(opened.bind(py), &error),
                            None => Self::failed(this, &error, "hub"),
                        }
                    }
                }
                Notice::Lost { error, sent } => Self::lost(this, &handlers, &error, sent)?,
                Notice::Room => Self::make_room(this)?,
                Notice::Hosts => Self::tell_state(this, &handlers, "hosting"),
            }
        }
        Ok(())
    }

    pub(super) fn handlers(&self) -> Option<Arc<Handlers>> {
        self.state.lock().handlers.clone()
    }

    fn watch(this: &Bound<'_, Self>, inbound: Inbound) -> PyResult<()> {
        let fd = inbound.fd();
        Self::unwatch(this)?;
        {
            let mut state = this.get().state.lock();
            state.view.registering();
            state.inbound = Some(Box::new(inbound));
            state.counts.joined += 1;
        }
        Self::resume(this, fd)
    }

    /// Reads from now on.
    pub(super) fn resume(this: &Bound<'_, Self>, fd: i32) -> PyResult<()> {
        let py = this.py();
        let event_loop = this.get().event_loop(py)?;
        event_loop.call_method1(intern!(py, "add_reader"), (fd, this.getattr(intern!(py, "_readable"))?))?;
        this.get().state.lock().watched = Some(fd);
        Ok(())
    }

    /// Reads no more, for now.
    pub(super) fn unwatch(this: &Bound<'_, Self>) -> PyResult<()> {
        let watched = this.get().state.lock().watched.take();
        let Some(fd) = watched else { return Ok(()) };
        let py = this.py();
        let event_loop = this.get().event_loop(py)?;
        event_loop.call_method1(intern!(py, "remove_reader"), (fd,))?;
        Ok(())
    }

    /// Reads and handles what has come.
    pub(super) fn hear(this: &Bound<'_, Self>) -> PyResult<()> {
        let member = this.get();
        let (inbound, handlers) = {
            let mut state = member.state.lock();
            let Some(handlers) = state.handlers.clone() else { return Ok(()) };
            let Some(inbound) = state.inbound.take() else { return Ok(()) };
            state.in_turn = true;
            (inbound, handlers)
        };
        let mut inbound = inbound;
        let heard = Self::hear_all(this, &mut inbound, &handlers);
        let session = inbound.session;
        let paused = {
            let mut state = member.state.lock();
            state.in_turn = false;
            state.flush_is_due = false;
            if heard.is_ok() && state.inbound.is_none() && !state.closed {
                state.inbound = Some(inbound);
            }
            state.running.len() >= member.bounds.max_running
        };
        member.member.flush();
        if let Err(error) = heard {
            Self::unwatch(this)?;
            member.member.ended(session);
            if error.code != Code::ConnectionLost {
                Self::failed(this, &raise(this.py(), &error), "hub");
            }
        } else if paused {
            Self::unwatch(this)?;
        }
        Ok(())
    }

    fn hear_all(
        this: &Bound<'_, Self>,
        inbound: &mut Inbound,
        handlers: &Arc<Handlers>,
    ) -> Result<(), Error> {
        let member = this.get();
        let mut read = Read::Some;
        for _ in 0..READS {
            let mut full = false;
            let now = Instant::now();
            inbound.each(|message| {
                Self::take(this, handlers, message, now);
                full = member.state.lock().running.len() >= member.bounds.max_running;
                !full
            })?;
            if full {
                break;
            }
            match read {
                Read::Some => read = inbound.read()?,
                Read::Dry => break,
                Read::Closed => {
                    return Err(Error::new(Code::ConnectionLost, "the hub has closed the connection"));
                }
            }
        }
        Ok(())
    }

    fn take(this: &Bound<'_, Self>, handlers: &Arc<Handlers>, message: &[u8], now: Instant) {
        let member = this.get();
        let py = this.py();
        let split = {
            let mut state = member.state.lock();
            state.counts.received += 1;
            state.view.split(message)
        };
        let Some((head, body)) = split else { return };
        let read = member.codec.read(py, body, &member.limits);
        let (facts, data) = match read {
            Ok(read) => read,
            Err(_) => {
                member.state.lock().counts.malformed += 1;
                return;
            }
        };
        let event = member.state.lock().view.take(head, facts, now);
        if let Err(error) = Self::handle(this, handlers, event, data) {
            member.state.lock().counts.malformed += 1;
            Self::failed(this, &error, "reading a message");
        }
    }

    fn handle<'py>(
        this: &Bound<'py, Self>,
        handlers: &Arc<Handlers>,
        event: Event<'_>,
        data: Data<'_, 'py>,
    ) -> PyResult<()> {
        let py = this.py();
        let member = this.get();
        match event {
            Event::Nothing => {}
            Event::Registered => {
                let opened = member.state.lock().opened.take();
                if let Some(opened) = opened {
                    waiting::resolve(opened.bind(py), &py.None().into_bound(py));
                }
                Self::tell_state(this, handlers, "connected");
                if let Some(hook) = &handlers.connect {
                    Self::run(this, hook, (), "on_connect", None);
                }
            }
            Event::Changed(changes) => {
                for change in changes {
                    Self::changed(this, handlers, change)?;
                }
            }
            Event::Newcomer(change) => {
                member.member.beat_soon();
                if let Some(change) = change {
                    Self::changed(this, handlers, change)?;
                }
            }
            Event::Broadcast(service) => {
                if let Some(hook) = &handlers.broadcast {
                    let arguments = arguments(py, &service, data.value(py, &member.limits)?)?;
                    Self::run(this, hook, arguments, "on_broadcast", None);
                }
            }
            Event::Response(service) => {
                if let Some(hook) = &handlers.response {
                    let arguments = arguments(py, &service, data.value(py, &member.limits)?)?;
                    Self::run(this, hook, arguments, "on_response", None);
                }
            }
            Event::Action { number, service, request } => {
                let Some((function, name)) = handlers.actions.get(number) else { return Ok(()) };
                if member.state.lock().leaving.is_some() {
                    member.state.lock().counts.refused += 1;
                    return Ok(());
                }
                let arguments = arguments(py, &service, data.value(py, &member.limits)?)?;
                Self::run(this, function, arguments, name, request.map(Asked::from));
            }
            Event::Answer { number, service, instance, error } => {
                let answer = match error {
                    None => Ok(data.value(py, &member.limits)?),
                    Some(error) => Err(remote(py, &error)?),
                };
                Self::answered(this, number, (&service, instance), answer)?;
            }
        }
        Ok(())
    }

    fn changed(this: &Bound<'_, Self>, handlers: &Arc<Handlers>, change: Change) -> PyResult<()> {
        let py = this.py();
        match change {
            Change::Came { service, actions } => {
                if let Some(hook) = &handlers.new_service {
                    Self::run(this, hook, (service, PyList::new(py, actions)?), "on_new_service", None);
                }
            }
            Change::Left { service, instance, actions } => {
                Self::give_up_on(this, &service, instance, &actions)?;
                if let Some(hook) = &handlers.service_lost {
                    let instance = instance.map(|instance| instance.as_str().to_owned());
                    Self::run(this, hook, (service, instance), "on_service_lost", None);
                }
            }
        }
        Ok(())
    }

    /// The hub is gone. What it had taken a moment ago may not have reached anyone.
    fn lost(this: &Bound<'_, Self>, handlers: &Arc<Handlers>, error: &Error, sent: u64) -> PyResult<()> {
        let py = this.py();
        let member = this.get();
        Self::unwatch(this)?;
        let (calls, unconfirmed) = {
            let mut state = member.state.lock();
            state.inbound = None;
            let unconfirmed = state.view.unconfirmed(sent);
            state.counts.unconfirmed += unconfirmed;
            (state.view.calls.lost(sent), unconfirmed)
        };
        for call in calls {
            let text = format!(
                "{} while the action {:?} was asked for: it may have run; ask again if that does no harm",
                error.message, call.action
            );
            let error = Error::new(Code::ConnectionLost, text).with_fate(Fate::Unknown);
            Self::end_call(py, call, Some(&error))?;
        }
        Self::tell_state(this, handlers, "lost");
        if unconfirmed > 0 {
            let text = format!(
                "{}: of the last {unconfirmed} messages that it took nobody knows whether they reached anyone",
                error.message
            );
            let error = Error::new(Code::ConnectionLost, text).with_fate(Fate::Unknown);
            Self::failed(this, &raise(py, &error), "hub");
        }
        Ok(())
    }
}

/// The exception for an answer's `error`: `type` and `error`, and what ours adds.
fn remote(py: Python<'_>, error: &[u8]) -> PyResult<PyErr> {
    let detail = PyDict::new(py);
    for field in envelope::fields(error).flatten() {
        let key = match &*field.name {
            "error" => "message",
            "type" => "type",
            "module" => "module",
            "traceback" => "traceback",
            _ => continue,
        };
        detail.set_item(key, envelope::text(field.value).unwrap_or_default())?;
    }
    let message: String =
        detail.get_item("message")?.map(|text| text.extract()).transpose()?.unwrap_or_default();
    let arguments = (Code::RemoteExecution as u16, Fate::Executed as u8, message, detail);
    let error = py.import("ironbridge.errors")?.getattr("from_wire")?.call1(arguments)?;
    Ok(PyErr::from_value(error))
}
