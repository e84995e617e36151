//! What a message, or the hub's end, causes: hooks and actions are called, calls end.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::core::error::{Code, Error, Fate};
use crate::core::json as envelope;
use crate::hub::member::{Change, Event};
use crate::python::errors::raise;

use super::codec::Data;
use super::handlers::{Asked, Handlers};
use super::{HubMember, waiting};

impl HubMember {
    pub(super) fn handle<'py>(
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
                if let Some(hook) = &handlers.broadcast
                    && member.admits()
                {
                    Self::hand_over(this, hook, &service, data, "on_broadcast");
                }
            }
            Event::Response(service) => {
                if let Some(hook) = &handlers.response {
                    Self::hand_over(this, hook, &service, data, "on_response");
                }
            }
            Event::Action { number, service, request } => {
                let Some((function, name)) = handlers.actions.get(number) else { return Ok(()) };
                let asked = request.map(Asked::from);
                if !member.admits() {
                    return Self::refuse(this, asked);
                }
                match data.value(py, &member.limits) {
                    Ok(data) => Self::run(this, function, (&*service, data), name, asked),
                    Err(error) => {
                        member.state.lock().counts.malformed += 1;
                        Self::answer(this, Err(error), name, asked)?;
                    }
                }
            }
            Event::Answer { number, service, instance, error } => {
                let answer = match error {
                    None => data.value(py, &member.limits),
                    Some(error) => Err(remote(py, &error)?),
                };
                Self::answered(this, number, (&service, instance), answer)?;
            }
        }
        Ok(())
    }

    /// Calls a hook with what a service has said.
    fn hand_over<'py>(
        this: &Bound<'py, Self>,
        hook: &Py<PyAny>,
        service: &str,
        data: Data<'_, 'py>,
        name: &str,
    ) {
        let member = this.get();
        match data.value(this.py(), &member.limits) {
            Ok(data) => Self::run(this, hook, (service, data), name, None),
            Err(_) => member.state.lock().counts.malformed += 1,
        }
    }

    /// Whether another handler may begin: not when the service leaves, and not over the bound, where it reads on only
    /// for the answers that its handlers wait for.
    fn admits(&self) -> bool {
        let mut state = self.state.lock();
        let admits = state.leaving.is_none() && state.running.len() < self.bounds.max_running;
        state.counts.refused += u64::from(!admits);
        admits
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
    pub(super) fn lost(
        this: &Bound<'_, Self>,
        handlers: &Arc<Handlers>,
        error: &Error,
        sent: u64,
    ) -> PyResult<()> {
        let py = this.py();
        let member = this.get();
        // What has come before the end counts: answers among it.
        Self::hear(this)?;
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
    if !detail.contains("module")? {
        // Originals tell a class by its bare name; only a builtin one is known by that.
        detail.set_item("module", "builtins")?;
    }
    let message: String =
        detail.get_item("message")?.map(|text| text.extract()).transpose()?.unwrap_or_default();
    let arguments = (Code::RemoteExecution as u16, Fate::Executed as u8, message, detail);
    let error = py.import("ironbridge.errors")?.getattr("from_wire")?.call1(arguments)?;
    Ok(PyErr::from_value(error))
}
