//! The end of a connection: whoever waits learns of it, and idempotent calls are made again over another.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pyo3::intern;
use pyo3::prelude::*;

use crate::bridge::client::channel::Outgoing;
use crate::bridge::client::home::Home;
use crate::bridge::frame::PREFIX;
use crate::bridge::hello::Lane;
use crate::core::error::{Code, Error, Fate};
use crate::python::errors::raise;
use crate::python::value::InBuffer;

use super::{Link, Shared, Stage, Waiter, Waking};

impl Link {
    /// The next call opens another connection.
    pub(super) fn retire(&self, this: &Bound<'_, Self>) {
        self.takes_calls.store(false, Ordering::Relaxed);
        self.shared.forget(this);
    }

    /// The connection ends: whoever waits learns it. Idempotent calls are made again over another.
    pub(super) fn end(&self, this: &Bound<'_, Self>, error: &Error) {
        let py = this.py();
        self.retire(this);
        let (stage, waiters, timer) = {
            let mut state = self.state.lock();
            let stage = std::mem::replace(&mut state.stage, Stage::Ended);
            (stage, state.pending.drain(), state.timer.take())
        };
        let event_loop = self.ends.event_loop.bind(py);
        let unwatch = |fd: i32| {
            for method in ["remove_reader", "remove_writer"] {
                // A loop that has ended watches nothing any more.
                let _ = event_loop.call_method1(method, (fd,));
            }
        };
        match &stage {
            Stage::Opening(_) => unwatch(self.opening.bell.as_fd().as_raw_fd()),
            Stage::Open(connection) => unwatch(connection.fd()),
            Stage::Polling | Stage::Ended => {}
        }
        if let Some((_, handle)) = timer {
            let _ = handle.call_method0(py, intern!(py, "cancel"));
        }
        let never_open = matches!(stage, Stage::Opening(_));
        let fate = if never_open { Fate::NotSent } else { Fate::Unknown };
        let mut waking = Waking::later(py, &self.ends);
        for waiter in waiters {
            let error = Error { fate: waiter.fate(fate), ..error.clone() };
            if error.code == Code::ConnectionLost && !never_open && waiter.again.is_some() {
                self.call_again(waiter, &mut waking);
                continue;
            }
            let error = self.shared.connected.explain(error, &waiter.name, waiter.manner.timeout);
            waiter.resolve(py, Err(raise(py, &error)), &mut waking);
        }
    }

    fn call_again<'py>(&self, waiter: Waiter, waking: &mut Waking<'_, 'py>) {
        let py = waking.py();
        let again = || -> PyResult<()> {
            let Some(home) = self.shared.connected.engine.last_home() else { return Ok(()) };
            let coroutine = home.schema.endpoints.get(&*waiter.name).is_some_and(|found| found.coroutine);
            let lane = if coroutine { Lane::Coroutine } else { Lane::Plain };
            self.shared.again(py, self.ends.event_loop.bind(py), lane, home, &waiter)
        };
        if let Err(error) = again() {
            waiter.resolve(py, Err(error), waking);
        }
    }

    /// Takes over a call whose own connection ended.
    fn adopt(&self, this: &Bound<'_, Self>, home: &Arc<Home<InBuffer>>, waiter: &Waiter) -> PyResult<()> {
        let py = this.py();
        let Some(mut head) = waiter.again.clone() else { return Ok(()) };
        let deadline = waiter.deadline;
        head[PREFIX + 8..PREFIX + 16].copy_from_slice(&deadline.to_wire().to_le_bytes());
        waiter.reply.get().carried_by(this);
        let copy = Waiter {
            reply: waiter.reply.clone_ref(py),
            name: Arc::clone(&waiter.name),
            manner: waiter.manner,
            outcome: waiter.outcome,
            deadline,
            again: None,
            sent_before: true,
        };
        self.enqueue(this, copy, home, Outgoing { head, buffers: Vec::new() }).map(drop)
    }
}

impl Shared {
    /// Makes an idempotent call again over a new connection.
    fn again(
        self: &Arc<Self>,
        _py: Python<'_>,
        event_loop: &Bound<'_, PyAny>,
        lane: Lane,
        home: Arc<Home<InBuffer>>,
        waiter: &Waiter,
    ) -> PyResult<()> {
        // No process has this nonce: opening looks for whoever serves now.
        let link = self.link(event_loop, [0; 16], lane)?;
        link.get().adopt(&link, &home, waiter)
    }
}
