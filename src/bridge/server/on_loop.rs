//! The event loop's side of a service: it reads the connections that call coroutines itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::observe::Observer;

use super::call::{Call, Running};
use super::connection::{Arrival, Connection};
use super::dispatch::Way;
use super::engine::Engine;
use super::host::{Answer, Host};

impl<H: Host> Engine<H> {
    /// Reads a connection of the coroutine lane, on the loop's thread. Returns the calls begun;
    /// `None` when the connection has ended.
    pub fn read_on_loop(
        self: &Arc<Self>,
        connection: &Arc<Connection<H>>,
        answer: &mut Answer<H::Out>,
    ) -> Option<usize> {
        let mut begun = 0;
        let now = Instant::now();
        loop {
            let frame = match connection.read(&self.host) {
                Ok(Arrival::Frame(frame)) => frame,
                Ok(Arrival::Nothing) => break,
                Ok(Arrival::Closed) => {
                    self.end_connection(connection);
                    return None;
                }
                Err(error) => {
                    self.refuse(connection, &error);
                    return None;
                }
            };
            match self.accept(connection, frame, answer, now) {
                Ok(Some(call)) => {
                    begun += 1;
                    self.start_on_loop(call);
                }
                Ok(None) => {}
                Err(error) => {
                    self.refuse(connection, &error);
                    return None;
                }
            }
        }
        Some(begun)
    }

    fn start_on_loop(self: &Arc<Self>, call: Call<H>) {
        if !self.is_coroutine(&call) {
            return self.leave(call);
        }
        if call.is_given_up(call.accepted) {
            return self.abandon(call);
        }
        match self.resolve(call, false) {
            Way::Elsewhere => {}
            Way::Refuse(mut call, mut refusal) => self.complete(&mut call, &mut refusal, false),
            Way::Run(call, lease) => {
                self.observers.started(call.event());
                self.host.spawn(Running::new(Arc::clone(self), call, lease));
            }
        }
    }

    /// Sends the replies that were queued for a connection.
    pub fn flush_on_loop(&self, connection: &Arc<Connection<H>>) {
        let sent = connection.flush(Duration::ZERO);
        self.after_send(connection, sent);
    }

    /// Looks for more to read on a connection of the loop, for a moment.
    #[must_use]
    pub fn poll_on_loop(&self, connection: &Arc<Connection<H>>) -> bool {
        connection.poll(self.limits.poll_budget)
    }
}
