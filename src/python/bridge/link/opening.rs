//! Opening a connection, on a thread without Python that rings a bell when it is done.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::bridge::client::dial::Dialled;
use crate::bridge::client::home::Home;
use crate::bridge::client::multiplex::CHUNK;
use crate::bridge::hello::{Lane, Mode};
use crate::core::deadline::Deadline;
use crate::core::error::Result;
use crate::core::platform::readiness::Bell;
use crate::python::value::InBuffer;

use super::Shared;

/// What the opening thread leaves for the loop.
pub(super) struct Opening {
    pub(super) bell: Bell,
    pub(super) opened: Mutex<Option<Result<Found>>>,
}

/// An open connection, and where the service was when it was opened.
pub(super) type Found = (Dialled<InBuffer>, Arc<Home<InBuffer>>);

/// Finds the process, or whoever serves the name now, and opens a connection to it. Runs without Python.
pub(super) fn dial(shared: &Shared, nonce: [u8; 16], lane: Lane) -> Result<Found> {
    let connected = &shared.connected;
    let deadline = Deadline::after(connected.limits.handshake_timeout);
    let never = || false;
    let mode = (Mode::Multiplexed, lane);
    if let Some(home) = connected.engine.last_home() {
        let known = home.workers.iter().find(|worker| worker.mark() == nonce);
        if let Some(worker) = known
            && let Ok(dialled) = connected.engine.dial(worker, mode, CHUNK, deadline, &never)
        {
            return Ok((dialled, home));
        }
    }
    let home = connected.engine.refresh(deadline, &never)?;
    let dialled = connected.engine.dial(home.worker(true), mode, CHUNK, deadline, &never)?;
    Ok((dialled, home))
}
