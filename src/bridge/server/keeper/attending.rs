//! While every worker is busy: their replies leave, what arrives is read, who waits is noticed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::connection::{Arrival, Connection};
use super::super::host::{Answer, Host};
use super::Keeping;

/// Ticks without need after which the keeper sleeps again.
const QUIET_TICKS: u32 = 20;
/// A call that runs longer than this must not keep others' replies or turns waiting.
const LONG: Duration = Duration::from_micros(500);
/// What may be read for busy workers at one tick.
const READ_AT_ONCE: usize = 512;

impl<H: Host> Keeping<H> {
    pub(super) fn attend(&mut self) {
        let engine = Arc::clone(&self.keeper.engine);
        let mut needed = false;
        let mut stuck = false;
        for seat in &engine.pool.seats() {
            if seat.call().is_some_and(|(call, _)| call.started.elapsed() > LONG) {
                stuck = true;
                for connection in seat.take_unsent() {
                    let sent = connection.flush(Duration::ZERO);
                    engine.after_send(&connection, sent);
                }
            }
        }
        if engine.waiting() > 0 {
            needed = true;
            if stuck {
                engine.wake_worker();
            }
        }
        if engine.pool.nobody_reads() {
            needed = true;
            if !(stuck && engine.pool.call_back()) {
                self.read_for_the_busy();
                // A worker that became idle meanwhile has looked for waiting calls already.
                if engine.waiting() > 0 {
                    engine.wake_worker();
                }
            }
        }
        let blocked = std::mem::take(&mut *engine.blocked.lock());
        for connection in blocked {
            needed = true;
            if connection.is_stalled(engine.limits.stall_timeout) {
                engine.drop_connection(&connection);
                continue;
            }
            let sent = connection.flush(Duration::ZERO);
            engine.after_send(&connection, sent);
        }
        self.quiet = if needed { 0 } else { self.quiet + 1 };
        if self.quiet > QUIET_TICKS {
            self.quiet = 0;
            engine.attending.store(false, Ordering::SeqCst);
            // Who needed it a moment ago saw that it was on, and rang no bell.
            if engine.pool.nobody_reads() || engine.waiting() > 0 {
                engine.attending.store(true, Ordering::SeqCst);
            }
        }
    }

    /// Every worker runs a call: reads what arrives, so that callers who go are noticed and what is too much is
    /// refused. What is read waits for a worker.
    fn read_for_the_busy(&self) {
        let engine = &self.keeper.engine;
        let mut answer = Answer::default();
        for _ in 0..READ_AT_ONCE {
            let Ok(Some(ready)) = engine.poller.wait(Some(Duration::ZERO)) else { return };
            let Some(connection) = engine.connection(ready.token) else { continue };
            if ready.hangup {
                engine.give_up(connection.token, None);
            }
            if connection.turn().take() {
                self.read_for_later(&connection, &mut answer);
            }
        }
    }

    fn read_for_later(&self, connection: &Arc<Connection<H>>, answer: &mut Answer<H::Out>) {
        let engine = &self.keeper.engine;
        loop {
            let accepted = match connection.read(&engine.host) {
                Ok(Arrival::Frame(frame)) => engine.accept(connection, frame, answer, Instant::now()),
                Ok(Arrival::Nothing) => {
                    if connection.turn().give_back() {
                        return;
                    }
                    continue;
                }
                Ok(Arrival::Closed) => return engine.end_connection(connection),
                Err(error) => Err(error),
            };
            match accepted {
                Ok(Some(call)) => {
                    let holds = call.holds_turn;
                    engine.take_in(call);
                    if holds {
                        return;
                    }
                }
                Ok(None) => {}
                Err(error) => return engine.refuse(connection, &error),
            }
        }
    }
}
