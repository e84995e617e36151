//! The way of a call from its frame to its reply: accepted or refused, given its instance, run, answered.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::bridge::frame::{Frame, Kind, RequestEnvelope, builtin};
use crate::bridge::hello::{Lane, Mode};
use crate::core::error::{Code, Error, Fate, Result};
use crate::core::instances::{Lease, Lookup, Park};
use crate::core::observe::{DropReason, Observer};

use super::call::{Call, Running};
use super::connection::{Arrival, Connection};
use super::engine::Engine;
use super::host::{Answer, Host, Seated};
use super::seat::{Occupant, Seat};
use super::worker;

/// A call's way after it was accepted.
pub(super) enum Way<H: Host> {
    /// Run it here.
    Run(Call<H>, Option<Lease<H::Instance>>),
    /// Answer it with this.
    Refuse(Call<H>, Box<Answer<H::Out>>),
    /// Somebody else has it now.
    Elsewhere,
}

impl<H: Host> Engine<H> {
    /// Takes a frame from a connection; a request becomes a call.
    ///
    /// # Errors
    /// What breaks the protocol: the connection must end.
    pub(super) fn accept(
        self: &Arc<Self>,
        connection: &Arc<Connection<H>>,
        frame: Frame<H::Buffer>,
        answer: &mut Answer<H::Out>,
        now: Instant,
    ) -> Result<Option<Call<H>>> {
        match frame.kind {
            Kind::Request => {}
            Kind::Bind => {
                if !connection.bind(frame.instance_id()?, frame.payload_bytes(), self.limits.max_bindings) {
                    return Err(Error::new(
                        Code::Overloaded,
                        format!("more than {} instances bound on one connection", self.limits.max_bindings),
                    ));
                }
                return Ok(None);
            }
            Kind::Cancel => {
                let id = frame.call_id()?;
                self.cancel_call(connection, id);
                return Ok(None);
            }
            kind => return Err(Error::protocol(format!("{kind:?} came from a caller after its hello"))),
        }
        let envelope = RequestEnvelope::read(frame.envelope())?;
        let one_call = connection.mode == Mode::OneCall;
        let mut call = Call::new(connection, envelope, frame, one_call, now);
        self.active.fetch_add(1, Ordering::AcqRel);
        let in_flight = connection.begin_call();
        if let Some((reason, error)) = self.objection(&call, in_flight) {
            if let Some(reason) = reason {
                self.observers.dropped(call.event(), reason);
            }
            answer.fail(&error.with_fate(Fate::Rejected));
            self.complete_quietly(&mut call, answer);
            return Ok(None);
        }
        if call.endpoint >= builtin::FIRST {
            self.answer_builtin(&call, answer);
            self.complete_quietly(&mut call, answer);
            return Ok(None);
        }
        if call.is_one_way() && one_call {
            // Its caller goes on at once: the next call on this connection must not wait for it.
            call.holds_turn = false;
            self.leave(call);
            return Ok(None);
        }
        Ok(Some(call))
    }

    /// Why a call is not even begun.
    fn objection(&self, call: &Call<H>, in_flight: usize) -> Option<(Option<DropReason>, Error)> {
        if self.draining.load(Ordering::Relaxed) && call.endpoint < builtin::FIRST {
            let text = format!("service {:?} is stopping", self.service);
            return Some((Some(DropReason::Draining), Error::new(Code::ServiceUnavailable, text)));
        }
        if self.waiting() >= self.limits.max_queue {
            return Some((Some(DropReason::Overloaded), self.overloaded()));
        }
        if call.connection.mode == Mode::Multiplexed && in_flight >= self.limits.max_in_flight {
            let text = format!(
                "{in_flight} calls are in flight on this connection, its limit; await some of them, or raise \
                 IRONBRIDGE_MAX_IN_FLIGHT"
            );
            return Some((Some(DropReason::Overloaded), Error::new(Code::Overloaded, text)));
        }
        if call.endpoint < builtin::FIRST && self.host.endpoint(call.endpoint).is_none() {
            let text = format!("service {:?} has no endpoint number {}", self.service, call.endpoint);
            return Some((None, Error::new(Code::EndpointNotFound, text)));
        }
        None
    }

    fn overloaded(&self) -> Error {
        let text = format!(
            "service {:?} has {} calls waiting, its limit; try later, give it more threads or workers, or raise \
             IRONBRIDGE_MAX_QUEUE",
            self.service, self.limits.max_queue
        );
        Error::new(Code::Overloaded, text).with_fate(Fate::Rejected)
    }

    fn cancel_call(self: &Arc<Self>, connection: &Arc<Connection<H>>, id: u64) {
        if let Some(mut call) = self.pool.forget(connection.token, id) {
            self.observers.dropped(call.event(), DropReason::Cancelled);
            let error = Error::new(Code::Cancelled, "cancelled before it began");
            self.complete(&mut call, &mut Answer::failure(&error.with_fate(Fate::Rejected)), false);
            return;
        }
        self.give_up(connection.token, Some(id));
    }

    /// Finds the call's instance, on a thread that may run user code. A build is done here when `may_build`.
    pub(super) fn resolve(self: &Arc<Self>, mut call: Call<H>, may_build: bool) -> Way<H> {
        let Some(kind) = self.host.endpoint(call.endpoint) else { return Way::Elsewhere };
        if !kind.instance {
            return Way::Run(call, None);
        }
        let Some(binding) = call.connection.binding(call.instance) else {
            let error = Error::protocol(format!("a call on instance {}, which was not bound", call.instance));
            return Way::Refuse(call, Box::new(Answer::failure(&error.with_fate(Fate::Rejected))));
        };
        let slot = match binding.slot.get() {
            Some(slot) => slot,
            None => match self.host.key(&binding.arguments) {
                Ok(key) => binding.slot.get_or_init(|| self.instances.slot_since(&key, call.connection.met)),
                Err(answer) => return Way::Refuse(call, Box::new(answer)),
            },
        };
        let ticket = match call.ticket.take() {
            Some(ticket) => ticket,
            None => loop {
                match slot.lookup() {
                    Lookup::Ready(lease) => return Way::Run(call, Some(lease)),
                    Lookup::Build(ticket) => break ticket,
                    Lookup::Building => match slot.park(call) {
                        Park::Parked => return Way::Elsewhere,
                        Park::Again(returned) => call = returned,
                        Park::Full(returned) => {
                            self.observers.dropped(returned.event(), DropReason::Overloaded);
                            return Way::Refuse(returned, Box::new(Answer::failure(&self.overloaded())));
                        }
                    },
                    Lookup::Evicted => {
                        let error = Error::new(
                            Code::InstanceEvicted,
                            "the instance was evicted from the service's cache, and the service was told not to \
                             build it again (on_evict=\"error\"): connect again for a new one",
                        );
                        return Way::Refuse(
                            call,
                            Box::new(Answer::failure(&error.with_fate(Fate::Rejected))),
                        );
                    }
                    Lookup::Closed => {
                        let error = Error::new(Code::ServiceUnavailable, "the service is stopping");
                        return Way::Refuse(
                            call,
                            Box::new(Answer::failure(&error.with_fate(Fate::Rejected))),
                        );
                    }
                }
            },
        };
        if !may_build {
            call.ticket = Some(ticket);
            self.leave(call);
            return Way::Elsewhere;
        }
        match self.host.build(&binding.arguments) {
            Ok(instance) => {
                let (lease, waiters) = ticket.finish(instance);
                self.resume(waiters);
                Way::Run(call, Some(lease))
            }
            Err(answer) => {
                // Who waited for this build hears what came of it; who comes now has it built again.
                for mut waiter in ticket.fail() {
                    match answer.copy() {
                        Some(mut same) => self.complete(&mut waiter, &mut same, false),
                        None => self.leave(waiter),
                    }
                }
                Way::Refuse(call, Box::new(answer))
            }
        }
    }

    /// Calls that waited for an instance go on: they wait for a worker, as far as there is room for them.
    pub(super) fn resume(self: &Arc<Self>, waiters: Vec<Call<H>>) {
        for mut call in waiters {
            if self.waiting() < self.limits.max_queue {
                self.leave(call);
            } else {
                self.observers.dropped(call.event(), DropReason::Overloaded);
                self.complete(&mut call, &mut Answer::failure(&self.overloaded()), false);
            }
        }
    }

    /// Runs a call on a worker's thread, if it is still wanted. Returns whether it was answered here and now:
    /// then a reader who calls with `keep_turn` still has its connection's turn; else the turn comes back when
    /// the call ends. `queued`: the reply waits for the worker's next flush. `now` is read again when a call ends.
    pub(super) fn run(
        self: &Arc<Self>,
        call: Call<H>,
        seat: &Arc<Seat<H>>,
        answer: &mut Answer<H::Out>,
        (queued, keep_turn): (bool, bool),
        now: &mut Instant,
    ) -> bool {
        // A reader's own call has just come: only one that has waited can be late.
        if !keep_turn && call.is_given_up(*now) {
            self.abandon(call);
            return true;
        }
        match self.resolve(call, true) {
            Way::Elsewhere => false,
            Way::Refuse(mut call, mut refusal) => {
                call.holds_turn &= !keep_turn;
                if queued {
                    seat.remember_unsent(&call.connection);
                }
                self.complete(&mut call, &mut refusal, queued);
                true
            }
            Way::Run(call, lease) if self.is_coroutine(&call) => {
                self.observers.started(call.event());
                self.host.spawn(Running::new(Arc::clone(self), call, lease));
                false
            }
            Way::Run(mut call, lease) => {
                call.holds_turn &= !keep_turn;
                self.observers.started(call.event());
                let number = seat.sit(Occupant {
                    connection: call.connection.token,
                    call: call.id,
                    endpoint: call.endpoint,
                    deadline: call.deadline,
                    one_way: call.is_one_way(),
                    started: *now,
                });
                answer.reset();
                self.host.invoke(&mut call, lease.as_deref(), Seated { seat, number }, answer);
                seat.rise(queued.then_some(&call.connection));
                drop(lease);
                *now = Instant::now();
                let took = *call.took.insert(now.duration_since(call.accepted));
                self.observers.ended(call.event(), answer.code, took);
                self.complete(&mut call, answer, queued);
                true
            }
        }
    }

    /// A coroutine's call has ended.
    pub(super) fn end_coroutine(
        self: &Arc<Self>,
        call: &mut Call<H>,
        answer: &mut Answer<H::Out>,
        queued: bool,
    ) {
        let took = *call.took.insert(call.accepted.elapsed());
        self.observers.ended(call.event(), answer.code, took);
        self.complete(call, answer, queued);
    }

    pub(super) fn is_coroutine(&self, call: &Call<H>) -> bool {
        self.host.endpoint(call.endpoint).is_some_and(|kind| kind.coroutine)
    }

    /// A call that nobody waits for any more.
    pub(super) fn abandon(self: &Arc<Self>, mut call: Call<H>) {
        if let Some(ticket) = call.ticket.take() {
            self.resume(ticket.fail());
        }
        let departed = call.connection.is_gone();
        let reason = if departed { DropReason::Departed } else { DropReason::Deadline };
        self.observers.dropped(call.event(), reason);
        let error = Error::new(Code::DeadlineExceeded, "the deadline passed before the call began");
        self.complete(&mut call, &mut Answer::failure(&error.with_fate(Fate::Rejected)), false);
    }

    /// Answers a call, counts it, and gives its connection back.
    pub(super) fn complete(self: &Arc<Self>, call: &mut Call<H>, answer: &mut Answer<H::Out>, queued: bool) {
        self.reply(call, answer, queued);
        if std::mem::take(&mut call.holds_turn) && call.connection.lane == Lane::Plain {
            self.release(&call.connection);
        }
    }

    /// The same for a call that the reader of its connection answers itself: it keeps the turn.
    fn complete_quietly(&self, call: &mut Call<H>, answer: &mut Answer<H::Out>) {
        call.holds_turn = false;
        self.reply(call, answer, false);
    }

    fn reply(&self, call: &Call<H>, answer: &mut Answer<H::Out>, queued: bool) {
        // Past the deadline nobody waits; what a function that was told returns then is no answer.
        let took = call.took.unwrap_or_else(|| call.accepted.elapsed());
        if !call.is_one_way() && !call.is_given_up(call.accepted + took) {
            let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
            let depth = u32::try_from(self.waiting()).unwrap_or(u32::MAX);
            answer.seal(call.id, micros, depth, call.connection.max_frame.min(self.limits.max_frame));
            self.send_answer(&call.connection, answer, queued);
        }
        call.connection.end_call();
        self.active.fetch_sub(1, Ordering::AcqRel);
    }

    /// Gives the turn of a connection back; when it was called meanwhile, a worker looks at it.
    pub(super) fn release(self: &Arc<Self>, connection: &Arc<Connection<H>>) {
        let mut answer = Answer::default();
        loop {
            // A batch's next call may have come together with the last one: no poller tells of it again.
            let taken = match connection.read(&self.host) {
                Ok(Arrival::Frame(frame)) => self.accept(connection, frame, &mut answer, Instant::now()),
                Ok(Arrival::Nothing) => break,
                Ok(Arrival::Closed) => return self.end_connection(connection),
                Err(error) => Err(error),
            };
            match taken {
                Ok(Some(call)) => return self.leave(call),
                Ok(None) => {}
                Err(error) => return self.refuse(connection, &error),
            }
        }
        if !connection.turn().give_back() {
            worker::look_again(self, connection);
        }
    }
}
