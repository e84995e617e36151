//! Requests: encoded where the call is made, sent with the others of the same turn of the loop.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::bridge::client::blocking::CallOptions;
use crate::bridge::client::channel::Outgoing;
use crate::bridge::client::home::Home;
use crate::bridge::frame::PREFIX;
use crate::bridge::schema::Endpoint;
use crate::core::error::{Code, Error};
use crate::python::errors::raise;
use crate::python::value::{Encoder, InBuffer, OutBuffer, encode_arguments};

use super::super::allocate::table;
use super::{Link, Manner, Outcome, Queued, Reply, Stage, State, Waiter, Waking};

thread_local! {
    /// Where a request is written before it is queued: its memory is used again.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A larger one is not kept.
const LARGEST_SCRATCH: usize = 64 << 10;

/// The way of an endpoint's calls.
pub(crate) struct Route {
    pub(crate) home: Arc<Home<InBuffer>>,
    pub(crate) endpoint: Endpoint,
    pub(crate) link: Py<Link>,
}

impl Link {
    /// Whether the next call from this loop may come here.
    #[inline]
    pub(crate) fn takes_calls_of(&self, event_loop: &Bound<'_, PyAny>) -> bool {
        self.ends.event_loop.is(event_loop) && self.takes_calls.load(Ordering::Relaxed)
    }

    /// Makes a call over this connection and returns its reply to come.
    pub(crate) fn call<'py>(
        py: Python<'py>,
        route: &Route,
        name: &Arc<str>,
        (args, kwargs): (&Bound<'py, PyTuple>, Option<&Bound<'py, PyDict>>),
        manner: Manner,
        outcome: Outcome,
    ) -> PyResult<Bound<'py, Reply>> {
        let this = route.link.bind(py);
        let link = this.get();
        let call = manner.begin(py);
        let reply = Reply::new(this, &link.ends)?;
        let mut outgoing = Outgoing { head: SCRATCH.take(), buffers: Vec::new() };
        outgoing.head.clear();
        link.encode(py, route, (args, kwargs), &mut outgoing, call)?;
        let waiter = Waiter {
            reply: reply.clone().unbind(),
            name: Arc::clone(name),
            manner,
            outcome,
            deadline: call.deadline,
            again: None,
            sent_before: false,
        };
        let scratch = link.enqueue(this, waiter, &route.home, outgoing)?;
        if scratch.capacity() <= LARGEST_SCRATCH {
            SCRATCH.set(scratch);
        }
        Ok(reply)
    }

    fn encode(
        &self,
        py: Python<'_>,
        route: &Route,
        (args, kwargs): (&Bound<'_, PyTuple>, Option<&Bound<'_, PyDict>>),
        outgoing: &mut Outgoing<OutBuffer>,
        call: CallOptions,
    ) -> PyResult<()> {
        let connected = &self.shared.connected;
        let Outgoing { head, buffers } = outgoing;
        let open = connected.engine.begin(route.endpoint, head, (0, call));
        encode_arguments(args, kwargs, &mut Encoder::new(head, buffers, &connected.limits))?;
        let most = connected.limits.max_frame.min(route.home.max_frame);
        open.finish(head, table(buffers), most).map_err(|error| raise(py, &error))
    }

    /// Leaves a request to the next flush, which comes with the end of this turn of the loop. Gives the memory
    /// back that it was written to, when the connection is open.
    pub(super) fn enqueue(
        &self,
        this: &Bound<'_, Self>,
        mut waiter: Waiter,
        home: &Arc<Home<InBuffer>>,
        mut outgoing: Outgoing<OutBuffer>,
    ) -> PyResult<Vec<u8>> {
        let py = this.py();
        let most = self.shared.connected.limits.max_in_flight;
        let deadline = waiter.deadline;
        let again = waiter.manner.idempotent && !waiter.sent_before && outgoing.buffers.is_empty();
        let one_way = waiter.manner.one_way;
        let mut guard = self.state.lock();
        let State { stage, pending, flush_is_due, timer, .. } = &mut *guard;
        if matches!(stage, Stage::Polling | Stage::Ended) || pending.len() >= most {
            let error = match stage {
                Stage::Polling | Stage::Ended => {
                    Error::new(Code::ConnectionLost, "the connection has just ended")
                }
                _ => overloaded(most),
            };
            drop(guard);
            drop(waiter);
            return Err(raise(py, &error));
        }
        let name = matches!(stage, Stage::Opening(_)).then(|| Arc::clone(&waiter.name));
        if again {
            waiter.again = Some(outgoing.head.clone());
        }
        let number = pending.insert_with(deadline.instant(), |number| {
            waiter.reply.get().set_number(number);
            waiter
        });
        outgoing.head[PREFIX..PREFIX + 8].copy_from_slice(&number.to_le_bytes());
        let mut flush = false;
        let mut scratch = Vec::new();
        match (stage, name) {
            (Stage::Open(connection), _) => {
                connection.queue(&outgoing.head, outgoing.buffers);
                flush = !std::mem::replace(flush_is_due, true);
                scratch = outgoing.head;
            }
            (Stage::Opening(waiting), Some(name)) => {
                waiting.push(Queued { name, schema: Arc::clone(home), outgoing });
            }
            _ => {}
        }
        let answered = if one_way { pending.take(number) } else { None };
        let timed = one_way || timer.as_ref().is_some_and(|(due, _)| *due <= deadline.instant());
        drop(guard);
        if let Some(waiter) = answered {
            let mut waking = Waking::later(py, &self.ends);
            waiter.resolve(py, Ok(py.None().into_bound(py)), &mut waking);
        }
        if flush {
            self.flush_soon(this)?;
        }
        if !timed {
            self.set_timer(this, deadline)?;
        }
        Ok(scratch)
    }

    /// Has the loop call `flush` in its next turn.
    pub(super) fn flush_soon(&self, this: &Bound<'_, Self>) -> PyResult<()> {
        let py = this.py();
        let flush = this.getattr(intern!(py, "flush"))?;
        self.ends.event_loop.call_method1(py, intern!(py, "call_soon"), (flush,)).map(drop)
    }
}

fn overloaded(most: usize) -> Error {
    let text = format!("{most} calls are in flight, the limit of one connection (IRONBRIDGE_MAX_IN_FLIGHT)");
    Error::new(Code::Overloaded, text)
}
