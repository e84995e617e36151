//! Whether a lease's daemon lives: a handshake with its nonce, within a deadline.

use std::time::Duration;

use crate::bridge::hello::{Lane, Mode};
use crate::bridge::lease::{LeaseRecord, Liveness};
use crate::core::deadline::Deadline;
use crate::core::limits::Limits;

use super::Interrupt;
use super::dial::{self, Introduction};

/// How long a daemon has to answer: it does so from a thread that never runs user code.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks a lease's daemon whether it lives. Interrupted, it does not know: whoever interrupts passes the answer over.
#[must_use]
pub fn probe(lease: &LeaseRecord, interrupt: Interrupt<'_>) -> Liveness {
    let deadline = Deadline::after(PATIENCE);
    let Ok(stream) = dial::unix(&lease.socket, deadline, interrupt) else { return Liveness::Dead };
    let limits = Limits::default();
    let introduction = Introduction {
        service: &lease.service,
        nonce: Some(&lease.nonce),
        worker: None,
        since: None,
        mode: Mode::OneCall,
        lane: Lane::Plain,
        token: None,
        limits: &limits,
    };
    match dial::introduce::<Vec<u8>>(stream, introduction, 1024, deadline, interrupt) {
        Ok(_) => Liveness::Alive,
        Err(_) if deadline.passed() => Liveness::Unresponsive,
        Err(_) => Liveness::Dead,
    }
}
