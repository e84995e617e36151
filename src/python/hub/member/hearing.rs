//! What is heard: read, decoded and handed on, a batch at a time, on the loop's thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::intern;
use pyo3::prelude::*;

use crate::core::error::{Code, Error};
use crate::hub::member::{Inbound, Notice, Read};
use crate::hub::message::Head;
use crate::python::errors::raise;

use super::handlers::Handlers;
use super::{HubMember, waiting};

/// In one turn of the loop at most so many reads, and about this time: others' callbacks wait.
const READS: usize = 8;
const LONGEST_TURN: Duration = Duration::from_millis(5);
/// The clock is looked at after so many messages.
const LOOK: u32 = 16;

/// What a turn has left in the buffer.
enum Left {
    Nothing,
    Something,
}

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
            state.is_full(member.bounds.max_running)
        };
        member.member.flush();
        match heard {
            Err(error) => {
                Self::unwatch(this)?;
                member.member.ended(session);
                if error.code != Code::ConnectionLost {
                    Self::failed(this, &raise(this.py(), &error), "hub");
                }
                Ok(())
            }
            Ok(_) if paused => Self::unwatch(this),
            Ok(Left::Something) => Self::hear_soon(this),
            Ok(Left::Nothing) => Ok(()),
        }
    }

    /// Handles what was read already, without waiting for more.
    fn hear_soon(this: &Bound<'_, Self>) -> PyResult<()> {
        let py = this.py();
        let readable = this.getattr(intern!(py, "_readable"))?;
        this.get().event_loop(py)?.call_method1(intern!(py, "call_soon"), (readable,))?;
        Ok(())
    }

    /// Handles what had to wait for a handler to end, as far as there is room now.
    pub(super) fn work_off(this: &Bound<'_, Self>) {
        let member = this.get();
        let Some(handlers) = member.handlers() else { return };
        loop {
            let message = {
                let mut state = member.state.lock();
                if state.running.len() >= member.bounds.max_running {
                    return;
                }
                let Some(message) = state.backlog.pop() else { return };
                message
            };
            let split = member.state.lock().view.split(&message).map(|(head, body)| (head, body.len()));
            if let Some((head, length)) = split {
                let body = &message[message.len() - length..];
                Self::understand(this, &handlers, head, body, Instant::now());
            }
        }
    }

    /// Reads on, if it had stopped because too much ran, and does not any more.
    pub(super) fn read_on(this: &Bound<'_, Self>) -> PyResult<()> {
        let member = this.get();
        let most = member.bounds.max_running;
        let fd = {
            let state = member.state.lock();
            let calm = state.running.len() <= most / 2 || !state.is_full(most);
            match (&state.inbound, state.watched) {
                (Some(inbound), None) if calm && !state.closed => inbound.fd(),
                _ => return Ok(()),
            }
        };
        Self::resume(this, fd)?;
        Self::hear_soon(this)
    }

    fn hear_all(
        this: &Bound<'_, Self>,
        inbound: &mut Inbound,
        handlers: &Arc<Handlers>,
    ) -> Result<Left, Error> {
        let member = this.get();
        let began = Instant::now();
        let mut read = Read::Some;
        let mut count = 0_u32;
        for turn in 0..=READS {
            let mut stop = false;
            inbound.each(|message| {
                Self::take(this, handlers, message, began);
                count += 1;
                stop = member.state.lock().is_full(member.bounds.max_running)
                    || (count.is_multiple_of(LOOK) && began.elapsed() > LONGEST_TURN);
                !stop
            })?;
            if stop {
                return Ok(Left::Something);
            }
            match read {
                Read::Some if turn < READS => read = inbound.read()?,
                Read::Some | Read::Dry => break,
                Read::Closed => {
                    return Err(Error::new(Code::ConnectionLost, "the hub has closed the connection"));
                }
            }
        }
        Ok(Left::Nothing)
    }

    fn take(this: &Bound<'_, Self>, handlers: &Arc<Handlers>, message: &[u8], now: Instant) {
        let member = this.get();
        let (head, body) = {
            let mut state = member.state.lock();
            state.counts.received += 1;
            let Some(split) = state.view.split(message) else { return };
            if state.must_wait(split.0, &member.bounds) {
                state.backlog.push(message);
                return;
            }
            split
        };
        Self::understand(this, handlers, head, body, now);
    }

    fn understand(this: &Bound<'_, Self>, handlers: &Arc<Handlers>, head: Head, body: &[u8], now: Instant) {
        let member = this.get();
        let py = this.py();
        let Ok((facts, data)) = member.codec.read(py, head, body, &member.limits) else {
            member.state.lock().counts.malformed += 1;
            return;
        };
        let event = member.state.lock().view.take(head, facts, now);
        if let Err(error) = Self::handle(this, handlers, event, data) {
            Self::failed(this, &error, "reading a message");
        }
    }
}
