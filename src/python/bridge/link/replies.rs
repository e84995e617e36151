//! Replies: read, decoded and resolved on the loop's own thread.

use pyo3::intern;
use pyo3::prelude::*;

use crate::bridge::frame::{Frame, Kind, ReplyEnvelope};
use crate::python::errors::raise;
use crate::python::value::InBuffer;

use super::{Link, Objects, Outcome, Stage, outcome};

impl Link {
    pub(super) fn read(&self, this: &Bound<'_, Self>) -> PyResult<()> {
        loop {
            let mut frames = Vec::new();
            let read = {
                let mut state = self.state.lock();
                let Stage::Open(connection) = &mut state.stage else { return Ok(()) };
                connection.read(&Objects, |frame| frames.push(frame))
            };
            for frame in frames {
                self.take(this, frame)?;
            }
            match read {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    self.end(this, &error);
                    return Ok(());
                }
            }
        }
    }

    pub(super) fn take(&self, this: &Bound<'_, Self>, frame: Frame<InBuffer>) -> PyResult<()> {
        match frame.kind {
            Kind::Reply => {}
            Kind::Drain => {
                self.shared.forget(this);
                return Ok(());
            }
            _ => return Ok(()),
        }
        let py = this.py();
        let envelope = ReplyEnvelope::read(frame.envelope()).map_err(|error| raise(py, &error))?;
        // Nobody waits for a call that was cancelled, or whose deadline has passed.
        let Some(waiter) = self.state.lock().pending.take(envelope.call) else { return Ok(()) };
        let connected = &self.shared.connected;
        let value = outcome::of_reply(py, frame, &connected.classes, &connected.limits);
        let value = match waiter.outcome {
            Outcome::Value => value,
            Outcome::Json => {
                value.and_then(|text| py.import("json")?.call_method1(intern!(py, "loads"), (text,)))
            }
        };
        waiter.resolve(py, value);
        Ok(())
    }

    /// When only one call waits, its reply is likely to be here in a moment: looking for it is cheaper than
    /// sleeping in the loop's selector.
    pub(super) fn poll(&self, this: &Bound<'_, Self>) -> PyResult<()> {
        let py = this.py();
        let mut connection = {
            let mut state = self.state.lock();
            if state.pending.len() != 1 || !matches!(state.stage, Stage::Open(_)) {
                return Ok(());
            }
            match std::mem::replace(&mut state.stage, Stage::Polling) {
                Stage::Open(connection) => connection,
                _ => return Ok(()),
            }
        };
        let budget = self.shared.connected.limits.poll_budget;
        // Taken out of the state: whoever has the interpreter meanwhile must not wait for us.
        let (connection, found) = py.detach(move || {
            let found = connection.poll(budget);
            (connection, found)
        });
        {
            let mut state = self.state.lock();
            if matches!(state.stage, Stage::Polling) {
                state.stage = Stage::Open(connection);
            }
        }
        if found { self.read(this) } else { Ok(()) }
    }
}
