//! A worker's life: wait for a connection, read it, run what it read, reply, look for more.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::bridge::hello::Mode;
use crate::core::platform::readiness::{Events, Ready};

use super::connection::{A_MOMENT, Arrival, Connection};
use super::engine::Engine;
use super::host::{Answer, Host};
use super::seat::Seat;

/// A batch's replies leave together, unless the batch takes longer than this.
const TOGETHER: Duration = Duration::from_micros(100);
/// The same towards a caller on another core, who goes on with the first while the rest are run.
const TOGETHER_ABREAST: Duration = Duration::from_micros(20);

/// Woken for nothing so many times in a row, a worker sits out.
const TIMES_FOR_NOTHING: u32 = 3;
/// With nobody else to read, a worker looks this often whether other callers wait.
const OTHERS_TURN: Duration = Duration::from_micros(200);

/// Works until the service has stopped.
pub(super) fn work<H: Host>(engine: &Arc<Engine<H>>, seat: &Arc<Seat<H>>) {
    let mut worker = Worker { engine, seat, answer: Answer::default() };
    let mut for_nothing = 0;
    let mut next = None;
    while !engine.stopped.load(Ordering::Acquire) {
        let ready = match next.take() {
            Some(ready) => Some(ready),
            None => match worker.wait() {
                Ok(ready) => ready,
                Err(error) => {
                    engine.host.log(&format!("waiting for callers: {error}"));
                    return;
                }
            },
        };
        if engine.pool.dismisses() {
            return step_down(engine, ready);
        }
        let connection = ready.and_then(|ready| {
            let connection = engine.connection(ready.token)?;
            if ready.hangup {
                engine.give_up(connection.token, None);
            }
            Some(connection)
        });
        match connection {
            Some(connection) if connection.turn().take() => {
                for_nothing = 0;
                next = worker.read(&connection);
            }
            Some(_) => for_nothing += 1,
            None => {}
        }
        worker.run_waiting(TOGETHER);
        if for_nothing == TIMES_FOR_NOTHING {
            for_nothing = 0;
            engine.attend();
            engine.pool.sit_out();
            if engine.pool.dismisses() {
                return step_down(engine, None);
            }
        }
    }
    // The bell is edge-triggered: pass the word on.
    engine.bell.ring();
}

/// A connection was called while a call held its turn, and that call has ended somewhere: read it again.
///
/// The turn is the caller's. The poller tells of an edge once, so ask it to look again.
pub(super) fn look_again<H: Host>(engine: &Arc<Engine<H>>, connection: &Arc<Connection<H>>) {
    connection.turn().force_free();
    watch_anew(engine, connection);
}

/// A worker that is no longer needed leaves what it was called for to the others.
fn step_down<H: Host>(engine: &Arc<Engine<H>>, ready: Option<Ready>) {
    if let Some(connection) = ready.and_then(|ready| engine.connection(ready.token)) {
        watch_anew(engine, &connection);
    }
    if engine.waiting() > 0 {
        engine.wake_worker();
    }
}

/// Has the poller tell again what there is to read.
fn watch_anew<H: Host>(engine: &Arc<Engine<H>>, connection: &Arc<Connection<H>>) {
    let events = Events::IN | Events::RDHUP | Events::ET;
    // Changing the watch makes the poller report what is readable now.
    let changed =
        connection.with_stream(|stream| engine.poller.change(stream.fd(), connection.token, events));
    if changed.is_err() {
        engine.end_connection(connection);
    }
}

struct Worker<'a, H: Host> {
    engine: &'a Arc<Engine<H>>,
    seat: &'a Arc<Seat<H>>,
    answer: Answer<H::Out>,
}

impl<H: Host> Worker<'_, H> {
    fn wait(&self) -> io::Result<Option<Ready>> {
        let nothing_waits = self.engine.pool.begin_waiting();
        let ready = if nothing_waits { self.engine.poller.wait(None) } else { Ok(None) };
        self.engine.leave_reading();
        ready
    }

    /// Reads a connection whose turn this worker has. Returns news of another that it met meanwhile.
    fn read(&mut self, connection: &Arc<Connection<H>>) -> Option<Ready> {
        match connection.mode {
            Mode::OneCall => return self.read_one_call(connection),
            Mode::Multiplexed => self.read_multiplexed(connection),
        }
        None
    }

    /// One call after the other, each answered before the next is looked at.
    fn read_one_call(&mut self, connection: &Arc<Connection<H>>) -> Option<Ready> {
        let engine = self.engine;
        let mut looked = Instant::now();
        let mut now = looked;
        loop {
            let accepted = match connection.read(&engine.host) {
                Ok(Arrival::Frame(frame)) => {
                    engine.accept(connection, frame, &mut self.answer, Instant::now())
                }
                Ok(Arrival::Nothing) => {
                    // The time of the last call's end will do, and spares another look at the clock.
                    let found = connection.is_abreast(now) && connection.poll(engine.limits.poll_budget);
                    if !found && connection.turn().give_back() {
                        return None;
                    }
                    continue;
                }
                Ok(Arrival::Closed) => {
                    engine.end_connection(connection);
                    return None;
                }
                Err(error) => Err(error),
            };
            match accepted {
                Ok(None) => {}
                Ok(Some(call)) => {
                    now = call.accepted;
                    if !engine.run(call, self.seat, &mut self.answer, (false, true), &mut now) {
                        // It ends elsewhere, and the turn comes back with its end.
                        return None;
                    }
                    if now.duration_since(looked) > OTHERS_TURN && engine.pool.nobody_reads() {
                        looked = now;
                        if let Some(other) = self.other(connection) {
                            return Some(other);
                        }
                    }
                }
                Err(error) => {
                    engine.refuse(connection, &error);
                    return None;
                }
            }
        }
    }

    /// Whether another caller waits, and nobody else is there to see it. Then the turn of this one is given up.
    fn other(&self, connection: &Arc<Connection<H>>) -> Option<Ready> {
        let ready = self.engine.poller.wait(Some(Duration::ZERO)).ok()??;
        // News of this connection is old: its worker has read it since, or will in a moment.
        if ready.token == connection.token {
            return None;
        }
        self.engine.release(connection);
        Some(ready)
    }

    /// Takes what is there, lets others read on, then runs it.
    fn read_multiplexed(&mut self, connection: &Arc<Connection<H>>) {
        let engine = self.engine;
        loop {
            let Some(taken) = self.take_in(connection) else { return };
            if taken == BATCH || !connection.turn().give_back() {
                look_again(engine, connection);
            }
            if taken > 1 {
                engine.attend();
            }
            let abreast = connection.is_abreast(Instant::now());
            self.run_waiting(if abreast { TOGETHER_ABREAST } else { TOGETHER });
            if !connection.turn().take() {
                return;
            }
            // After a full batch there may be more in memory already, of which no poller tells.
            let more = taken == BATCH || connection.poll(engine.limits.poll_budget);
            if !more && connection.turn().give_back() {
                return;
            }
        }
    }

    /// Reads a batch of calls to where workers look next; `None` when the connection has ended.
    fn take_in(&mut self, connection: &Arc<Connection<H>>) -> Option<usize> {
        let engine = self.engine;
        let mut taken = 0;
        let now = Instant::now();
        while taken < BATCH {
            let accepted = match connection.read(&engine.host) {
                Ok(Arrival::Frame(frame)) => engine.accept(connection, frame, &mut self.answer, now),
                Ok(Arrival::Nothing) => break,
                Ok(Arrival::Closed) => {
                    engine.end_connection(connection);
                    return None;
                }
                Err(error) => Err(error),
            };
            match accepted {
                Ok(Some(call)) => {
                    engine.take_in(call);
                    taken += 1;
                }
                Ok(None) => {}
                Err(error) => {
                    engine.refuse(connection, &error);
                    return None;
                }
            }
        }
        Some(taken)
    }

    /// Runs the calls that wait, until none does. Replies leave after this time.
    fn run_waiting(&mut self, together: Duration) {
        let engine = self.engine;
        while let Some(first) = engine.pool.next() {
            let mut next = Some(first);
            let (seat, answer) = (self.seat, &mut self.answer);
            engine.host.together(&mut || {
                let began = Instant::now();
                let mut now = began;
                while let Some(call) = next.take() {
                    engine.run(call, seat, answer, (true, false), &mut now);
                    if now.duration_since(began) < together {
                        next = engine.pool.next();
                    }
                }
            });
            for connection in self.seat.take_unsent() {
                let sent = connection.flush(A_MOMENT);
                engine.after_send(&connection, sent);
            }
        }
    }
}

/// The most calls taken from one multiplexed connection before they are run.
const BATCH: usize = 256;
