//! Replies: read, decoded and resolved on the loop's own thread.

use std::time::{Duration, Instant};

use pyo3::intern;
use pyo3::prelude::*;

use crate::bridge::frame::{Kind, Message, ReplyEnvelope};
use crate::core::error::Error;
use crate::python::value::InBuffer;

use super::super::connected::Connected;
use super::{Link, Objects, Outcome, Parts, Stage, State, Waking, outcome};

impl Link {
    /// Reads and wakes. `found` says that something has been received already, and whether that was all.
    fn read<'py>(
        &self,
        this: &Bound<'py, Self>,
        mut found: Option<bool>,
        (waking, in_parts): (&mut Waking<'_, 'py>, &mut bool),
    ) -> PyResult<()> {
        let mut part = 0;
        for _ in 0..READS {
            // Its frames are handled while nothing is locked: those who are woken make calls here.
            let (received, mut reader) = {
                let mut state = self.state.lock();
                // What the woken ask for leaves together, when all are woken.
                state.flush_is_due = true;
                let Stage::Open(connection) = &mut state.stage else { return Ok(()) };
                let received = found.take().map_or_else(|| connection.receive(), Ok);
                (received, connection.take_reader())
            };
            let taken = loop {
                match reader.next_message(&Objects) {
                    Ok(Some(message)) => {
                        if let Err(error) = self.take(this, message, waking) {
                            break Err(error);
                        }
                        part += 1;
                        if *in_parts && part % PART == 0 {
                            *in_parts = self.send_part();
                        }
                    }
                    Ok(None) => break received,
                    Err(error) => break Err(error),
                }
            };
            if let Stage::Open(connection) = &mut self.state.lock().stage {
                connection.put_reader(reader);
            }
            match taken {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => {
                    self.end(this, &error);
                    return Ok(());
                }
            }
        }
        // There may be more, of which the descriptor does not tell.
        let py = this.py();
        let readable = this.getattr(intern!(py, "readable"))?;
        self.ends.event_loop.call_method1(py, intern!(py, "call_soon"), (readable,)).map(drop)
    }

    fn take<'py>(
        &self,
        this: &Bound<'py, Self>,
        message: Message<'_, InBuffer>,
        waking: &mut Waking<'_, 'py>,
    ) -> Result<(), Error> {
        match message.kind {
            Kind::Reply => {}
            Kind::Drain => {
                self.retire(this);
                return Ok(());
            }
            _ => return Ok(()),
        }
        let py = this.py();
        let envelope = ReplyEnvelope::read(message.envelope)?;
        // Nobody waits for a call that was cancelled, or whose deadline has passed.
        let Some(waiter) = self.state.lock().pending.take(envelope.call) else { return Ok(()) };
        let Connected { classes, limits, .. } = &*self.shared.connected;
        let value = outcome::of_message(py, &envelope, message.payload, message.buffers, classes, limits);
        let value = match waiter.outcome {
            Outcome::Value => value,
            Outcome::Json => {
                value.and_then(|text| py.import("json")?.call_method1(intern!(py, "loads"), (text,)))
            }
        };
        waiter.resolve(py, value, waking);
        Ok(())
    }

    /// One call of the loop: reads what has come, wakes who waits for it, and sends what they ask for in turn.
    pub(super) fn turn(this: &Bound<'_, Self>, mut readable: bool) -> PyResult<()> {
        let link = this.get();
        let mut waking = Waking::in_callback(this.py(), &link.ends)?;
        let began = Instant::now();
        let mut in_parts = readable && link.state.lock().parts.begin(began);
        let mut found = None;
        loop {
            let read = if readable { link.read(this, found, (&mut waking, &mut in_parts)) } else { Ok(()) };
            let sent = link.send(this)?;
            read?;
            let alone = match sent {
                Ok(alone) => alone,
                Err(error) => {
                    link.read_out(this, &error, &mut waking)?;
                    break;
                }
            };
            if !alone || waking.is_over() {
                break;
            }
            if began.elapsed() > LONGEST_TURN {
                // Others' callbacks wait.
                link.flush_soon(this)?;
                break;
            }
            found = link.poll(this);
            readable = found.is_some();
            if !readable {
                break;
            }
        }
        link.state.lock().parts.end();
        waking.finish()
    }

    /// Sends what waits while more is to come. Returns whether to do so again.
    fn send_part(&self) -> bool {
        let mut state = self.state.lock();
        let State { stage: Stage::Open(connection), parts, waits_for_room: false, .. } = &mut *state else {
            return false;
        };
        let began = Instant::now();
        // What does not leave, or fails, does so again when all of it is sent.
        let _ = connection.flush();
        let now = Instant::now();
        if now.duration_since(began) > BY_ITSELF {
            // The service has run meanwhile, on this core.
            parts.gate.miss(now);
            (parts.sent, parts.tried) = (false, None);
            return false;
        }
        parts.sent = true;
        true
    }

    /// The service takes nothing more. What it has answered before that is still to be read.
    fn read_out<'py>(
        &self,
        this: &Bound<'py, Self>,
        error: &Error,
        waking: &mut Waking<'_, 'py>,
    ) -> PyResult<()> {
        self.retire(this);
        loop {
            let before = self.state.lock().pending.len();
            self.read(this, None, (waking, &mut false))?;
            let state = self.state.lock();
            if matches!(state.stage, Stage::Ended) {
                return Ok(());
            }
            if state.pending.len() >= before {
                break;
            }
        }
        self.end(this, error);
        Ok(())
    }

    /// Sends what waits to be sent. Returns whether it is worth looking for a reply.
    fn send(&self, this: &Bound<'_, Self>) -> PyResult<Result<bool, Error>> {
        let py = this.py();
        let (flushed, fd, waited, alone) = {
            let mut state = self.state.lock();
            state.flush_is_due = false;
            let (waited, alone) = (state.waits_for_room, state.pending.len() == 1);
            let Stage::Open(connection) = &mut state.stage else { return Ok(Ok(false)) };
            let flushed = connection.flush();
            let fd = connection.fd();
            state.waits_for_room = matches!(flushed, Ok(false));
            (flushed, fd, waited, alone)
        };
        let event_loop = self.ends.event_loop.bind(py);
        match flushed {
            Ok(true) => {
                if waited {
                    event_loop.call_method1(intern!(py, "remove_writer"), (fd,))?;
                }
                Ok(Ok(alone))
            }
            Ok(false) => {
                if !waited {
                    event_loop
                        .call_method1(intern!(py, "add_writer"), (fd, this.getattr(intern!(py, "flush"))?))?;
                }
                Ok(Ok(false))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// When only one call waits, its reply is likely to be here in a moment: looking for it is cheaper than
    /// sleeping in the loop's selector. Returns whether something is here, and if so whether that is all.
    fn poll(&self, this: &Bound<'_, Self>) -> Option<bool> {
        let mut connection = {
            let mut state = self.state.lock();
            if !matches!(state.stage, Stage::Open(_)) {
                return None;
            }
            match std::mem::replace(&mut state.stage, Stage::Polling) {
                Stage::Open(connection) => connection,
                _ => return None,
            }
        };
        let budget = self.shared.connected.limits.poll_budget;
        // Taken out of the state: whoever has the interpreter meanwhile must not wait for us.
        let (connection, found) = this.py().detach(move || {
            let found = connection.poll(budget);
            (connection, found)
        });
        let mut state = self.state.lock();
        if matches!(state.stage, Stage::Polling) {
            state.stage = Stage::Open(connection);
        }
        found
    }
}

impl Parts {
    /// A turn begins. Returns whether its requests are to leave in parts.
    fn begin(&mut self, now: Instant) -> bool {
        if let Some(tried) = self.tried.take() {
            // An answer to the first part was there by the end of the last one, or it was not.
            if now.duration_since(tried) < AT_ONCE { self.gate.hit() } else { self.gate.miss(now) }
        }
        self.gate.is_open(now)
    }

    /// It ends.
    fn end(&mut self) {
        if std::mem::take(&mut self.sent) {
            self.tried = Some(Instant::now());
        }
    }
}

/// Requests that leave in one part.
const PART: u32 = 32;
/// Sending takes less, unless another process gets the core.
const BY_ITSELF: Duration = Duration::from_micros(15);
/// From the end of one turn to the next when there is something to read already.
const AT_ONCE: Duration = Duration::from_micros(25);
/// Reads in one turn of the loop: its other callbacks wait meanwhile.
const READS: usize = 16;
/// One call of the loop looks for replies at most this long: its other callbacks wait.
const LONGEST_TURN: Duration = Duration::from_micros(100);
